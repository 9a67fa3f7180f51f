"""When data goes to disk and when no new task starts, from what the process and the data take.

Managed bytes (what the store knows of) above `memory_target` go to disk at once. A process above
`memory_spill` has more in it than that: data goes to disk until it is below the target, which the
measurements that follow tell. Above `memory_pause` nothing new starts. A worker that stays there
with nothing that runs and nothing to write to disk has lost its memory to something else, and makes
room for a new process. Ending a worker that passes everything is its nanny's business.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from shoal.wire import messages as m

if TYPE_CHECKING:
    from shoal.worker.core.state import WorkerState

__all__ = ["measured"]

_HELD = 0.01  # of the limit: less in memory is not what fills it


def measured(s: WorkerState, process_bytes: int, managed_bytes: int, running: int) -> None:
    """Act on a measurement of memory, with as many runs under way."""
    settings = s.settings
    limit = settings.memory_limit
    if not limit:
        return
    s.effects.evict = _excess(s, process_bytes, managed_bytes)
    if settings.memory_pause is None:
        return
    if not s.paused and process_bytes > settings.memory_pause * limit:
        s.paused = True
        s.effects.pause = True
    elif s.paused and process_bytes < (settings.memory_pause - settings.resume_margin) * limit:
        s.paused = False
        s.effects.resume = True
    else:
        _note_stuck(s, managed_bytes, running)
        return
    s.stuck_since = None
    if s.connected and not s.closing:
        s.effects.send.append(m.WorkerStatus("paused" if s.paused else "running"))


def _note_stuck(s: WorkerState, managed_bytes: int, running: int) -> None:
    """Leave when the worker is paused for good: nothing that it knows of can free memory."""
    settings = s.settings
    after = settings.stuck_after
    if after is None or not s.paused or s.closing or running or s.missing_keys:
        s.stuck_since = None
    elif managed_bytes > _HELD * settings.memory_limit and s.effects.evict:
        s.stuck_since = None  # there is something to write to disk yet
    elif s.stuck_since is None:
        s.stuck_since = s.now
    elif s.now - s.stuck_since >= after:
        s.stuck_since = inf  # once
        s.effects.leave = f"it was paused for {after:g} s with nothing to run or to write to disk"


def _excess(s: WorkerState, process_bytes: int, managed_bytes: int) -> int:
    """Return how many bytes of data should go to disk now."""
    settings = s.settings
    limit = settings.memory_limit
    excess = 0.0
    if settings.memory_target is not None:
        excess = managed_bytes - settings.memory_target * limit
    if settings.memory_spill is not None:
        low = settings.memory_spill
        if settings.memory_target is not None:
            low = min(low, settings.memory_target)
        if process_bytes > settings.memory_spill * limit:
            s.spilling = True
        elif process_bytes <= low * limit:
            s.spilling = False
        if s.spilling:
            excess = max(excess, process_bytes - low * limit)
    return max(0, min(int(excess), managed_bytes))
