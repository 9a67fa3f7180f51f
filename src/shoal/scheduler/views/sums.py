"""Sums over all kinds of work and all workers, under the documented names: taken when asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.scheduler.core.state import PrefixState

if TYPE_CHECKING:
    from shoal.scheduler.core.state import SchedulerState

__all__ = ["bandwidths_by_type", "changes_of_state", "entered", "seconds_by_activity"]


def entered(prefix: PrefixState) -> dict[str, int]:
    """Return how often tasks of a kind came into each state."""
    found = dict(prefix.entered)
    for group in prefix.groups.values():
        for state, n in group.entered.items():
            found[state] = found.get(state, 0) + n
    return found


def changes_of_state(s: SchedulerState) -> int:
    """Return how often tasks came into a state."""
    return sum(sum(entered(prefix).values()) for prefix in s.prefixes.values())


def seconds_by_activity(s: SchedulerState) -> dict[tuple[str, ...], float]:
    """Return the seconds that workers spent, by what for."""
    found: dict[tuple[str, ...], float] = {}
    for name, prefix in s.prefixes.items():
        seconds = prefix.seconds + sum(group.duration for group in prefix.groups.values())
        if seconds:
            found["execute", name, "compute", "seconds"] = seconds
    fetching = sum(
        sum(ws.metrics.get("transfer", {}).get("seconds", {}).values()) for ws in s.workers.values()
    )
    if fetching:
        found["gather-dep", "network", "seconds"] = fetching
    return found


def bandwidths_by_type(s: SchedulerState) -> dict[str, float]:
    """Return the means of what workers measured, by the type of the values."""
    measured: dict[str, list[float]] = {}
    for ws in s.workers.values():
        for kind, bandwidth in ws.metrics.get("bandwidth", {}).get("types", {}).items():
            measured.setdefault(kind, []).append(bandwidth)
    return {kind: sum(each) / len(each) for kind, each in measured.items()}
