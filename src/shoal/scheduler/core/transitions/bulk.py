"""Many plain tasks at once: made ready, assigned, finished, released.

A task is plain while it has no inputs, no options, no large buffers, nothing that depends on it,
and nothing rare: those of a `map`. They change as by `on_graph`, `assign` and `finish`,
but facts that are equal for all of them are looked up, counted and said once.
"""

from __future__ import annotations

from itertools import chain, islice, repeat
from typing import TYPE_CHECKING, Any

from shoal.scheduler.core.outgoing import say_many_finished, tell_worker
from shoal.scheduler.core.policies.estimates import OVERHEAD, learn_many
from shoal.scheduler.core.state import NO_OPTIONS, TaskState
from shoal.scheduler.core.transitions.demand import (
    drop_result,
    forget_traces,
    leave_group,
    release_function,
)
from shoal.scheduler.core.transitions.table import move_many
from shoal.wire.messages import ComputeMany, DefineFunctions

if TYPE_CHECKING:
    from shoal.scheduler.core.state import (
        ClientState,
        FunctionState,
        GroupState,
        SchedulerState,
        WorkerState,
    )
    from shoal.wire.messages import Finished, Priority

__all__ = ["assign_many", "finish_many", "forget_many", "is_plain", "queue_many"]


def is_plain(ts: TaskState) -> bool:
    """Whether a task is one of those that are handled many at a time."""
    return (
        not ts.deps
        and ts.dependents is None
        and ts.options is NO_OPTIONS
        and ts.buffers is None
        and ts.rare is None
    )


def queue_many(
    s: SchedulerState,
    client: ClientState,
    keys: list[str],
    args: list[bytes],
    function: FunctionState,
    group: GroupState,
    priority: Priority,
    life: int,
) -> bool:
    """Take on plain tasks, wanted by a client, and queue them.

    They run in this order; `priority` is that of the first.

    Returns
    -------
    bool
        False when one of them is known already, or there twice; then nothing was changed.
    """
    add = s.tasks.add
    alone = client.alone
    first, generation, position = priority
    wants = client.wants
    serial = s.last_serial
    queued: list[TaskState] = []
    for key, data in zip(keys, args, strict=True):
        serial += 1
        ts = TaskState(key, group, (first, generation, position), serial, life)
        if add(key, ts) is not ts:
            for ts in queued:
                s.tasks.drop(ts.key)
                del wants[ts.serial]
            return False
        position += 1
        ts.function = function
        ts.args = data
        ts.wanted_by = alone
        wants[serial] = ts
        queued.append(ts)
    s.last_serial = serial
    n = len(queued)
    function.references += n
    group.size += n
    group.entered["released"] += n
    move_many(s, queued, keys, "released", "waiting", "queued")
    s.queue.push_sorted(queued)
    return True


def assign_many(s: SchedulerState, tasks: list[TaskState], ws: WorkerState) -> None:
    """Send plain tasks of one function, group, want and life to a worker."""
    first = tasks[0]
    function = first.function
    assert function is not None
    if function not in ws.used_functions:
        ws.used_functions.add(function)
        function.workers[ws] = None
        tell_worker(s, ws, DefineFunctions([function.id], [function.blob]))
    group = first.group
    seconds = group.prefix.duration  # as `estimate` says it
    seconds = s.settings.unknown_task_duration if seconds < 0.0 else seconds + OVERHEAD
    run = s.next_run
    processing = ws.processing
    for ts in tasks:
        run += 1
        ts.run = run
        ts.worker = ws
        ts.estimate = seconds
        processing[ts] = None
    message = ComputeMany(
        [ts.key for ts in tasks],
        s.next_run + 1,
        function.id,
        [ts.args for ts in tasks],
        [ts.priority for ts in tasks],
        seconds,
        bool(first.wanted_by) and first.wanted_by[0].real,
        first.life,
    )
    s.next_run = run
    ws.occupancy += seconds * len(tasks)
    move_many(s, tasks, message.keys, "queued", "processing")
    tell_worker(s, ws, message)


