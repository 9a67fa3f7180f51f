"""The states of a task in the scheduler, and every change between them.

    released ──> waiting ──> queued ──> processing ──> memory ──> forgotten
                  │    │
                  │    └──> no-worker
                  └──> erred

released    known, its result is not there and nobody needs it now
waiting     needed; some inputs are not in memory (or all are, and it is placed when the event ends)
no-worker   ready, but no worker fits (none at all, or none that its restrictions allow)
queued      ready; waits in the scheduler, in the common queue or in that of one worker
processing  sent to a worker
memory      the result is on one worker or more
erred       it failed, or something that it needs failed
forgotten   no longer known

`TRANSITIONS` is the whole truth: `move` refuses anything else where the core is validated, the
simulator counts which were exercised, and the documentation's diagram is drawn from it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from shoal.scheduler.core.state import STATES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shoal.scheduler.core.state import SchedulerState, StateName, TaskState

__all__ = ["ACTIVE", "STATES", "TRANSITIONS", "move", "move_many"]

# States in which a task holds on to its inputs.
ACTIVE: frozenset[StateName] = frozenset({"waiting", "no-worker", "queued", "processing"})

TRANSITIONS: dict[tuple[StateName, StateName], str] = {
    ("released", "waiting"): "somebody needs it",
    ("released", "processing"): "a worker that came back runs it already",
    ("released", "memory"): "a worker brought it, or it was scattered",
    ("released", "erred"): "needed, but an input failed or its data is lost",
    ("released", "forgotten"): "nobody can ask for it any more",
    ("waiting", "processing"): "all inputs are there and a worker has room",
    ("waiting", "queued"): "all inputs are there, no worker has room",
    ("waiting", "no-worker"): "all inputs are there, no worker fits, or is there long enough",
    ("waiting", "memory"): "a worker that came back holds it",
    ("waiting", "erred"): "an input failed, or it did and is not run again",
    ("waiting", "released"): "nobody needs it any more",
    ("no-worker", "waiting"): "a worker joined, or an input was lost",
    ("no-worker", "memory"): "a worker that joined holds it",
    ("no-worker", "erred"): "no worker came within no-workers-timeout",
    ("no-worker", "released"): "nobody needs it any more",
    ("queued", "processing"): "a worker has room",
    ("queued", "waiting"): "an input was lost, or its worker left, or ends before it could",
    ("queued", "memory"): "a worker that came back holds it",
    ("queued", "released"): "nobody needs it any more",
    ("processing", "memory"): "it ended well",
    ("processing", "waiting"): "it did not end well: run again, or given up at once",
    ("processing", "released"): "nobody needs it any more",
    ("memory", "released"): "every copy was lost, or nobody needs it but it may be needed again",
    ("memory", "forgotten"): "nobody can ask for it any more",
    ("erred", "released"): "to be tried again",
    ("erred", "memory"): "a worker that came back holds it",
    ("erred", "forgotten"): "nobody can ask for it any more",
}


def move(s: SchedulerState, ts: TaskState, finish: StateName) -> None:
    """Change the state of a task: the one place that does, with `move_many`."""
    start = ts.state
    group = ts.group
    group.left[start] += 1
    group.entered[finish] += 1
    ts.state = finish
    s.log.append((ts.key, start, finish, s.stimulus, s.now))
    if s.watch is not None:
        s.watch(ts, start, finish)


def move_many(
    s: SchedulerState, tasks: Sequence[TaskState], keys: Sequence[str], *path: StateName
) -> None:
    """Change the state of tasks of one group alike, one change after the other.

    Parameters
    ----------
    keys : sequence of str
        Their keys, in a list that nobody changes any more.
    path : str
        The state they are in, and those that they are to go through.
    """
    group, n = tasks[0].group, len(tasks)
    for start in path[:-1]:
        group.left[start] += n
    for finish in path[1:]:
        group.entered[finish] += n
    finish = path[-1]
    for ts in tasks:
        ts.state = finish
    s.log.append_many(keys, path, s.stimulus, s.now)
    watch = s.watch
    if watch is not None:
        for start, finish in pairwise(path):
            for ts in tasks:
                watch(ts, start, finish)
