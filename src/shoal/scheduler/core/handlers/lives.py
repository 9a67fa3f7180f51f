"""Which life of a key a message means, and what happens where two of them meet.

A life of a key begins when a client defines a task or puts data under it, with a number that the
client draws, and ends when nobody needs it any more. Words about another life than the one that is
known are dropped here, and so is what they are about. Two lives meet where a name is used again:

- by somebody while others still want what it stands for: there is one life, the first one;
- by somebody while only tasks need what it stood for: that goes on under a name of its own
  (`set_aside`), which nobody but the scheduler and the client that defined it knows;
- data equal to what is there (its key is a digest): copies of both are copies of the first;
- data under a name that a user chose: the newest one is what the name stands for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from shoal._base.keys import set_aside_key
from shoal.scheduler.core.journal.recipes import note_life
from shoal.scheduler.core.outgoing import tell_free, tell_worker
from shoal.scheduler.core.transitions.demand import (
    drop_result,
    drop_want,
    leave_worker,
    let_go_of_inputs,
)
from shoal.scheduler.core.transitions.losing import lose_result, rerun
from shoal.scheduler.core.transitions.processing import activate
from shoal.scheduler.core.transitions.table import ACTIVE, move
from shoal.wire.messages import Acquire

if TYPE_CHECKING:
    from shoal.scheduler.core.state import (
        FunctionState,
        SchedulerState,
        TaskState,
        WorkerState,
    )
    from shoal.wire.blob import Buffer

Definition: TypeAlias = "tuple[bytes, list[Buffer], list[str]]"
"""Of a task, beside its function: arguments, large buffers of these, keys of inputs."""

__all__ = [
    "begin_life_of_data",
    "claim",
    "is_life_of",
    "merge_copy",
    "set_aside",
    "set_aside_for_data",
    "take_life",
]


def is_life_of(ts: TaskState, life: int) -> bool:
    """Whether a word about a life is one about this task, as far as anybody knows."""
    return ts.life == life or not life or not ts.life


def take_life(s: SchedulerState, ts: TaskState, life: int) -> bool:
    """Take a copy that a worker brought back as one of this task; return False if it is not.

    Where nobody has said yet which life is meant, the newest that is brought is.
    """
    if ts.life == life or not life:
        return True
    if ts.life and (ts not in s.recovery.unclaimed or life < ts.life):
        return False
    if ts.life:
        _give_up_copies(s, ts)
    ts.life = life
    if s.recorder is not None:
        note_life(s.recorder, ts)
    s.recovery.unclaimed[ts] = None
    return True


def claim(s: SchedulerState, ts: TaskState, life: int) -> None:
    """A client defines what was known as somebody's input, or as brought by a worker, only."""
    if life and ts.life != life:
        if ts.life and (ts in s.recovery.unclaimed or not (ts.waiters or _is_wanted(s, ts))):
            _give_up_copies(s, ts)
        if ts.state != "memory" or not ts.life:
            ts.life = life
    if s.recovery.unclaimed:
        s.recovery.unclaimed.pop(ts, None)
    if ts.state == "erred":  # it was given up as lost data
        move(s, ts, "released")
        ts.rare = None


def _is_wanted(s: SchedulerState, ts: TaskState) -> bool:
    """Whether anybody wants it who is there: not one that is gone, and may come back."""
    retaining = None if s.coordination is None else s.coordination.retaining_client
    return any(c.real or c is s.fire_and_forget or c is retaining for c in ts.wanted_by)


def _give_up_copies(s: SchedulerState, ts: TaskState) -> None:
    """Drop what is there of a life that is over."""
    if ts.state == "memory":
        drop_result(s, ts)
        lose_result(s, ts)


# ------------------------------------------------------------------------------ tasks


