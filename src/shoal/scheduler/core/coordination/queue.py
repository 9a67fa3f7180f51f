"""Queues: items in the order they were put, getters and putters in the order they came.

An item is an opaque value and the keys in it. Items are numbered, so that what was handed over and
did not arrive goes back to where it was.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from shoal.scheduler.core.coordination.desk import Operation, Parcel

if TYPE_CHECKING:
    from shoal.scheduler.core.coordination.desk import Asked, Desk, Token

__all__ = ["OPERATIONS", "Queue"]

ALL = -1  # a getter that takes what is there, without waiting


class _Item:
    __slots__ = ("keys", "number", "value")

    def __init__(self, number: int, value: bytes, keys: list[str]) -> None:
        self.number = number
        self.value = value
        self.keys = keys


class Queue:
    """One queue; it is forgotten when nothing is in it and nobody waits."""

    __slots__ = ("closed", "getters", "items", "maxsize", "name", "numbered", "putters")

    def __init__(self, name: str) -> None:
        self.name = name
        self.maxsize = 0  # 0: no limit
        self.items: deque[_Item] = deque()
        self.numbered = 0
        self.closed = False
        self.getters: dict[Asked, int] = {}  # and how many items each wants
        self.putters: dict[Asked, None] = {}

    @property
    def room(self) -> bool:
        """Whether another item may be put. Who waits for many may have more than fit."""
        if not self.maxsize:
            return True
        wanted = next(iter(self.getters.values()), 0)
        return len(self.items) < max(self.maxsize, wanted)

    def put(self, asked: Asked) -> None:
        """Take an item in; its keys are kept already."""
        self.items.append(_Item(self.numbered, asked.args[1], asked.keys))
        self.numbered += 1

    def serve(self, desk: Desk) -> None:
        """Do all that can be done now."""
        while True:
            if self.putters and self.room:
                putter = next(iter(self.putters))
                del self.putters[putter]
                self.put(putter)
                desk.answer(putter)
            elif self.getters and len(self.items) >= next(iter(self.getters.values())):
                getter, wanted = next(iter(self.getters.items()))
                del self.getters[getter]
                self.give(desk, getter, wanted)
            else:
                break
        if not self.items and not self.getters and not self.putters:
            # Items on their way to a getter come back to a queue of that name.
            desk.places.pop(("queue", self.name), None)

    def give(self, desk: Desk, getter: Asked, wanted: int) -> None:
        """Hand over so many items."""
        items = [self.items.popleft() for _ in range(wanted)]
        keys = [key for item in items for key in item.keys]
        desk.send(getter, [item.value for item in items], Parcel(self, items, keys))

    def withdraw(self, desk: Desk, asked: Asked) -> None:
        """Nobody waits for this any more."""
        if self.getters.pop(asked, None) is None and asked in self.putters:
            del self.putters[asked]
            desk.unkeep(asked.keys)
        self.serve(desk)

    def release(self, desk: Desk, token: Token) -> None:
        """Nobody holds a queue."""

    def put_back(self, desk: Desk, items: list[_Item]) -> None:
        """These items did not arrive: they are the next again."""
        if self.closed:
            for item in items:
                desk.unkeep(item.keys)
            return
        queue = desk.places.setdefault(("queue", self.name), self)
        if queue is not self:  # it was forgotten and made anew meanwhile
            for item in items:
                item.number -= self.numbered
        merged = sorted([*items, *queue.items], key=_number)
        queue.items = deque(merged)
        queue.serve(desk)


def _number(item: _Item) -> int:
    return item.number


def _queue(desk: Desk, asked: Asked) -> Queue:
    place = ("queue", asked.name)
    queue: Queue | None = desk.places.get(place)
    if queue is None:
        queue = desk.places[place] = Queue(asked.name)
    if asked.args[0] and not queue.maxsize:
        queue.maxsize = asked.args[0]
    return queue


def _put(desk: Desk, asked: Asked) -> None:
    """Args: maxsize, value."""
    queue = _queue(desk, asked)
    desk.keep(asked.keys)
    if queue.room and not queue.putters:
        queue.put(asked)
        desk.answer(asked)
    else:
        desk.wait(asked, queue)
        queue.putters[asked] = None
    queue.serve(desk)


def _get(desk: Desk, asked: Asked) -> None:
    """Args: maxsize, number of items or `ALL`."""
    queue = _queue(desk, asked)
    wanted: int = asked.args[1]
    if wanted == ALL:
        # Those who came before go first; what they do not wait for is left.
        wanted = 0 if queue.getters else len(queue.items)
    if not wanted or (not queue.getters and len(queue.items) >= wanted):
        queue.give(desk, asked, wanted)
    else:
        desk.wait(asked, queue)
        queue.getters[asked] = wanted
    queue.serve(desk)


def _qsize(desk: Desk, asked: Asked) -> None:
    queue: Queue | None = desk.places.get(("queue", asked.name))
    desk.answer(asked, 0 if queue is None else len(queue.items))


def _close(desk: Desk, asked: Asked) -> None:
    queue: Queue | None = desk.places.pop(("queue", asked.name), None)
    if queue is not None:
        queue.closed = True
        for item in queue.items:
            desk.unkeep(item.keys)
        for putter in queue.putters:
            desk.unkeep(putter.keys)
        for waiter in (*queue.putters, *queue.getters):
            desk.refuse(waiter, "RuntimeError", f"the queue {asked.name!r} was closed")
    desk.answer(asked)


OPERATIONS = {
    "put": Operation(_put, int, bytes),
    "get": Operation(_get, int, int),
    "qsize": Operation(_qsize),
    "close": Operation(_close),
}
