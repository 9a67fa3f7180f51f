"""Plugins come and go; clients subscribe to topics."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from shoal.scheduler.operations.functions import open_pickle
from shoal.wire.blob import Blob

if TYPE_CHECKING:
    from shoal.scheduler.context import SchedulerContext

__all__ = [
    "hand_out_plugin",
    "known_plugins",
    "register_plugin",
    "restore_plugins",
    "subscribe_topic",
    "take_back_plugin",
    "unregister_plugin",
    "unsubscribe_topic",
]

logger = logging.getLogger("shoal.scheduler.plugins.own")


async def register_plugin(
    scheduler: SchedulerContext, plugin: Blob, name: str, idempotent: bool = False
) -> None:
    """Add a pickled plugin to the scheduler itself."""
    if not (idempotent and name in scheduler.own_plugins.plugins):
        opened = open_pickle(plugin, "takes no plugins of clients")
        await scheduler.own_plugins.add(opened, name, idempotent)
        await scheduler.keep_plugin("scheduler", name, plugin)


async def unregister_plugin(scheduler: SchedulerContext, name: str) -> None:
    """Close and forget a plugin of the scheduler itself."""
    try:
        await scheduler.own_plugins.remove(name)
    finally:
        await scheduler.keep_plugin("scheduler", name, None)


async def restore_plugins(scheduler: SchedulerContext) -> None:
    """Start the scheduler's own plugins of which its journal says that clients registered them."""
    for (kind, name), plugin in list(scheduler.state.notes.plugins.items()):
        if kind != "scheduler" or name in scheduler.own_plugins.plugins:
            continue
        try:
            opened = open_pickle(plugin, "takes no plugins of clients")
            await scheduler.own_plugins.add(opened, name)
        except Exception:
            logger.exception("Plugin %r, which the journal says there was, did not start", name)


async def hand_out_plugin(
    scheduler: SchedulerContext,
    plugin: Blob,
    name: str,
    idempotent: bool = False,
    nanny: bool = False,
) -> dict[str, Any]:
    """Give a plugin to all workers (or nannies), also those that come later."""
    return await scheduler.plugin_registry(nanny).add(plugin, name, idempotent)


async def take_back_plugin(
    scheduler: SchedulerContext, name: str, nanny: bool = False
) -> dict[str, Any]:
    """Take a plugin away from all workers, or nannies."""
    return await scheduler.plugin_registry(nanny).remove(name)


def known_plugins(
    scheduler: SchedulerContext, nanny: bool = False, address: str = ""
) -> dict[str, Any]:
    """Return the plugins for a worker or nanny that is about to start: names and opaque bytes."""
    return scheduler.plugin_registry(nanny).known(address)


def subscribe_topic(scheduler: SchedulerContext, topic: str, client: str) -> None:
    """Push the events of a topic to a client."""
    scheduler.topics.subscribe(topic, client)


def unsubscribe_topic(scheduler: SchedulerContext, topic: str, client: str) -> None:
    """Push them no more."""
    scheduler.topics.unsubscribe(topic, client)