def set_aside(
    s: SchedulerState, ts: TaskState, function: FunctionState, definition: Definition
) -> bool:
    """Free a task's name for another definition that a client wants; return False if it stays.

    It stays where the definition is the same, where a client wants the result, and where the
    result cannot be computed again. Otherwise it goes on under a name of its own, as long as tasks
    need it: what workers have of it is given up, for they know one life of a name at a time.
    """
    if ts.function is function and definition == (
        ts.args,
        ts.buffers or [],
        [dep.key for dep in ts.deps],
    ):
        return False
    if _is_wanted(s, ts) or ts.options.actor:
        return False
    _go_on_aside(s, ts)
    return True


def set_aside_for_data(s: SchedulerState, ts: TaskState, life: int) -> bool:
    """Free a name for other data where nobody wants what it stands for, but tasks were made of it.

    These are computed again of what they were made of, or not at all: it may be lost. Return
    whether the name is free.
    """
    if not ts.dependents or not ts.life or is_life_of(ts, life):
        return False
    if _is_wanted(s, ts) or ts.options.actor or ts in s.recovery.unclaimed:
        return False
    _go_on_aside(s, ts)
    return True


def _go_on_aside(s: SchedulerState, ts: TaskState) -> None:
    """Let a task go on under a name of its own; what workers have of it is given up."""
    name = set_aside_key(ts.key, ts.life)
    if name in s.tasks:  # its client came back, and told of it by that name
        name = f"{name}.{ts.serial}"
    if ts.state in ACTIVE:
        ws = leave_worker(s, ts)
        if ws is not None:
            tell_free(s, ws, ts.key, ts.life)
        move(s, ts, "released")
        ts.waiting_on = 0
        let_go_of_inputs(s, ts)
    elif ts.state == "memory":
        _give_up_copies(s, ts)
    for dependent in () if ts.dependents is None else list(ts.dependents):
        if dependent.worker is not None and dependent.state != "queued" and not dependent.begun:
            _take_off_worker(s, dependent)
    s.tasks.drop(ts.key)
    s.adopted_until.pop(ts.key, None)
    ts.key = name
    s.tasks.add(name, ts)
    if s.recorder is not None:
        note_life(s.recorder, ts)
    drop_want(s, s.adopted, ts)
    if ts.needed and ts.state == "released":
        activate(s, ts)
    elif not ts.needed:
        s.unneeded.append(ts)


def _take_off_worker(s: SchedulerState, ts: TaskState) -> None:
    """Have a task start over that was sent with the name of an input that is another's now."""
    ws = rerun(s, ts) if ts.state == "processing" else leave_worker(s, ts)
    if ws is not None:
        tell_free(s, ws, ts.key, ts.life)


# ------------------------------------------------------------------------------ data


def begin_life_of_data(s: SchedulerState, ts: TaskState, life: int, equal: bool) -> bool:
    """Data was put under a name that has another life; return whether that one is over now.

    Otherwise both are equal, and what was put are copies (`merge_copy`).
    """
    if ts.state == "memory":
        if equal and ts.function is None:
            return False
        _give_up_copies(s, ts)
    elif ts.state in ACTIVE:
        ws = leave_worker(s, ts)
        if ws is not None:
            tell_free(s, ws, ts.key, ts.life)
        move(s, ts, "released")
        ts.waiting_on = 0
        let_go_of_inputs(s, ts)
    ts.life = life
    if s.recorder is not None:
        note_life(s.recorder, ts)
    s.recovery.unclaimed.pop(ts, None)
    return True


def merge_copy(s: SchedulerState, ts: TaskState, ws: WorkerState, life: int) -> None:
    """A worker has, under another life, what equals this data: that is a copy of it.

    Told in any case: the worker may have dropped the copy that it is said to have.
    """
    if ws not in ts.who_has:
        ws.pending[ts] = None
    holders = [holder.address for holder in ts.who_has if holder is not ws]
    tell_worker(s, ws, Acquire([ts.key], [ts.nbytes], [holders], [ts.life], [life]))
