"""Locks, one or several at a time: `Lock` asks for one name, `MultiLock` for some of many.

A request stands in the line of each lock that it names. It has a lock when it is first in that line
and the lock is free; when it has as many as it needs, it takes them all and leaves the other lines.
Requests join all their lines at once, so the oldest one is first everywhere: none can wait for each
other, and nobody is passed by.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.scheduler.core.coordination.desk import Operation

if TYPE_CHECKING:
    from shoal.scheduler.core.coordination.desk import Asked, Desk, Token

__all__ = ["OPERATIONS", "Lock", "Locks"]


class Lock:
    """One lock; it is forgotten when nobody holds it or waits for it."""

    __slots__ = ("holder", "line")

    def __init__(self) -> None:
        self.holder: Token | None = None
        self.line: dict[Asked, None] = {}


class Locks:
    """All locks."""

    __slots__ = ("by_name", "taken")

    def __init__(self) -> None:
        self.by_name: dict[str, Lock] = {}
        self.taken: dict[Token, list[str]] = {}

    def request(self, desk: Desk, asked: Asked) -> None:
        """Stand in line, and be served if possible."""
        for name in asked.args[0]:
            lock = self.by_name.get(name)
            if lock is None:
                lock = self.by_name[name] = Lock()
            lock.line[asked] = None
        desk.wait(asked, self)
        self.serve(desk, [asked])

    def take(self, desk: Desk, token: Token, names: list[str]) -> None:
        """Take these locks, which are free."""
        for name in names:
            self.by_name.setdefault(name, Lock()).holder = token
        self.taken[token] = names
        desk.hold(token, self)

    def serve(self, desk: Desk, candidates: list[Asked]) -> None:
        """Give locks to those of these requests that can have all they need."""
        if desk.claims_until is not None:
            return
        while candidates:
            asked = candidates.pop(0)
            names, needed = asked.args
            free = [name for name in names if self._is_first(asked, name)]
            if asked.place is self and len(free) >= needed:
                self.take(desk, asked.token, free[:needed])
                desk.answer(asked, free[:needed])
                candidates += self._leave_lines(asked)

    def _is_first(self, asked: Asked, name: str) -> bool:
        lock = self.by_name.get(name)
        return lock is not None and lock.holder is None and next(iter(lock.line), None) is asked

    def _leave_lines(self, asked: Asked) -> list[Asked]:
        """Leave all lines; return who is first there now."""
        names: list[str] = asked.args[0]
        for name in names:
            del self.by_name[name].line[asked]
        return self._next(names)

    def _next(self, names: list[str]) -> list[Asked]:
        """Return who may have one of these locks now; forget those that nobody asks for."""
        first: dict[Asked, None] = {}
        for name in names:
            lock = self.by_name[name]
            if lock.holder is None:
                if lock.line:
                    first[next(iter(lock.line))] = None
                else:
                    del self.by_name[name]
        return list(first)

    def withdraw(self, desk: Desk, asked: Asked) -> None:
        """Nobody waits for this any more."""
        self.serve(desk, self._leave_lines(asked))

    def release(self, desk: Desk, token: Token) -> None:
        """These locks are free again."""
        names = self.taken.pop(token)
        for name in names:
            self.by_name[name].holder = None
        self.serve(desk, self._next(names))

    def put_back(self, desk: Desk, items: Any) -> None:
        """Locks are held, not handed over."""

    def serve_all(self, desk: Desk) -> None:
        """The time of claims is over."""
        self.serve(desk, self._next(list(self.by_name)))


def _locks(desk: Desk) -> Locks:
    locks: Locks | None = desk.places.get(("lock", ""))
    if locks is None:
        locks = desk.places["lock", ""] = Locks()
    return locks


def _acquire(desk: Desk, asked: Asked) -> None:
    """Args: names, how many of them are needed."""
    names, needed = asked.args
    if not _are_names(names) or not 0 < needed <= len(names):
        desk.refuse(asked, "ValueError", f"cannot have {needed} locks of {len(names)}")
        return
    _locks(desk).request(desk, asked)


def _claim(desk: Desk, asked: Asked) -> None:
    """Args: names that are held, number of the ask that they were the answer to."""
    names, id = asked.args
    if not _are_names(names):
        desk.refuse(asked, "ValueError", "cannot claim these locks")
        return
    locks = _locks(desk)
    token = (asked.client, id)
    mine = token in locks.taken
    known = [locks.by_name[name] for name in names if name in locks.by_name]
    if not mine and all(lock.holder is None for lock in known):
        locks.take(desk, token, names)
        mine = True
    desk.answer(asked, mine)


def _are_names(names: list[Any]) -> bool:
    return all(type(name) is str for name in names) and len(set(names)) == len(names) > 0


def _release(desk: Desk, asked: Asked) -> None:
    """Args: number of the ask that the locks were the answer to."""
    desk.answer(asked, desk.take_away((asked.client, asked.args[0])))


def _locked(desk: Desk, asked: Asked) -> None:
    """Args: name."""
    lock = _locks(desk).by_name.get(asked.args[0])
    desk.answer(asked, lock is not None and lock.holder is not None)


OPERATIONS = {
    "acquire": Operation(_acquire, list, int),
    "claim": Operation(_claim, list, int),
    "release": Operation(_release, int),
    "locked": Operation(_locked, str),
}
