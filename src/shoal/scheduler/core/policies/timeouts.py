"""Timeouts of tasks that ask for none: by prefix, as the settings say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from shoal.scheduler.core.state import NO_OPTIONS

if TYPE_CHECKING:
    from shoal.scheduler.core.state import SchedulerState, TaskState
    from shoal.wire.messages import TaskOptions

__all__ = ["set_default_timeouts"]


def set_default_timeouts(s: SchedulerState, fresh: list[tuple[int, TaskState]]) -> None:
    """Give tasks that were just defined the timeouts of their prefixes, where there are any."""
    with_timeout: dict[tuple[int, str], TaskOptions] = {}
    for _, ts in fresh:
        prefix = ts.group.prefix
        if prefix.options is NO_OPTIONS or ts.options.timeout:
            continue
        if ts.options is NO_OPTIONS:
            ts.options = prefix.options
            continue
        name = (id(ts.options), prefix.name)
        if name not in with_timeout:
            with_timeout[name] = msgspec.structs.replace(ts.options, timeout=prefix.options.timeout)
        ts.options = with_timeout[name]
