"""The replay of a journal into state. Pure, and done once, before the first event.

Tasks are there with all they need, wanted by the values that they are in, or because they were to
run to their end. Nothing is placed before the workers had time to come back with what they hold
and run. Things that clients held, or that were on their way, wait for them: they come back and ask
again for answers that they did not hear, or their time is over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from shoal.scheduler.core.coordination.dataset import Dataset
from shoal.scheduler.core.coordination.event import Event
from shoal.scheduler.core.coordination.lock import Locks
from shoal.scheduler.core.coordination.queue import Item, Queue
from shoal.scheduler.core.coordination.semaphore import Semaphore
from shoal.scheduler.core.coordination.state import CoordinationState, UnackedDelivery
from shoal.scheduler.core.coordination.variable import Variable
from shoal.scheduler.core.journal import recorder as r
from shoal.scheduler.core.journal.recipes import remember
from shoal.scheduler.core.state import NO_OPTIONS, FunctionState, TaskState
from shoal.scheduler.core.transitions.demand import add_want
from shoal.scheduler.core.transitions.processing import activate
from shoal.wire.blob import Blob, Buffer
from shoal.wire.messages import Answer

if TYPE_CHECKING:
    from shoal.scheduler.core.journal.recorder import Change, Recorder
    from shoal.scheduler.core.state import SchedulerState

__all__ = ["fold", "restore"]

_Entries = dict[tuple[int, Any], Any]


def fold(changes: Iterable[Change], entries: _Entries | None = None) -> _Entries:
    """Return the entries that are left of changes, in the order in which they were first put.

    Examples
    --------
    >>> fold([(r.VARIABLE, "x", 1), (r.FLAG, "e", None), (r.VARIABLE, "x", 2), (r.FLAG, "e")])
    {(4, 'x'): 2}
    """
    if entries is None:
        entries = {}
    for change in changes:
        if len(change) == 3:
            entries[change[0], change[1]] = change[2]
        else:
            entries.pop((change[0], change[1]), None)
    return entries


def restore(s: SchedulerState, recorder: Recorder, changes: Iterable[Change]) -> None:
    """Make the state of a scheduler that starts anew from its journal, and journal from now on."""
    by_kind: dict[int, list[tuple[Any, Any]]] = {}
    for (kind, key), value in fold(changes).items():
        by_kind.setdefault(kind, []).append((key, value))
    s.recorder = recorder
    s.recorded = recorder.tasks
    s.recovery.until = s.started + s.settings.recovery_window
    tasks = _restore_tasks(s, by_kind.get(r.FUNCTION, []), by_kind.get(r.TASK, []))
    for serial, _ in by_kind.get(r.FIRED, []):
        ts = tasks[serial]
        add_want(s.fire_and_forget, ts)
        activate(s, ts)
    s.notes.metadata.update(by_kind.get(r.NOTE, []))
    s.notes.plugins.update((key, _blob(*row)) for key, row in by_kind.get(r.PLUGIN, []))
    _restore_events(s, recorder, by_kind.get(r.EVENT, []))
    kinds = [r.ITEM, r.VARIABLE, r.DATASET, r.FLAG, r.CLOSED, r.HELD, r.ANSWER, r.DELIVERY]
    if any(kind in by_kind for kind in kinds):
        s.coordination = CoordinationState(s)
        _restore_coordination(s.coordination, lambda kind: by_kind.get(kind, []))
    for ts in tasks.values():
        if not ts.needed:
            s.unneeded.append(ts)
    if not tasks:
        s.recovery.until = None
    recorder.take()  # all of it is in the journal


def _blob(data: bytes, buffers: list[bytes]) -> Blob:
    return Blob(data, [Buffer(buffer) for buffer in buffers])


def _restore_tasks(
    s: SchedulerState, functions: list[tuple[bytes, Any]], rows: list[tuple[int, Any]]
) -> dict[int, TaskState]:
    """Make tasks; return them by their old serial numbers."""
    for id, row in functions:
        s.functions[id] = FunctionState(id, _blob(*row))
    tasks: dict[int, TaskState] = {}
    for serial, row in rows:
        key, life, function, args, buffers, _, options, group_name, prefix, priority = row
        group = s.group(group_name, prefix)
        s.last_serial += 1
        s.tasks.make_room()
        ts = TaskState(key, group, tuple(priority), s.last_serial, life)
        s.tasks.add(key, ts)
        group.entered["released"] += 1
        group.size += 1
        if function is not None:
            ts.function = s.functions[function]
            ts.function.references += 1
        ts.args = args
        ts.buffers = [Buffer(buffer) for buffer in buffers] or None
        ts.options = NO_OPTIONS if options == NO_OPTIONS else options
        s.order.generation = max(s.order.generation, ts.priority[1])  # later graphs come after it
        tasks[serial] = ts
    assert s.recorder is not None
    for serial, row in rows:
        ts = tasks[serial]
        ts.deps = tuple([tasks[dep] for dep in row[5]])
        for dep in ts.deps:
            if dep.dependents is None:
                dep.dependents = {}
            dep.dependents[ts] = None
    for ts in tasks.values():
        remember(s.recorder, ts)
    return tasks


def _restore_events(
    s: SchedulerState, recorder: Recorder, rows: list[tuple[tuple[str, int], Any]]
) -> None:
    for (topic, number), (when, message) in sorted(rows, key=lambda row: row[0][1]):
        recorder.logged[topic] = number
        s.log_event(topic, message)
        s.notes.events[topic][-1] = (when - recorder.wall, message)


def _restore_coordination(
    coordination: CoordinationState, rows: Callable[[int], list[tuple[Any, Any]]]
) -> None:
    places = coordination.places
    for name, (value, keys) in rows(r.VARIABLE):
        variable = places["variable", name] = Variable(name)
        variable.value, variable.keys = value, keys
        coordination.keep(keys)
    for name, (value, keys) in rows(r.DATASET):
        places["dataset", name] = Dataset(value, keys)
        coordination.keep(keys)
    for name, _ in rows(r.FLAG):
        event = places["event", name] = Event(name)
        event.flag = True
    coordination.closed_semaphores.update(rows(r.CLOSED))
    _restore_queues(coordination, rows)
    _restore_holders(coordination, rows)
    for (client, id), (value, error) in rows(r.ANSWER):
        coordination.remember_answer(client, Answer(id, value, error))
    s = coordination.s
    until = s.started + s.settings.recovery_grace
    for client in (*coordination.held, *coordination.unacked, *coordination.answered):
        coordination.gone[client] = until
    if coordination.held:
        coordination.leases_until = s.started + s.settings.lease_timeout


def _restore_queues(
    coordination: CoordinationState, rows: Callable[[int], list[tuple[Any, Any]]]
) -> None:
    """Put each item into its queue, or on its way."""
    most = dict(rows(r.QUEUE))
    queues: dict[str, Queue] = {}
    items: dict[int, tuple[str, Item]] = {}
    for number, (name, value, keys) in sorted(rows(r.ITEM)):
        items[number] = (name, Item(number, value, keys))
        coordination.keep(keys)
        coordination.items_so_far = number + 1

    def queue_of(name: str) -> Queue:
        queue = queues.get(name)
        if queue is None:
            queue = queues[name] = Queue(name)
            queue.maxsize = most.get(name, 0)
        return queue

    for (client, id), (name, numbers) in rows(r.DELIVERY):
        some = [items.pop(number) for number in numbers]
        mine = [item for _, item in some]
        place = None if name is None else queue_of(name)
        queue = name or (some[0][0] if some else "")
        keys = [key for item in mine for key in item.keys]
        delivery = UnackedDelivery(place, mine, keys, queue)
        coordination.unacked.setdefault(client, {})[id] = delivery
        values = [item.value for item in mine]
        coordination.remember_answer(client, Answer(id, values, "", keys), lasting=False)
    for name, item in items.values():
        queue = coordination.places["queue", name] = queue_of(name)
        queue.items.append(item)


def _restore_holders(
    coordination: CoordinationState, rows: Callable[[int], list[tuple[Any, Any]]]
) -> None:
    """Let clients have the locks and leases that they had."""
    most = dict(rows(r.SEMAPHORE))
    for token, (kind, names) in rows(r.HELD):
        if kind == "lock":
            locks = coordination.places.setdefault(("lock", ""), Locks())
            locks.take(coordination, token, names)
            continue
        name = names[0]
        place = ("semaphore", name)
        semaphore = coordination.places.get(place)
        if semaphore is None:
            semaphore = coordination.places[place] = Semaphore(name, most[name])
        semaphore.lend(coordination, token)
