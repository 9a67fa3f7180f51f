"""Short tasks are sent ahead of their inputs, to the worker that computes these.

A chain, or a stencil's point and its neighbours, would else pay a round trip for each step. Such a
task stays `waiting`, with a worker and a run; it becomes `processing`, without a word, when the
last of its inputs is told to be there. The worker keeps it back until then, and gives it up with
`MissingDeps` when an input that it computed itself fails, is freed or is taken away from it, so
nothing has to be called back here for that.

Only what costs nothing to bring is sent ahead: every input is computed there, is there, or travels
with the task. A task sent ahead does not count as work of the worker until it begins, so it takes
no place from tasks that could begin now.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from shoal.scheduler.core.outgoing import tell_worker
from shoal.scheduler.core.policies.estimates import estimate
from shoal.scheduler.core.state import NO_OPTIONS
from shoal.scheduler.core.transitions.processing import assign
from shoal.wire.messages import Steal

if TYPE_CHECKING:
    from shoal.scheduler.core.state import SchedulerState, TaskState, WorkerState

__all__ = ["call_back", "send_ahead"]

# Seconds that the task and its inputs are thought to take at most: a round trip is nothing to those
# that take longer, and another worker may be free by then.
_SHORT = 2e-3
_DEPS_LOOKED_AT = 16
# How many workers with room are looked at, and how many seconds of work more than the one of them
# that has the least a worker may have.
_SAMPLE = 8
_LEAD = 5e-3


def send_ahead(s: SchedulerState) -> None:
    """Send ahead what can be, of the tasks whose inputs were assigned or came in this event.

    A worker that has more to do than others would else take all that depends on what it does.
    """
    ahead_candidates = s.ahead_candidates
    most = s.settings.pipeline_tasks
    least = second = s.settings.pipeline
    idlest: WorkerState | None = None
    for ws in islice(s.open, _SAMPLE):
        work = _work(ws) + _LEAD
        if work < least:
            idlest, least, second = ws, work, least
        elif work < second:
            second = work
    for ts in ahead_candidates:  # it grows by the dependents of those that are sent
        if ts.state != "waiting" or ts.worker is not None or not ts.waiting_on:
            continue
        found = _where_inputs_come(ts)
        if found is None:
            continue
        ws = found
        if (
            _work(ws) < (second if ws is idlest else least)
            and len(ws.ahead) < most * ws.nthreads
            and ws.running
            and not ws.queue.size
            and ts.options is NO_OPTIONS
            and ts.rare is None
            and estimate(s, ts) <= _SHORT
        ):
            s.budget -= 1
            assign(s, ts, ws)
            if s.budget <= 0:
                break
    ahead_candidates.clear()


def _work(ws: WorkerState) -> float:
    """Return the seconds of work that a worker was sent, a thread."""
    return (ws.occupancy + ws.ahead_work) / ws.nthreads


def _where_inputs_come(ts: TaskState) -> WorkerState | None:
    """Return the worker that computes all inputs that are not there yet, if there is one.

    An input with rarities was asked back, ran where a worker died, or the like: it is waited for.
    """
    deps = ts.deps
    found: WorkerState | None = None
    for dep in deps:
        state = dep.state
        if state != "memory":
            ws = dep.worker
            if (
                ws is None
                or (found is not None and ws is not found)
                or state == "queued"
                or dep.rare is not None
                or dep.estimate > _SHORT
                or dep.options is not NO_OPTIONS
            ):
                return None
            found = ws
    if found is None or len(deps) > _DEPS_LOOKED_AT:
        return None
    for dep in deps:
        if dep.state == "memory" and found not in dep.who_has:
            other = dep.who_has[0]
            if dep.value is None or _work(other) < _work(found):
                return None
    return found


def call_back(s: SchedulerState, ws: WorkerState) -> None:
    """A worker starts nothing any more: ask for what was sent ahead and did not begin there."""
    asked = [ts for ts in ws.ahead if ts not in ws.returning and not ts.begun]
    if asked:
        ws.returning.update(asked)
        tell_worker(s, ws, Steal([ts.key for ts in asked]))
