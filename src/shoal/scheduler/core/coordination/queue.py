"""Queues: items in the order they were put, getters and putters in the order they came.

An item is an opaque value and the keys in it. Items are numbered, those of all queues together, so
that what was handed over and did not arrive goes back to where it was.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from shoal.scheduler.core.coordination.state import Operation, UnackedDelivery
from shoal.scheduler.core.journal import recorder as r

if TYPE_CHECKING:
    from shoal.scheduler.core.coordination.state import CoordinationState, PendingRequest, Token

__all__ = ["OPERATIONS", "Item", "Queue"]

ALL = -1  # a getter that takes what is there, without waiting
SOME = -2  # one that takes what is there, and waits where nothing is


class Item:
    """An item that was put into a queue."""

    __slots__ = ("keys", "number", "value")

    def __init__(self, number: int, value: bytes, keys: list[str]) -> None:
        self.number = number
        self.value = value
        self.keys = keys


class Queue:
    """One queue; it is forgotten when nothing is in it and nobody waits."""

    __slots__ = ("getters", "items", "maxsize", "name", "putters")

    def __init__(self, name: str) -> None:
        self.name = name
        self.maxsize = 0  # 0: no limit
        self.items: deque[Item] = deque()
        self.getters: dict[PendingRequest, int] = {}  # and how many items each wants
        self.putters: dict[PendingRequest, None] = {}

    @property
    def room(self) -> bool:
        """Whether another item may be put. A request for many may take more than fit."""
        if not self.maxsize:
            return True
        wanted = next(iter(self.getters.values()), 0)
        return len(self.items) < max(self.maxsize, wanted)

    def put(self, coordination: CoordinationState, request: PendingRequest) -> None:
        """Take an item in; its keys are kept already."""
        item = Item(coordination.items_so_far, request.args[1], request.keys)
        coordination.items_so_far += 1
        self.items.append(item)
        if coordination.recorder is not None:
            coordination.recorder.put(r.ITEM, item.number, (self.name, item.value, item.keys))

    def serve(self, coordination: CoordinationState) -> None:
        """Do all that can be done now."""
        while True:
            if self.putters and self.room:
                putter = next(iter(self.putters))
                del self.putters[putter]
                self.put(coordination, putter)
                coordination.answer(putter)
            elif self.getters and len(self.items) >= next(iter(self.getters.values())):
                getter, wanted = next(iter(self.getters.items()))
                del self.getters[getter]
                self.give(coordination, getter, wanted)
            else:
                break
        if not self.items and not self.getters and not self.putters:
            # Items on their way to a getter come back to a queue of that name.
            coordination.places.pop(("queue", self.name), None)
            if self.maxsize and coordination.recorder is not None:
                coordination.recorder.drop(r.QUEUE, self.name)

    def give(self, coordination: CoordinationState, getter: PendingRequest, wanted: int) -> None:
        """Hand over so many items."""
        if getter.args[1] == SOME:
            wanted = len(self.items)
        items = [self.items.popleft() for _ in range(wanted)]
        keys = [key for item in items for key in item.keys]
        delivery = UnackedDelivery(self, items, keys, self.name)
        coordination.send(getter, [item.value for item in items], delivery)

    def withdraw(self, coordination: CoordinationState, request: PendingRequest) -> None:
        """Forget a request whose caller waits no more."""
        if self.getters.pop(request, None) is None and request in self.putters:
            del self.putters[request]
            coordination.unkeep(request.keys)
        self.serve(coordination)

    def release(self, coordination: CoordinationState, token: Token) -> None:
        """Do nothing: no client holds a queue."""

    def put_back(self, coordination: CoordinationState, items: list[Item]) -> None:
        """These items did not arrive: they are the next again."""
        # It may have been forgotten, and made anew meanwhile.
        queue = coordination.places.setdefault(("queue", self.name), self)
        if queue.maxsize and coordination.recorder is not None:
            coordination.recorder.put(r.QUEUE, self.name, queue.maxsize)
        merged = sorted([*items, *queue.items], key=_number)
        queue.items = deque(merged)
        queue.serve(coordination)


def _number(item: Item) -> int:
    return item.number


def _queue(coordination: CoordinationState, request: PendingRequest) -> Queue:
    place = ("queue", request.name)
    queue: Queue | None = coordination.places.get(place)
    if queue is None:
        queue = coordination.places[place] = Queue(request.name)
    if request.args[0] and not queue.maxsize:
        queue.maxsize = request.args[0]
        if coordination.recorder is not None:
            coordination.recorder.put(r.QUEUE, request.name, queue.maxsize)
    return queue


def _put(coordination: CoordinationState, request: PendingRequest) -> None:
    """Args: maxsize, value."""
    if coordination.retired and coordination.is_retired(request, "queue"):
        return
    queue = _queue(coordination, request)
    coordination.keep(request.keys)
    if queue.room and not queue.putters:
        queue.put(coordination, request)
        coordination.answer(request)
    else:
        coordination.wait(request, queue)
        queue.putters[request] = None
    queue.serve(coordination)


def _get(coordination: CoordinationState, request: PendingRequest) -> None:
    """Args: maxsize, number of items, `ALL` or `SOME`."""
    queue = _queue(coordination, request)
    wanted: int = request.args[1]
    if wanted == ALL:
        # Earlier requests go first; what they do not wait for is left.
        wanted = 0 if queue.getters else len(queue.items)
    elif wanted == SOME:
        wanted = 1
    if not wanted or (not queue.getters and len(queue.items) >= wanted):
        queue.give(coordination, request, wanted)
    else:
        coordination.wait(request, queue)
        queue.getters[request] = wanted
    queue.serve(coordination)


def _qsize(coordination: CoordinationState, request: PendingRequest) -> None:
    queue: Queue | None = coordination.places.get(("queue", request.name))
    coordination.answer(request, 0 if queue is None else len(queue.items))


def _close(coordination: CoordinationState, request: PendingRequest) -> None:
    queue: Queue | None = coordination.places.pop(("queue", request.name), None)
    recorder = coordination.recorder
    for client, deliveries in coordination.unacked.items():
        for id, delivery in deliveries.items():
            if delivery.place is not None and delivery.queue == request.name:
                delivery.place = None  # an item on its way does not come back
                coordination.record_delivery((client, id), delivery)
    if queue is not None:
        for item in queue.items:
            coordination.unkeep(item.keys)
            if recorder is not None:
                recorder.drop(r.ITEM, item.number)
        if queue.maxsize and recorder is not None:
            recorder.drop(r.QUEUE, request.name)
        for putter in queue.putters:
            coordination.unkeep(putter.keys)
        for waiter in (*queue.putters, *queue.getters):
            coordination.refuse(waiter, "RuntimeError", f"the queue {request.name!r} was closed")
    coordination.answer(request)


def _retire(coordination: CoordinationState, request: PendingRequest) -> None:
    """Close a queue whose name is not used again."""
    coordination.retire("queue", request.name)
    _close(coordination, request)


OPERATIONS = {
    "put": Operation(_put, int, bytes, lasting=True),
    "get": Operation(_get, int, int),
    "qsize": Operation(_qsize),
    "close": Operation(_close, lasting=True),
    "retire": Operation(_retire, lasting=True),
}
