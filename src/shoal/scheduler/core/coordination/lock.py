"""Locks, one or several at a time: `Lock` asks for one name, `MultiLock` for some of many.

A request stands in the line of each lock that it names. It has a lock when it is first in that line
and the lock is free; when it has as many as it needs, it takes them all and leaves the other lines.
Requests join all their lines at once, so the oldest one is first everywhere: none can wait for each
other, and nobody is passed by.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.scheduler.core.coordination.state import Operation
from shoal.scheduler.core.journal import recorder as r

if TYPE_CHECKING:
    from shoal.scheduler.core.coordination.state import CoordinationState, PendingRequest, Token

__all__ = ["OPERATIONS", "Lock", "Locks"]


class Lock:
    """One lock; it is forgotten when nobody holds it or waits for it."""

    __slots__ = ("holder", "line")

    def __init__(self) -> None:
        self.holder: Token | None = None
        self.line: dict[PendingRequest, None] = {}


class Locks:
    """All locks."""

    __slots__ = ("by_name", "taken")

    def __init__(self) -> None:
        self.by_name: dict[str, Lock] = {}
        self.taken: dict[Token, list[str]] = {}

    def request(self, coordination: CoordinationState, request: PendingRequest) -> None:
        """Stand in line, and be served if possible."""
        for name in request.args[0]:
            lock = self.by_name.get(name)
            if lock is None:
                lock = self.by_name[name] = Lock()
            lock.line[request] = None
        coordination.wait(request, self)
        self.serve(coordination, [request])

    def take(self, coordination: CoordinationState, token: Token, names: list[str]) -> None:
        """Take these locks, which are free."""
        for name in names:
            self.by_name.setdefault(name, Lock()).holder = token
        self.taken[token] = names
        coordination.hold(token, self)
        if coordination.recorder is not None:
            coordination.recorder.put(r.HELD, token, ("lock", names))

    def serve(self, coordination: CoordinationState, candidates: list[PendingRequest]) -> None:
        """Give locks to those of these requests that can have all they need."""
        if coordination.claims_until is not None:
            return
        while candidates:
            request = candidates.pop(0)
            names, needed = request.args
            free = [name for name in names if self._is_first(request, name)]
            if request.place is self and len(free) >= needed:
                self.take(coordination, request.token, free[:needed])
                coordination.answer(request, free[:needed])
                candidates += self._leave_lines(request)

    def _is_first(self, request: PendingRequest, name: str) -> bool:
        lock = self.by_name.get(name)
        return lock is not None and lock.holder is None and next(iter(lock.line), None) is request

    def _leave_lines(self, request: PendingRequest) -> list[PendingRequest]:
        """Leave all lines; return the requests that are first there now."""
        names: list[str] = request.args[0]
        for name in names:
            del self.by_name[name].line[request]
        return self._next(names)

    def _next(self, names: list[str]) -> list[PendingRequest]:
        """Return the requests that may be granted now; forget locks that nobody asks for."""
        first: dict[PendingRequest, None] = {}
        for name in names:
            lock = self.by_name[name]
            if lock.holder is None:
                if lock.line:
                    first[next(iter(lock.line))] = None
                else:
                    del self.by_name[name]
        return list(first)

    def withdraw(self, coordination: CoordinationState, request: PendingRequest) -> None:
        """Forget a request whose caller waits no more."""
        self.serve(coordination, self._leave_lines(request))

    def release(self, coordination: CoordinationState, token: Token) -> None:
        """These locks are free again."""
        names = self.taken.pop(token)
        for name in names:
            self.by_name[name].holder = None
        self.serve(coordination, self._next(names))

    def put_back(self, coordination: CoordinationState, items: Any) -> None:
        """Locks are held, not handed over."""

    def serve_all(self, coordination: CoordinationState) -> None:
        """The time of claims is over."""
        self.serve(coordination, self._next(list(self.by_name)))


def _locks(coordination: CoordinationState) -> Locks:
    locks: Locks | None = coordination.places.get(("lock", ""))
    if locks is None:
        locks = coordination.places["lock", ""] = Locks()
    return locks


def _acquire(coordination: CoordinationState, request: PendingRequest) -> None:
    """Args: names, how many of them are needed."""
    names, needed = request.args
    if not _are_names(names) or not 0 < needed <= len(names):
        coordination.refuse(request, "ValueError", f"cannot have {needed} locks of {len(names)}")
        return
    _locks(coordination).request(coordination, request)


def _claim(coordination: CoordinationState, request: PendingRequest) -> None:
    """Args: names that are held, number of the ask that they were the answer to."""
    names, id = request.args
    if not _are_names(names):
        coordination.refuse(request, "ValueError", "cannot claim these locks")
        return
    locks = _locks(coordination)
    token = (request.client, id)
    mine = token in locks.taken
    known = [locks.by_name[name] for name in names if name in locks.by_name]
    free = all(lock.holder is None for lock in known)
    if not mine and free and coordination.can_hold(token, locks):
        locks.take(coordination, token, names)
        mine = True
    coordination.answer(request, mine)


def _are_names(names: list[Any]) -> bool:
    return all(type(name) is str for name in names) and len(set(names)) == len(names) > 0


def _release(coordination: CoordinationState, request: PendingRequest) -> None:
    """Args: number of the ask that the locks were the answer to."""
    coordination.answer(request, coordination.take_away((request.client, request.args[0])))


def _locked(coordination: CoordinationState, request: PendingRequest) -> None:
    """Args: name."""
    lock = _locks(coordination).by_name.get(request.args[0])
    coordination.answer(request, lock is not None and lock.holder is not None)


OPERATIONS = {
    "acquire": Operation(_acquire, list, int, lasting=True),
    "claim": Operation(_claim, list, int),
    "release": Operation(_release, int, lasting=True),
    "locked": Operation(_locked, str),
}
