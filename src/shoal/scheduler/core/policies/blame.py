"""Blame: which task is the cause of a worker's death, and when it is given up for that.

A nanny knows which runs its process died in the midst of. One run alone is the cause; several
cannot be told apart, so each of them runs alone on a worker the next time, in quarantine: what was
innocent ends there, and what kills again is alone when it does. So nothing fails for what another
task did. A run that was let go of meanwhile, its task released or cancelled, is no suspect, and it
may be the cause all the same: whoever ran beside it was not alone. Where there is no nanny the runs
are guessed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from shoal.scheduler.core.state import TaskState, WorkerState

__all__ = ["blame", "find_suspects"]


def find_suspects(ws: WorkerState, running: Collection[int] | None) -> set[TaskState]:
    """Return the tasks that were running when a worker died, or may have been.

    Parameters
    ----------
    ws : WorkerState
        The worker that died.
    running : collection of int, optional
        The numbers of the runs that it was in the midst of. None where nobody knows: a worker runs
        what it has in the order of priority, so these are the first of each kind, and what its last
        heartbeat named.
    """
    if running is not None:
        return {ts for ts in ws.processing if ts.run in running}
    ordered = sorted(
        (ts for ts in ws.processing if ts not in ws.long_running), key=lambda ts: ts.priority
    )
    suspects = set(ordered[: ws.nthreads]) | ws.long_running
    suspects.update(ts for ts in ordered if ts.key in ws.executing)
    return suspects


def blame(ts: TaskState, runs: int, worker: str, reason: str, allowed: int) -> bool:
    """Note a death against a task; return whether it is given up.

    Parameters
    ----------
    ts : TaskState
        One of the suspects.
    runs : int
        How many runs the worker died in the midst of, also those of tasks that nobody needs now.
    worker, reason : str
        Which worker died, and how.
    allowed : int
        Deaths that a task may cause, ``distributed.scheduler.allowed-failures``.
    """
    ts.group.prefix.suspicious += 1
    rare = ts.rarities()
    rare.deaths.append((worker, reason))
    rare.avoid = None
    # A seceded run was with others all the same: it may have waited for one of them.
    certain = runs == 1 or (rare.alone and not rare.long_running)
    rare.alone = rare.alone or not certain
    return certain and len(rare.deaths) > allowed
