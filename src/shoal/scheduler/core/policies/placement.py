"""Which worker runs a ready task, and when it is sent there.

A task whose inputs are data of few others goes where its estimated start is earliest: the time
until the worker is free plus the time to bring the missing inputs. All other tasks may run anywhere
and wait in the common queue. A worker is sent only as much as covers the way there and back
(`has_room`); the rest stays in the scheduler, where moving it to another worker costs nothing.
"""

from __future__ import annotations

from itertools import islice
from math import ceil
from operator import attrgetter
from typing import TYPE_CHECKING

from shoal.scheduler.core.policies.estimates import estimate, load
from shoal.scheduler.core.policies.load import note_load
from shoal.scheduler.core.policies.outlasting import fitting_workers, outlasts
from shoal.scheduler.core.policies.restrictions import allowed_workers
from shoal.scheduler.core.state import NO_OPTIONS
from shoal.scheduler.core.transitions.bulk import assign_many, is_plain
from shoal.scheduler.core.transitions.processing import assign
from shoal.scheduler.core.transitions.table import move

if TYPE_CHECKING:
    from shoal.scheduler.core.state import SchedulerState, TaskState, WorkerState

__all__ = ["fill_workers", "place_ready"]

# How many workers with room are compared when any of them would do.
_SAMPLE = 8
_WORTH = 100e-6  # seconds
_priority = attrgetter("priority")
# A task is bound to its inputs only when it has at most so many of them looked at.
_DEPS_LOOKED_AT = 32
# How many tasks a worker that ends before them passes on at a time.
_MOVED = 256


def place_ready(s: SchedulerState) -> None:
    """Place tasks that became ready, as many as the budget of the event allows."""
    ready = s.ready
    if len(ready) > s.budget:
        ready, s.ready = ready[: s.budget], ready[s.budget :]
    else:
        s.ready = []
    s.budget -= len(ready)
    if len(ready) > 1:
        ready.sort(key=_priority)
    anywhere: list[TaskState] = []
    sleeping = s.sleeping
    lifetimes = s.departures.lifetimes
    near: WorkerState | None = None
    share = 0  # how many more go there
    for ts in ready:
        if ts.state != "waiting" or ts.waiting_on or (sleeping and ts in sleeping):
            continue
        rare = ts.rare
        if rare is not None and rare.wake_at > s.now:
            sleeping[ts] = None
            continue
        if lifetimes:
            allowed = fitting_workers(s, ts)
        else:
            allowed = None if ts.options is NO_OPTIONS else allowed_workers(s, ts)
        if (allowed is not None and not allowed) or not s.workers:
            _wait_for_worker(s, ts)
            continue
        may_go_anywhere = allowed is None and (rare is None or rare.avoid is None)
        if may_go_anywhere and (not ts.deps or _inputs_are_common(s, ts)):
            if s.open and not anywhere and not s.queue.size:
                ws = _sibling_worker(s, ts)
                if ws is None:
                    # Neighbours in the order share dependents, mostly: they stay together.
                    if share <= 0 or near not in s.open:
                        near = emptiest_open(s)
                        share = _share(s, ready) * near.nthreads
                    share -= 1
                    ws = near
                assign(s, ts, ws)
                note_load(s, ws)
            else:
                anywhere.append(ts)
        else:
            _place_at(s, ts, _best_worker(s, ts, allowed))
    queued: list[TaskState] = []
    for ts in anywhere:
        if ts.state == "waiting":  # one that became ready twice in the event is there twice
            move(s, ts, "queued")
            queued.append(ts)
    s.queue.push_sorted(queued)


def _wait_for_worker(s: SchedulerState, ts: TaskState) -> None:
    move(s, ts, "no-worker")
    ts.rarities().unrunnable_since = s.now
    s.unrunnable[ts] = None


def _place_where_it_can_end(s: SchedulerState, ts: TaskState) -> None:
    """Place a task that was taken out of a queue for a worker which will not outlast it."""
    move(s, ts, "waiting")
    ts.worker = None
    allowed = fitting_workers(s, ts)
    if allowed is not None and not allowed:
        _wait_for_worker(s, ts)
    else:
        _place_at(s, ts, _best_worker(s, ts, allowed))


