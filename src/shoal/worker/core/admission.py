"""Which runs begin, and what is fetched, while memory is short: what is expected to fit.

Memory is short (the worker is *guarded*, `s.guard` is its budget) when what is in use, together
with a few more of the largest runs, comes near the line above which a worker pauses. Then runs are
held, and the best of them begins when what it needs and makes fits below that line. Where it does
not, room is made by writing to disk what is not in use. One always may begin where nothing else
goes on: it is then the only one to go beyond. Runs that take nothing to speak of are never held.

While memory is not short none of this costs anything.
"""

from __future__ import annotations

from heapq import heappop, heappush, nsmallest
from typing import TYPE_CHECKING

from shoal.worker.core.budget import Reservation, need_of
from shoal.worker.core.fetch import let_go
from shoal.worker.core.in_place import inputs_brought
from shoal.worker.core.transitions import held_back, missing_inputs

if TYPE_CHECKING:
    from shoal.worker.core.budget import Budget
    from shoal.worker.core.state import TaskRun, WorkerState

__all__ = [
    "admit",
    "begun",
    "guard",
    "in_use",
    "needed_later",
    "refuse_unfetched",
    "take_back",
    "unguard",
    "waiting_for_memory",
]

_REFUSE_AFTER = 5.0  # seconds in which nothing went on before a run is refused


def guard(s: WorkerState) -> None:
    """Memory is short from now on: take back what did not begin, for some of it might not fit."""
    b = s.guard = s.budget
    for task in s.tasks.values():
        if task.state != "ready":
            continue
        if task in s.effects.execute or not _is_small(s, task):
            task.state = "recalled"
            s.effects.revoke.append(task)
    if s.effects.execute:  # they need not come back from where they never went
        mine = [task for task in s.effects.execute if task.state == "recalled"]
        s.effects.execute = [task for task in s.effects.execute if task.state != "recalled"]
        s.effects.revoke = [task for task in s.effects.revoke if task not in mine]
        for task in mine:
            s.effects.after.pop(task, None)
            task.state = "held"
            s.serial += 1
            heappush(b.held, (task.compute.priority, s.serial, task))


def take_back(s: WorkerState) -> None:
    """A paused worker's runs that did not begin use nothing: what they need may go to disk."""
    for task in s.tasks.values():
        if task.state == "ready" and task not in s.effects.execute:
            task.state = "recalled"
            s.effects.revoke.append(task)


def unguard(s: WorkerState) -> None:
    """Memory is not short any more: all that was held begins."""
    b = s.budget
    s.guard = None
    b.running.clear()
    b.lacking = 0
    b.blocked_since = None
    held, b.held = b.held, []
    for _, _, task in sorted(held, key=lambda entry: entry[:2]):
        if task.state != "held":
            continue
        if missing_inputs(s, task.compute):
            held_back(s, task)
        else:
            task.state = "ready"
            s.effects.execute.append(task)


def begun(s: WorkerState, task: TaskRun) -> None:
    """A run is with the executor that was not let begin here: it counts as the others."""
    if s.guard is not None and not _is_small(s, task):
        s.guard.running[task] = need_of(s, task)


def _is_small(s: WorkerState, task: TaskRun) -> bool:
    return s.budget.is_small(need_of(s, task))


def admit(s: WorkerState) -> None:
    """Let runs begin, the best first, as far as memory goes."""
    b = s.guard
    if b is None or s.paused:
        return
    b.lacking = 0
    held = b.held
    while held:
        task = held[0][2]
        if task.state != "held":
            heappop(held)
        elif missing_inputs(s, task.compute):  # they were freed, or lost
            heappop(held)
            held_back(s, task)
        elif _occupied(b) >= b.nthreads:
            return
        elif not _fits(s, b, task):
            _note_blocked(s, b, task)
            return
        else:
            heappop(held)
            _begin(s, b, task, need_of(s, task))


def _occupied(b: Budget) -> int:
    return sum(task.state != "long-running" for task in b.running)


