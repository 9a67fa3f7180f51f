"""Semaphores: so many leases, given to those who ask in the order they came."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.scheduler.core.coordination.desk import Operation

if TYPE_CHECKING:
    from shoal.scheduler.core.coordination.desk import Asked, Desk, Token

__all__ = ["OPERATIONS", "Semaphore"]

# Names of closed semaphores that are remembered, to refuse who did not hear of it.
_CLOSED = 10_000


class Semaphore:
    """One semaphore; it is forgotten when nobody has a lease or waits for one."""

    __slots__ = ("leases", "max_leases", "name", "waiters")

    def __init__(self, name: str, max_leases: int) -> None:
        self.name = name
        self.max_leases = max_leases
        self.leases: dict[Token, None] = {}
        self.waiters: dict[Asked, None] = {}

    def lend(self, desk: Desk, token: Token) -> None:
        """Give a lease."""
        self.leases[token] = None
        desk.hold(token, self)

    def serve(self, desk: Desk) -> None:
        """Give what is free to those who are first."""
        if desk.claims_until is None:
            while self.waiters and len(self.leases) < self.max_leases:
                waiter = next(iter(self.waiters))
                del self.waiters[waiter]
                self.lend(desk, waiter.token)
                desk.answer(waiter, True)
        if not self.leases and not self.waiters:
            desk.places.pop(("semaphore", self.name), None)

    def withdraw(self, desk: Desk, asked: Asked) -> None:
        """Nobody waits for this any more."""
        del self.waiters[asked]
        self.serve(desk)

    def release(self, desk: Desk, token: Token) -> None:
        """A lease is free again."""
        self.leases.pop(token, None)
        self.serve(desk)

    def put_back(self, desk: Desk, items: Any) -> None:
        """Leases are held, not handed over."""


def _known(desk: Desk, asked: Asked) -> Semaphore | None:
    """Return the semaphore, made when it is new; refuse the ask where that cannot be."""
    max_leases: int = asked.args[0]
    semaphore: Semaphore | None = desk.places.get(("semaphore", asked.name))
    if semaphore is None:
        if asked.name in desk.closed_semaphores:
            text = f"the semaphore {asked.name!r} was closed"
            desk.refuse(asked, "RuntimeError", text)
            return None
        if max_leases < 1:
            desk.refuse(asked, "ValueError", f"max_leases must be at least 1, got {max_leases}")
            return None
        semaphore = desk.places["semaphore", asked.name] = Semaphore(asked.name, max_leases)
    elif semaphore.max_leases != max_leases:
        desk.refuse(
            asked,
            "ValueError",
            f"the semaphore {asked.name!r} has {semaphore.max_leases} leases at most, "
            f"not {max_leases}: all who use a name must agree",
        )
        return None
    return semaphore


def _register(desk: Desk, asked: Asked) -> None:
    """Args: max_leases."""
    desk.closed_semaphores.pop(asked.name, None)
    semaphore = _known(desk, asked)
    if semaphore is not None:
        semaphore.serve(desk)
        desk.answer(asked)


def _acquire(desk: Desk, asked: Asked) -> None:
    """Args: max_leases."""
    semaphore = _known(desk, asked)
    if semaphore is not None:
        desk.wait(asked, semaphore)
        semaphore.waiters[asked] = None
        semaphore.serve(desk)


def _claim(desk: Desk, asked: Asked) -> None:
    """Args: max_leases, number of the ask that the lease was the answer to."""
    token = (asked.client, asked.args[1])
    semaphore = _known(desk, asked)
    if semaphore is None:
        return
    mine = token in semaphore.leases
    if not mine and len(semaphore.leases) < semaphore.max_leases:
        semaphore.lend(desk, token)
        mine = True
    desk.answer(asked, mine)


def _release(desk: Desk, asked: Asked) -> None:
    """Args: number of the ask that the lease was the answer to."""
    desk.answer(asked, desk.take_away((asked.client, asked.args[0])))


def _value(desk: Desk, asked: Asked) -> None:
    semaphore: Semaphore | None = desk.places.get(("semaphore", asked.name))
    desk.answer(asked, 0 if semaphore is None else len(semaphore.leases))


def _refresh(desk: Desk, asked: Asked) -> None:
    """Hearing of a client is what keeps its leases."""
    desk.answer(asked)


def _close(desk: Desk, asked: Asked) -> None:
    desk.closed_semaphores[asked.name] = None
    if len(desk.closed_semaphores) > _CLOSED:
        del desk.closed_semaphores[next(iter(desk.closed_semaphores))]
    semaphore: Semaphore | None = desk.places.pop(("semaphore", asked.name), None)
    if semaphore is not None:
        for token in semaphore.leases:
            desk.let_go(token)
        semaphore.leases = {}
        for waiter in list(semaphore.waiters):
            desk.refuse(waiter, "RuntimeError", f"the semaphore {asked.name!r} was closed")
        semaphore.waiters = {}
    desk.answer(asked)


OPERATIONS = {
    "register": Operation(_register, int),
    "acquire": Operation(_acquire, int),
    "claim": Operation(_claim, int, int),
    "release": Operation(_release, int),
    "value": Operation(_value),
    "refresh": Operation(_refresh),
    "close": Operation(_close),
}