def _share(s: SchedulerState, ready: list[TaskState]) -> int:
    """Return how many tasks without inputs each thread gets, where others depend on them."""
    first = [ts for ts in ready if not ts.deps and ts.dependents is not None]
    return -(-len(first) // max(s.total_nthreads, 1)) if first else 1


def _inputs_are_common(s: SchedulerState, ts: TaskState) -> bool:
    """Whether so many tasks share the inputs that these end up on every worker anyway."""
    deps = ts.deps
    if len(deps) > 5:
        return False
    limit = 2 * s.total_nthreads
    return all(dep.dependents is not None and len(dep.dependents) > limit for dep in deps)


def _sibling_worker(s: SchedulerState, ts: TaskState) -> WorkerState | None:
    """Return the worker where another input of this task's only consumer went, if it has room."""
    dependents = ts.dependents
    if dependents is not None and len(dependents) == 1:
        for dependent in dependents:
            hint = dependent.hint
            if hint is not None and hint in s.open:
                return hint
    return None


def emptiest_open(s: SchedulerState) -> WorkerState:
    """Return a worker with room and little to do; one with an idle thread, if there is any."""
    for ws in s.idle:
        return ws
    best: WorkerState | None = None
    best_load = 0.0
    for ws in islice(s.open, _SAMPLE):
        its_load = ws.occupancy / ws.nthreads
        if best is None or its_load < best_load:
            best, best_load = ws, its_load
    assert best is not None
    return best


def _best_worker(
    s: SchedulerState, ts: TaskState, allowed: dict[WorkerState, None] | None
) -> WorkerState:
    """Return the worker where the task would start first."""
    avoid = None if ts.rare is None else ts.rare.avoid
    deps = ts.deps
    if deps and avoid is None and allowed is None:
        # The common chain or tree: stay where all inputs are while there is room.
        (ws, *_) = deps[0].who_has
        if ws in s.open and all(dep.who_has[0] is ws for dep in deps):
            return ws
    candidates: dict[WorkerState, None] = {}
    for dep in deps[:_DEPS_LOOKED_AT]:
        for ws in dep.who_has[:_SAMPLE]:
            if ws.running and (allowed is None or ws in allowed):
                candidates[ws] = None
    if allowed is None:
        for ws in islice(s.idle or s.open, _SAMPLE):
            candidates[ws] = None
        if not candidates:
            candidates = dict.fromkeys(islice(s.workers.values(), _SAMPLE))
    else:
        spare = [ws for ws in allowed if ws.running] or list(allowed)
        for ws in sorted(spare, key=load)[:_SAMPLE]:
            candidates[ws] = None
    if avoid is not None and len(candidates) > 1:
        candidates.pop(avoid, None)
    if ts.options.actor:
        return min(candidates, key=lambda ws: (_actors(ws), load(ws)))
    return _earliest(s, ts, candidates)


def _earliest(s: SchedulerState, ts: TaskState, candidates: dict[WorkerState, None]) -> WorkerState:
    """Return the candidate with the least sum of its load and of the time to bring the inputs."""
    latency, bandwidth = s.settings.latency, s.settings.bandwidth
    spared = dict.fromkeys(candidates, 0.0)
    for dep in ts.deps:
        nbytes = dep.nbytes
        seconds = latency + (nbytes if nbytes > 0 else 0) / bandwidth
        for ws in dep.who_has:
            if ws in spared:
                spared[ws] += seconds
    best: WorkerState | None = None
    best_time = 0.0
    for ws, less in spared.items():
        its_time = (ws.occupancy + ws.queued_work) / ws.nthreads - less
        if best is None or its_time < best_time:
            best, best_time = ws, its_time
    assert best is not None
    return best


def _actors(ws: WorkerState) -> int:
    return sum(1 for ts in ws.held.values() if ts.options.actor)


def _place_at(s: SchedulerState, ts: TaskState, ws: WorkerState) -> None:
    if ws in s.open and not ws.queue.size:
        assign(s, ts, ws)
        note_load(s, ws)
        return
    ts.estimate = estimate(s, ts)
    ts.worker = ws
    move(s, ts, "queued")
    ws.queue.push(ts)
    ws.queued_work += ts.estimate
    s.parked += 1
    s.crowded[ws] = None
    s.touched_workers[ws] = None


def fill_workers(s: SchedulerState) -> None:
    """Send queued tasks to workers with room, best priority first.

    As far as the budget of the event allows, by worker.
    """
    for ws in list(s.refill):
        if s.budget <= 0:
            return
        _fill_from_own_queue(s, ws)
    queue = s.queue
    # Of a few tasks that take no time each idle thread gets its share.
    share = -(-queue.size // max(s.total_nthreads, 1))
    while queue.size and s.open and s.budget > 0:
        ws = emptiest_open(s)
        before = queue.size
        _fill_from_common_queue(s, ws, share * ws.nthreads)
        s.budget -= before - queue.size
        if note_load(s, ws):
            # Fair turns: to the back of the line.
            del s.open[ws]
            s.open[ws] = None


def _fill_from_common_queue(s: SchedulerState, ws: WorkerState, share: int) -> None:
    """Send a worker with room its share of queued tasks, or a turn's worth of work."""
    queue = s.queue
    enough = ws.occupancy + s.settings.pipeline / 4 * ws.nthreads
    # Less than this is not worth a message to a worker that has something to do.
    worth = ws.occupancy + (0.0 if ws in s.idle else _WORTH)
    room = _room_for(s, ws)
    mortal = ws in s.departures.lifetimes
    moved = 0
    while room > 0 and ws.occupancy < enough and (share > 0 or ws.occupancy < worth):
        ts = queue.pop(None)
        if ts is None:
            return
        if mortal and not outlasts(s, ts, ws):
            _place_where_it_can_end(s, ts)
            moved += 1
            if moved >= _MOVED:
                return
            continue
        sent = 1
        if is_plain(ts):
            seconds = estimate(s, ts)
            most = max(share, ceil((worth - ws.occupancy) / seconds))
            most = min(room, most, ceil((enough - ws.occupancy) / seconds)) - 1
            alike = [ts, *queue.pop_more(ts, most)] if most > 0 else [ts]
            assign_many(s, alike, ws)
            sent = len(alike)
        elif ts.dependents is not None:
            sibling = _sibling_worker(s, ts) or ws
            assign(s, ts, sibling)
            if sibling is not ws:
                note_load(s, sibling)
                continue
        else:
            assign(s, ts, ws)
        room -= sent
        share -= sent


def _room_for(s: SchedulerState, ws: WorkerState) -> int:
    """Return how many tasks a worker with room takes at most, before one looks again."""
    count = len(ws.processing) - len(ws.long_running)
    settings, nthreads = s.settings, ws.nthreads
    if ws.occupancy >= settings.pipeline * nthreads:
        return nthreads + 1 - count
    return max(nthreads + 1, settings.pipeline_tasks * nthreads) - count


def _fill_from_own_queue(s: SchedulerState, ws: WorkerState) -> None:
    mortal = ws in s.departures.lifetimes
    while ws in s.open:
        s.budget -= 1
        mine = ws.queue.peek(ws)
        if mine is None:
            break
        common = s.queue.peek(None)
        if mortal and not outlasts(s, mine, ws):
            ws.queue.pop(ws)
            ws.queued_work -= mine.estimate
            s.parked -= 1
            _place_where_it_can_end(s, mine)
            continue
        if (
            common is not None
            and common.priority < mine.priority
            and not (mortal and not outlasts(s, common, ws))
        ):
            s.queue.pop(None)
            assign(s, common, ws)
        else:
            ws.queue.pop(ws)
            ws.queued_work -= mine.estimate
            s.parked -= 1
            assign(s, mine, ws)
        note_load(s, ws)
    if not ws.queue.size:
        ws.queued_work = 0.0
        s.crowded.pop(ws, None)
    if not ws.queue.size or ws not in s.open:
        s.refill.pop(ws, None)
