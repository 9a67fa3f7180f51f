"""All that a journal has to say of a scheduler's state, at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from shoal.scheduler.core.coordination.dataset import Dataset
from shoal.scheduler.core.coordination.event import Event
from shoal.scheduler.core.coordination.lock import Locks
from shoal.scheduler.core.coordination.queue import Queue
from shoal.scheduler.core.coordination.semaphore import Semaphore
from shoal.scheduler.core.coordination.state import CoordinationState, coordination_of
from shoal.scheduler.core.coordination.variable import Variable
from shoal.scheduler.core.journal import recorder as r
from shoal.scheduler.core.journal.recipes import describe_blob, describe_task

if TYPE_CHECKING:
    from shoal.scheduler.core.journal.recorder import Change
    from shoal.scheduler.core.state import SchedulerState

__all__ = ["snapshot"]


def snapshot(s: SchedulerState) -> list[Change]:
    """Return the entries of which the journal is to consist at this moment."""
    found: list[Change] = []
    recorder = s.recorder
    assert recorder is not None
    for id in recorder.functions:
        found.append((r.FUNCTION, id, describe_blob(s.functions[id].blob)))
    found += [(r.TASK, n, describe_task(ts)) for n, (ts, _) in recorder.tasks.items()]
    found += [(r.FIRED, serial, None) for serial in s.fire_and_forget.wants]
    found += [(r.NOTE, key, value) for key, value in s.notes.metadata.items()]
    found += [(r.PLUGIN, key, describe_blob(blob)) for key, blob in s.notes.plugins.items()]
    for topic, events in s.notes.events.items():
        first = recorder.logged[topic] - len(events)
        for number, (when, message) in enumerate(events, first):
            found.append((r.EVENT, (topic, number), (when + recorder.wall, message)))
    coordination = coordination_of(s)
    if coordination is not None:
        found += _of_coordination(coordination)
    return found


def _of_coordination(coordination: CoordinationState) -> Iterator[Change]:
    for (kind, name), place in coordination.places.items():
        yield from _of_place(kind, name, place)
    for client, deliveries in coordination.unacked.items():
        for id, delivery in deliveries.items():
            if delivery.items is None:
                continue
            for item in delivery.items:
                yield r.ITEM, item.number, (delivery.queue, item.value, item.keys)
            goes_to = None if delivery.place is None else delivery.queue
            yield r.DELIVERY, (client, id), (goes_to, [item.number for item in delivery.items])
    for client, answers in coordination.recorded.items():
        for id, answer in answers.items():
            yield r.ANSWER, (client, id), (answer.value, answer.error)
    for name in coordination.closed_semaphores:
        yield r.CLOSED, name, None


def _of_place(kind: str, name: str, place: Any) -> Iterator[Change]:
    if isinstance(place, Queue):
        if place.maxsize:
            yield r.QUEUE, name, place.maxsize
        for item in place.items:
            yield r.ITEM, item.number, (name, item.value, item.keys)
    elif isinstance(place, Variable):
        if place.value is not None:
            yield r.VARIABLE, name, (place.value, place.keys)
    elif isinstance(place, Dataset):
        yield r.DATASET, name, (place.value, place.keys)
    elif isinstance(place, Event):
        if place.flag:
            yield r.FLAG, name, None
    elif isinstance(place, Semaphore):
        yield r.SEMAPHORE, name, place.max_leases
        for token in place.leases:
            yield r.HELD, token, (kind, [name])
    elif isinstance(place, Locks):
        for token, names in place.taken.items():
            yield r.HELD, token, (kind, names)
