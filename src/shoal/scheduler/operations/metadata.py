"""Collecting what becomes of tasks, between two requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.scheduler.observe.task_metadata import MetadataCollector

if TYPE_CHECKING:
    from shoal.scheduler.context import SchedulerContext

__all__ = ["start_metadata", "stop_metadata"]


def start_metadata(scheduler: SchedulerContext, name: str) -> None:
    """Begin to collect, under a name that nobody else uses."""
    scheduler.own_plugins.put(MetadataCollector(scheduler), name)


def stop_metadata(scheduler: SchedulerContext, name: str) -> dict[str, Any]:
    """Return what was collected, and collect no more."""
    collector = scheduler.own_plugins.plugins.get(name)
    if not isinstance(collector, MetadataCollector):
        raise ValueError(f"nothing is collected as {name!r}: the scheduler may have been restarted")
    scheduler.own_plugins.take_out(name)
    return {"metadata": collector.metadata, "state": collector.states}
