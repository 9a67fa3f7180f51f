"""Carries out what the scheduler's core asks for; the order is that of the fields of `Effects`.

Nothing here touches a socket, a clock or a log: that is what the ports are for. The real scheduler
and the simulator's use the same `SchedulerApplier` with ports of their own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

from shoal._base.applier import Applier
from shoal.scheduler.core import ClientLost, Effects, Machine, WorkerLost
from shoal.scheduler.core.events import Event
from shoal.scheduler.core.journal.recorder import Change
from shoal.wire import messages as m

__all__ = ["Calls", "Journal", "Peers", "SchedulerApplier", "Send", "Timer"]

Send: TypeAlias = Callable[[str, list[Any]], None]
"""Sends messages to the peer of a name."""


class Peers(Protocol):
    """The connections to workers, or to clients, by name; an unknown name is no error."""

    def send(self, name: str, messages: list[Any], /) -> None:
        """Send messages; they leave at the end of the loop's turn."""

    def dismiss_soon(self, name: str, /) -> None:
        """Send what is to be sent, then close."""

    def drop(self, name: str, /) -> None:
        """Close at once."""


class Timer(Protocol):
    """Feeds a `Tick` when it rings."""

    def set(self, deadline: float, /) -> None:
        """Ring at this time, or earlier if it was set to that."""


class Calls(Protocol):
    """The other things that happen in the scheduler's process."""

    def continue_soon(self) -> None:
        """Feed a `Continue` once the loop has looked at its sockets; asked twice, only one."""

    def worker_refused(self, address: str, reason: str, /) -> None:
        """A worker may not join; it is told so next."""

    def worker_closed(self, address: str, reason: str, /) -> None:
        """The connection to a worker is about to be dropped."""

    def client_closed(self, client: str, reason: str, /) -> None:
        """A client broke the protocol; it is told so next."""

    def client_left(self, client: str, /) -> None:
        """A client said goodbye."""

    def worker_retired(self, address: str, why_not: str | None, /) -> None:
        """A worker is empty, or cannot be emptied."""

    def idle(self) -> None:
        """Nothing was asked for longer than the idle timeout."""


class Journal(Protocol):
    """Keeps what a scheduler that starts anew must know.

    Attributes
    ----------
    position : int
        How many times something was appended.
    synced : int
        How many of these are as safe as they must be before anything that follows from them is
        carried out.
    """

    position: int
    synced: int

    def append(self, changes: Sequence[Change], /) -> None:
        """Write changes. A journal that cannot says so to people, and the cluster goes on."""


class SchedulerApplier(Applier[Event, Effects, Send]):
    """Carries out effects of a scheduler's core.

    Events may be given with another way to send to clients, for one that waits for the answer.

    Parameters
    ----------
    machine : Machine
        The core.
    clock : callable
        Returns the time.
    workers, clients : Peers
        Their connections.
    timer : Timer
        Rings for the core.
    calls : Calls
        Does the rest.
    journal : Journal, optional
        Where there is one. It is written before anything else is carried out, and what follows from
        an event waits for the disk where the journal says so; `carry_on` lets it go on.
    """

    def __init__(
        self,
        machine: Machine,
        clock: Callable[[], float],
        *,
        workers: Peers,
        clients: Peers,
        timer: Timer,
        calls: Calls,
        journal: Journal | None = None,
    ) -> None:
        self._workers = workers
        self._clients = clients
        self._timer = timer
        self._calls = calls
        super().__init__(machine.handle, clock, Effects)
        self._written = journal
        self._held: deque[tuple[int, Effects, Send | None]] = deque()
        if journal is not None:
            self.holds = self._hold

    def _hold(self, effects: Effects, send: Send | None) -> bool:
        """Write to the journal; return whether what follows has to wait for the disk."""
        journal = self._written
        assert journal is not None
        if effects.journal:
            journal.append(effects.journal)
        if not self._held and journal.synced >= journal.position:
            return False
        # Also what has nothing to do with it: messages keep their order.
        self._held.append((journal.position, effects, send))
        return True

    @property
    def waiting(self) -> bool:
        """Whether something waits for the disk."""
        return bool(self._held)

    def carry_on(self) -> None:
        """Carry out what waited for what is on disk now."""
        held, journal = self._held, self._written
        while held and journal is not None and held[0][0] <= journal.synced:
            _, effects, send = held.popleft()
            self.resume(effects, send)

    def _journal(self, effects: Effects, send: Send | None) -> None:
        """It was written before: see `_hold`."""

    def _to_workers(self, effects: Effects, send: Send | None) -> None:
        send = self._workers.send
        for address, messages in effects.to_workers.items():
            send(address, messages)

    def _to_clients(self, effects: Effects, send: Send | None) -> None:
        send = send or self._clients.send
        for client, messages in effects.to_clients.items():
            send(client, messages)

    def _rejected(self, effects: Effects, send: Send | None) -> None:
        for address, reason in effects.rejected:
            self._calls.worker_refused(address, reason)
            self._workers.send(address, [m.WorkerRejected(reason)])
            self._workers.dismiss_soon(address)

    def _close_workers(self, effects: Effects, send: Send | None) -> None:
        for address, reason in effects.close_workers:
            self._calls.worker_closed(address, reason)
            self._workers.drop(address)
            self.feed(WorkerLost(address, reason))

    def _close_clients(self, effects: Effects, send: Send | None) -> None:
        for client, reason in effects.close_clients:
            self._calls.client_closed(client, reason)
            self._clients.send(client, [m.SchedulerClosing(reason)])
            self._clients.dismiss_soon(client)
            self.feed(ClientLost(client, reason))

    def _left_clients(self, effects: Effects, send: Send | None) -> None:
        for client in effects.left_clients:
            self._calls.client_left(client)
            self._clients.dismiss_soon(client)

    def _retired(self, effects: Effects, send: Send | None) -> None:
        for address in effects.retired:
            self._calls.worker_retired(address, None)

    def _not_retired(self, effects: Effects, send: Send | None) -> None:
        for address, why in effects.not_retired:
            self._calls.worker_retired(address, why)

    def _idle(self, effects: Effects, send: Send | None) -> None:
        self._calls.idle()

    def _more(self, effects: Effects, send: Send | None) -> None:
        self._calls.continue_soon()

    def _next_deadline(self, effects: Effects, send: Send | None) -> None:
        assert effects.next_deadline is not None
        self._timer.set(effects.next_deadline)
