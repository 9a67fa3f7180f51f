"""Large changes, slice by slice: no event touches many more tasks than `Settings.slice`.

The loop must not stand still while a million tasks are released, cancelled or lost with their
worker. So an event has a budget of tasks, and those that come in the same turn of the loop share it
if one of them used much. Work that it does not get done stays in worklists of the
state (`unneeded`, `work`, `ready`, the common queue while workers have room), `Effects.more` is
set, and the shell sends a `Continue` once the loop has looked at its sockets. A change of a few
tasks is done within its event, as if there were no slices.

Clients' messages wait in `inbox`, in order, as long as anything is under way that would have been
done before: a graph may mean another task by a key that was released just before it.

A large change is an iterator that yields how many tasks it touched, about, whenever the state is
such that other events may come in between.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shoal.scheduler.core.state import SchedulerState

__all__ = [
    "busy",
    "carry_on",
    "finish_work",
    "in_steps",
    "start",
    "step_of",
    "unfinished",
    "used_much",
]

_STEP = 500  # tasks between two looks at the budget

T = TypeVar("T")


def start(s: SchedulerState, work: Iterator[int]) -> None:
    """Begin a change; what the budget allows of it is done at once."""
    s.work.append(work)
    carry_on(s)


def carry_on(s: SchedulerState) -> None:
    """Go on with the changes under way, the oldest first, as far as the budget allows."""
    work = s.work
    while work and s.budget > 0:
        touched = next(work[0], None)
        if touched is None:
            work.popleft()
        else:
            s.budget -= touched


def finish_work(s: SchedulerState) -> None:
    """Bring all changes under way to their end, whatever it takes."""
    work = s.work
    while work:
        for _ in work[0]:
            pass
        work.popleft()


def busy(s: SchedulerState) -> bool:
    """Whether anything is under way that a client's message must wait for."""
    return bool(s.work or s.unneeded)


def step_of(s: SchedulerState) -> int:
    """Return how many tasks a change should touch between two looks at the budget."""
    return min(_STEP, s.settings.slice)


def unfinished(s: SchedulerState) -> bool:
    """Whether a `Continue` is due."""
    if s.work or s.unneeded or s.inbox:
        return True
    if s.recovery.until is not None:
        return False
    return bool(s.ready or s.refill or (s.queue.size and s.open))


def used_much(s: SchedulerState) -> bool:
    """Whether more than a quarter of the budget is gone.

    Then a `Continue` is due as well, though nothing may be left: several events with hundreds of
    tasks each may come in one turn.
    """
    return s.budget * 4 < s.settings.slice * 3


def in_steps(s: SchedulerState, items: Iterable[T]) -> Iterator[list[T]]:
    """Return the items in parts, none larger than a slice."""
    iterator = iter(items)
    size = step_of(s)
    while part := list(islice(iterator, size)):
        yield part