def finish_many(s: SchedulerState, ws: WorkerState, message: Finished) -> list[tuple[Any, ...]]:
    """Take the results of plain tasks into account; return the rows of all others."""
    keys = message.keys
    rows = zip(
        keys,
        message.runs,
        message.nbytes,
        message.types,
        message.starts,
        message.stops,
        message.values,
        strict=True,
    )
    if len(keys) == 1:
        return list(rows)  # one by one is faster
    find = s.tasks.get
    processing = ws.processing
    # Mostly they end in the order in which they were sent, and need not be looked up.
    expected = list(islice(processing, len(keys)))
    held = ws.held
    alone = ws.alone
    wanted_by: tuple[ClientState, ...] = ()
    group: GroupState | None = None
    done: list[tuple[TaskState, Any, float]] = []
    others: list[tuple[Any, ...]] = []
    for row, ts in zip(rows, chain(expected, repeat(None)), strict=False):
        key, run, nbytes, type_name, start, stop, value = row
        if ts is None or ts.run != run or ts.key != key:
            ts = find(key)
        if (
            ts is None
            or ts.run != run
            or ts.worker is not ws
            or ts.state != "processing"
            or ts.rare is not None
            or ts.dependents is not None
            or ts.deps
        ):
            others.append(row)
            continue
        if ts.group is not group or ts.wanted_by is not wanted_by:
            if len(ts.wanted_by) != 1 or not ts.wanted_by[0].real:
                others.append(row)
                continue
            _finished(s, ws, done)
            done = []
            group, wanted_by = ts.group, ts.wanted_by
        del processing[ts]
        ts.worker = None  # nor is it here a second time
        ts.run = 0
        ts.nbytes = nbytes
        ts.type = type_name
        ts.who_has = alone
        held[ts.serial] = ts
        seconds = stop - start
        done.append((ts, value, seconds if seconds > 0.0 else 0.0))
    _finished(s, ws, done)
    return others


def _finished(s: SchedulerState, ws: WorkerState, done: list[tuple[TaskState, Any, float]]) -> None:
    """Count plain tasks of one group and want that are in memory now, and say so."""
    if not done:
        return
    tasks, values, durations = zip(*done, strict=True)
    group = tasks[0].group
    learn_many(group.prefix, durations)
    nbytes = sum([ts.nbytes for ts in tasks])
    group.duration += sum(durations)
    group.nbytes += nbytes
    group.stop = s.now
    types = [ts.type for ts in tasks]
    group.types.update(types)
    ws.nbytes += nbytes
    ws.occupancy -= sum([ts.estimate for ts in tasks])
    if ws.returning:
        ws.returning.difference_update(tasks)
    keys = [ts.key for ts in tasks]
    move_many(s, tasks, keys, "processing", "memory")
    say_many_finished(s, tasks[0].wanted_by[0], keys, types, values, ws.address)


def forget_many(s: SchedulerState, tasks: list[TaskState]) -> None:
    """Drop the results of plain tasks that nobody needs any more, and forget these."""
    group, function = tasks[0].group, tasks[0].function
    alike: list[TaskState] = []
    for ts in tasks:
        if ts.group is not group or ts.function is not function:
            _forgotten(s, alike, group, function)
            alike = []
            group, function = ts.group, ts.function
        drop_result(s, ts)
        ts.function = None
        alike.append(ts)
    _forgotten(s, alike, group, function)


def _forgotten(
    s: SchedulerState, tasks: list[TaskState], group: GroupState, function: FunctionState | None
) -> None:
    """Forget tasks of one group and function, which nothing refers to any more."""
    keys = [ts.key for ts in tasks]
    move_many(s, tasks, keys, "memory", "forgotten")
    s.tasks.drop_many(keys)
    forget_traces(s, tasks)
    leave_group(s, group, len(tasks))
    if function is not None:
        release_function(s, function, len(tasks))