def _fits(s: WorkerState, b: Budget, task: TaskRun) -> bool:
    need = need_of(s, task)
    amount = need.new + need.read
    lacks = b.lacks(amount, s.now, s.fetching_bytes)
    if not lacks or b.is_small(need):
        return True
    b.lacking = lacks
    if b.full:  # a run is refused for what is known of its function, and tried where nothing is
        known = amount if task.compute.function in b.usage or task.need else need.read
        if b.process + known > b.hard:
            return False
    return alone(s, b)


def alone(s: WorkerState, b: Budget) -> bool:
    """Whether nothing goes on that might make room, so that one more may begin."""
    if b.running or s.fetching_bytes or b.evicting or b.reclaiming or s.effects.fetch:
        return False
    return b.exhausted  # values that can go to disk go first


def _begin(s: WorkerState, b: Budget, task: TaskRun, need: Reservation) -> None:
    b.running[task] = need
    if need.read:
        b.on_disk.difference_update(inputs_brought(task.compute))
    b.blocked_since = None
    task.state = "ready"
    s.effects.execute.append(task)


def _note_blocked(s: WorkerState, b: Budget, task: TaskRun) -> None:
    """Refuse a run that waits in vain: nothing goes on here, and the disk takes no more.

    Runs that do not fit either, after that, are refused at once.
    """
    if not b.full or b.running or s.fetching_bytes:
        b.blocked_since = None
    elif b.blocked_since is None:
        b.blocked_since = s.now
    elif s.now - b.blocked_since >= _REFUSE_AFTER and s.now < b.next_evict:  # it was tried just now
        refuse(s, b, task)


def refuse_unfetched(s: WorkerState, b: Budget) -> None:
    """Refuse a run whose input cannot come: nothing goes on here, and there is no room for it.

    Called after requests to peers were planned.
    """
    if not b.full or s.paused:
        return
    if b.running or s.fetching_bytes or s.effects.execute:
        b.blocked_since = None
        return
    if any(task.state == "held" for _, _, task in b.held):
        return  # that one is to begin, or to be refused, first
    waiting = [
        task
        for item in s.missing_keys.values()
        if item.peer is not None and item.flight is None and b.process + item.nbytes > b.hard
        for task in item.tasks
    ]
    if waiting:
        _note_blocked(s, b, min(waiting, key=lambda task: (task.compute.priority, task.run)))


def refuse(s: WorkerState, b: Budget, task: TaskRun) -> None:
    """Have a run fail for want of memory."""
    need = need_of(s, task)
    if task.state == "waiting":
        let_go(s, task)
    task.state = "ready"  # with the executor, which answers at once
    s.effects.refuse[task] = (
        f"{task.key!r} needs about {need.new + need.read:,} bytes of memory, and the worker has "
        f"{max(0, b.hard - b.process):,} left of its limit of {b.limit:,}: {b.managed:,} are "
        f"results, which cannot go to disk: {b.full}"
    )


def waiting_for_memory(s: WorkerState, most: int) -> dict[str, str]:
    """Return which runs are held, and why, in words; so many at most."""
    b = s.guard
    if b is None:
        return {}
    found: dict[str, str] = {}
    for _, _, task in nsmallest(most, b.held):
        if task.state == "held":
            need = need_of(s, task)
            found[task.key] = (
                f"waits for memory: it takes about {need.new + need.read:,} bytes, and of the "
                f"limit of {b.limit:,} the process takes {b.process:,}, {b.managed:,} of them "
                "results"
            )
            if b.full:
                found[task.key] += f", which cannot go to disk: {b.full}"
    return found


def in_use(s: WorkerState) -> frozenset[str]:
    """Return the keys of values that runs use at this moment: to write them frees nothing."""
    b = s.budget
    return frozenset(dep for task in b.running for dep in inputs_brought(task.compute))


def needed_later(s: WorkerState) -> list[str]:
    """Return the keys of values that runs here will use, what is used last first."""
    first: dict[str, tuple[tuple[float, int, int], int]] = {}
    data = s.data
    for task in s.tasks.values():
        if task.state in ("held", "waiting", "constrained", "ready"):
            rank = (task.compute.priority, task.run)
            for dep in task.compute.deps:
                if dep in data and (dep not in first or rank < first[dep]):
                    first[dep] = rank
    return sorted(first, key=first.__getitem__, reverse=True)
