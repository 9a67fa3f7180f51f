"""Semaphores: a number of leases, given to requests in the order they came."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.scheduler.core.coordination.state import Operation, SemaphoreCounts
from shoal.scheduler.core.journal import recorder as r

if TYPE_CHECKING:
    from shoal.scheduler.core.coordination.state import CoordinationState, PendingRequest, Token

__all__ = ["OPERATIONS", "Semaphore"]

# Names of closed semaphores that are remembered, to refuse clients that did not hear of it.
_CLOSED = 10_000
_COUNTED = 1000  # names that are counted; those that came first go for new ones
_WEIGHT = 0.1  # of the last lease in the average of how long it took


class Semaphore:
    """One semaphore; it is forgotten when nobody has a lease or waits for one."""

    __slots__ = ("leases", "max_leases", "name", "waiters")

    def __init__(self, name: str, max_leases: int) -> None:
        self.name = name
        self.max_leases = max_leases
        self.leases: dict[Token, None] = {}
        self.waiters: dict[PendingRequest, float] = {}  # since when

    def lend(self, coordination: CoordinationState, token: Token) -> None:
        """Give a lease."""
        _counts(coordination, self).acquired += 1
        self.leases[token] = None
        coordination.hold(token, self)
        if coordination.recorder is not None:
            coordination.recorder.put(r.HELD, token, ("semaphore", [self.name]))

    def serve(self, coordination: CoordinationState) -> None:
        """Give free leases to the first requests."""
        if coordination.claims_until is None:
            while self.waiters and len(self.leases) < self.max_leases:
                waiter = next(iter(self.waiters))
                waited = coordination.s.now - self.waiters.pop(waiter)
                counts = _counts(coordination, self)
                counts.average_wait += _WEIGHT * (waited - counts.average_wait)
                self.lend(coordination, waiter.token)
                coordination.answer(waiter, True)
        if not self.leases and not self.waiters:
            coordination.places.pop(("semaphore", self.name), None)
            if coordination.recorder is not None:
                coordination.recorder.drop(r.SEMAPHORE, self.name)

    def withdraw(self, coordination: CoordinationState, request: PendingRequest) -> None:
        """Forget a request whose caller waits no more."""
        del self.waiters[request]
        self.serve(coordination)

    def release(self, coordination: CoordinationState, token: Token) -> None:
        """A lease is free again."""
        _counts(coordination, self).released += 1
        self.leases.pop(token, None)
        self.serve(coordination)

    def put_back(self, coordination: CoordinationState, items: Any) -> None:
        """Leases are held, not handed over."""


def _counts(coordination: CoordinationState, semaphore: Semaphore) -> SemaphoreCounts:
    known = coordination.semaphore_counts
    counts = known.get(semaphore.name)
    if counts is None:
        if len(known) >= _COUNTED:
            del known[next(iter(known))]
        counts = known[semaphore.name] = SemaphoreCounts(semaphore.max_leases)
    return counts


def _known(coordination: CoordinationState, request: PendingRequest) -> Semaphore | None:
    """Return the semaphore, made when it is new; refuse the ask where that cannot be."""
    max_leases: int = request.args[0]
    semaphore: Semaphore | None = coordination.places.get(("semaphore", request.name))
    if semaphore is None:
        if request.name in coordination.closed_semaphores:
            text = f"the semaphore {request.name!r} was closed"
            coordination.refuse(request, "RuntimeError", text)
            return None
        if max_leases < 1:
            coordination.refuse(
                request, "ValueError", f"max_leases must be at least 1, got {max_leases}"
            )
            return None
        semaphore = coordination.places["semaphore", request.name] = Semaphore(
            request.name, max_leases
        )
        if coordination.recorder is not None:
            coordination.recorder.put(r.SEMAPHORE, request.name, max_leases)
    elif semaphore.max_leases != max_leases:
        coordination.refuse(
            request,
            "ValueError",
            f"the semaphore {request.name!r} has {semaphore.max_leases} leases at most, "
            f"not {max_leases}: all who use a name must agree",
        )
        return None
    return semaphore


def _register(coordination: CoordinationState, request: PendingRequest) -> None:
    """Args: max_leases."""
    if request.name in coordination.closed_semaphores:
        del coordination.closed_semaphores[request.name]
        if coordination.recorder is not None:
            coordination.recorder.drop(r.CLOSED, request.name)
    semaphore = _known(coordination, request)
    if semaphore is not None:
        semaphore.serve(coordination)
        coordination.answer(request)


def _acquire(coordination: CoordinationState, request: PendingRequest) -> None:
    """Args: max_leases."""
    semaphore = _known(coordination, request)
    if semaphore is not None:
        coordination.wait(request, semaphore)
        semaphore.waiters[request] = coordination.s.now
        semaphore.serve(coordination)


def _claim(coordination: CoordinationState, request: PendingRequest) -> None:
    """Args: max_leases, number of the ask that the lease was the answer to."""
    token = (request.client, request.args[1])
    semaphore = _known(coordination, request)
    if semaphore is None:
        return
    mine = token in semaphore.leases
    free = len(semaphore.leases) < semaphore.max_leases
    if not mine and free and coordination.can_hold(token, semaphore):
        semaphore.lend(coordination, token)
        mine = True
    semaphore.serve(coordination)
    coordination.answer(request, mine)


def _release(coordination: CoordinationState, request: PendingRequest) -> None:
    """Args: number of the ask that the lease was the answer to."""
    coordination.answer(request, coordination.take_away((request.client, request.args[0])))


def _value(coordination: CoordinationState, request: PendingRequest) -> None:
    semaphore: Semaphore | None = coordination.places.get(("semaphore", request.name))
    coordination.answer(request, 0 if semaphore is None else len(semaphore.leases))


def _refresh(coordination: CoordinationState, request: PendingRequest) -> None:
    """Hearing of a client is what keeps its leases."""
    coordination.answer(request)


def _close(coordination: CoordinationState, request: PendingRequest) -> None:
    recorder = coordination.recorder
    coordination.semaphore_counts.pop(request.name, None)
    coordination.closed_semaphores[request.name] = None
    if recorder is not None:
        recorder.put(r.CLOSED, request.name)
        recorder.drop(r.SEMAPHORE, request.name)
    if len(coordination.closed_semaphores) > _CLOSED:
        oldest = next(iter(coordination.closed_semaphores))
        del coordination.closed_semaphores[oldest]
        if recorder is not None:
            recorder.drop(r.CLOSED, oldest)
    semaphore: Semaphore | None = coordination.places.pop(("semaphore", request.name), None)
    if semaphore is not None:
        for token in semaphore.leases:
            coordination.let_go(token)
        semaphore.leases = {}
        for waiter in list(semaphore.waiters):
            coordination.refuse(
                waiter, "RuntimeError", f"the semaphore {request.name!r} was closed"
            )
        semaphore.waiters = {}
    coordination.answer(request)


OPERATIONS = {
    "register": Operation(_register, int, lasting=True),
    "acquire": Operation(_acquire, int, lasting=True),
    "claim": Operation(_claim, int, int),
    "release": Operation(_release, int, lasting=True),
    "value": Operation(_value),
    "refresh": Operation(_refresh),
    "close": Operation(_close, lasting=True),
}
