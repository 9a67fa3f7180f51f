"""When data goes to disk and when no new task starts, from what the process and the data take.

Managed bytes (what the store knows of) above `memory_target` go to disk. A process above
`memory_spill` has more in it than that: data goes to disk until it is below the target, which the
measurements that follow tell. While memory is short, what is planned counts as well: room is made
for what is to begin next. Values that are being written count as gone.

The size of the process is looked at after garbage was collected and free memory given back to the
system, before anything is paused: neither happens by itself in time. Above `memory_pause`, for a
while, nothing new starts. A worker that stays there with nothing that runs and nothing to write to
disk has lost its memory to something else, and makes room for a new process. Ending a worker that
passes everything is its nanny's business.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from shoal.wire import messages as m
from shoal.worker.core.admission import guard, in_use, needed_later, take_back, unguard

if TYPE_CHECKING:
    from shoal.worker.core.budget import Budget
    from shoal.worker.core.events import Evicted, MemoryMeasured
    from shoal.worker.core.state import WorkerState

__all__ = ["evicted", "make_room", "measured"]

_HELD = 0.01  # of the limit: less in memory is not what fills it
_SHORT = 0.6  # of the limit, with the next runs: memory is short
_AMPLE = 0.5  # of the limit, with the next runs: memory is not short any more,
_AMPLE_FOR = 2.0  # when that is so for so many seconds
_OVER_FOR = 0.25  # seconds above `memory_pause` before the worker pauses
_STAYS = 1.0  # seconds in which a worker that paused, or went on, does not change that again
_TRIM_AFTER = 0.25  # seconds between two times that free memory is given back
_TRIM_IDLE_AFTER = 10.0  # the same where memory is not short, and nothing runs
_COLLECT_AFTER = 2.0  # seconds between two collections of garbage
_WORTH_TRIMMING = 0.1  # of the limit
_AT_ONCE = 0.02  # of the limit: what is written together at least, while memory is short
_IN_VAIN = 0.2  # seconds until more is written, where all was in use
_LITTLE = 0.02  # of the limit: where less was freed, more cannot be
_DISK_FULL = 2.0  # seconds until it is tried again where the disk was full


def measured(s: WorkerState, event: MemoryMeasured) -> None:
    """Act on a measurement of memory."""
    b = s.budget
    if not b.limit:
        return
    b.note(event.process_bytes, event.managed_bytes, event.running, event.giving, s.now)
    if event.peaks:
        b.learn_peaks(event.peaks)
    if s.guard is None:
        if _is_short(s, b, _SHORT):
            b.short_since = s.now
            guard(s)
    elif _is_short(s, b, _AMPLE):
        b.short_since = s.now
    elif s.now - (b.short_since or 0.0) >= _AMPLE_FOR:
        unguard(s)
    _reclaim(s, b)
    if s.guard is None:
        make_room(s, b)
    if s.settings.memory_pause is not None:
        _pause_or_resume(s, b)
        _note_stuck(s, b, event.running)


def evicted(s: WorkerState, event: Evicted) -> None:
    """Values went to disk, or could not."""
    b = s.budget
    b.evicting = 0
    b.on_disk.update(key for key in event.keys if key in s.data)
    b.full = event.reason
    if event.then is None:
        b.managed = max(0, b.managed - event.freed)
        b.process = max(0, b.process - event.freed)
    left = b.managed if event.then is None else event.then.managed_bytes
    # Values that left memory meanwhile in another way need not be written any more.
    freed_little = event.freed < min(event.asked // 2, _LITTLE * b.limit) and left > b.aim
    b.vain = freed_little and not b.freer
    if b.vain:
        b.next_evict = s.now + (_DISK_FULL if event.reason else _IN_VAIN)


def _is_short(s: WorkerState, b: Budget, part: float) -> bool:
    if s.requests or b.evicting:
        return True
    next_ones = (b.nthreads + 1) * b.largest
    return b.baseline + b.managed + s.fetching_bytes + next_ones > part * b.limit


def make_room(s: WorkerState, b: Budget) -> None:
    """Have data written to disk where there is too much in memory, or will be."""
    b.vain = b.vain and s.now < b.next_evict
    if s.now < b.next_evict or b.evicting or s.effects.revoke:  # inputs in use are not known yet
        return
    wanted = max(_excess(s, b), b.lacking)
    if wanted and s.guard is not None:
        wanted = max(wanted, int(_AT_ONCE * b.limit))
    nbytes = min(wanted, b.managed)
    if nbytes <= 0:
        return
    b.freer = False
    b.aim = b.managed - nbytes // 2
    b.evicting = nbytes  # one at a time: what is in use may be another then
    s.effects.evict = nbytes
    s.effects.in_use = in_use(s)
    s.effects.spare = needed_later(s)


def _excess(s: WorkerState, b: Budget) -> int:
    """Return how many bytes of data are too many in memory now."""
    settings = s.settings
    limit = b.limit
    excess = 0.0
    if settings.memory_target is not None:
        excess = b.managed - settings.memory_target * limit
    if settings.memory_spill is not None:
        low = settings.memory_spill
        if settings.memory_target is not None:
            low = min(low, settings.memory_target)
        process = b.settled
        if process > settings.memory_spill * limit:
            s.spilling = True
        elif process <= low * limit:
            s.spilling = False
        if s.spilling:
            excess = max(excess, process - low * limit)
    if s.guard is not None and settings.memory_pause is not None and not b.reclaiming:
        # More than was planned for: whatever is not in use makes room.
        excess = max(excess, b.process - settings.memory_pause * limit)
    return max(0, min(int(excess), b.managed))


def _reclaim(s: WorkerState, b: Budget) -> None:
    """Have garbage collected, or free memory given back, where that may help."""
    settings = s.settings
    over = b.process > (settings.memory_pause or inf) * b.limit
    if (over or s.paused) and s.now - b.collected >= _COLLECT_AFTER:
        b.collected = b.trimmed = s.now
        s.effects.reclaim = "collect"
    elif (
        s.guard is not None
        and s.now - b.trimmed >= _TRIM_AFTER
        and b.process > b.baseline + b.managed + s.fetching_bytes + _WORTH_TRIMMING * b.limit
    ) or (
        b.idle
        and s.now - b.trimmed >= _TRIM_IDLE_AFTER
        and b.process - b.managed > b.reclaimed + _WORTH_TRIMMING * b.limit
    ):
        b.trimmed = s.now
        s.effects.reclaim = "trim"
    b.reclaiming = bool(s.effects.reclaim)


def _pause_or_resume(s: WorkerState, b: Budget) -> None:
    settings = s.settings
    pause = settings.memory_pause
    assert pause is not None
    if b.process <= pause * b.limit:
        b.over_since = None
    elif b.over_since is None:
        b.over_since = s.now
    if s.now - b.changed < _STAYS:
        return
    if not s.paused:
        if b.over_since is None or s.now - b.over_since < _OVER_FOR or b.evicting:
            return
        if _only_data(s, b, pause):
            return
        s.paused = s.effects.pause = True
        if s.guard is not None:
            take_back(s)
    elif b.process < (pause - settings.resume_margin) * b.limit or _only_data(s, b, pause):
        s.paused = False
        s.effects.resume = True
    else:
        return
    b.changed = s.now
    s.stuck_since = None
    if s.connected and not s.closing:
        s.effects.send.append(m.WorkerStatus("paused" if s.paused else "running"))


def _only_data(s: WorkerState, b: Budget, pause: float) -> bool:
    """Whether data fills the memory that cannot go to disk: what takes none to speak of goes on."""
    return bool(b.full) and b.baseline < (pause - s.settings.resume_margin) * b.limit


def _note_stuck(s: WorkerState, b: Budget, running: int) -> None:
    """Leave when the worker is paused for good: nothing that it knows of can free memory."""
    after = s.settings.stuck_after
    busy = running or s.missing_keys or (b.managed > _HELD * b.limit and not b.vain)
    if after is None or not s.paused or s.closing or busy or s.effects.pause:
        s.stuck_since = None
    elif s.stuck_since is None:
        s.stuck_since = s.now
    elif s.now - s.stuck_since >= after:
        s.stuck_since = inf  # once
        s.effects.leave = f"it was paused for {after:g} s with nothing to run or to write to disk"
