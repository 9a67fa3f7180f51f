"""The ports through which a simulated scheduler's effects are carried out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.scheduler.core import Continue

if TYPE_CHECKING:
    from shoal.simulation.network import End
    from shoal.simulation.scheduler_node import SchedulerNode

__all__ = ["Calls", "Peers"]


class Peers(dict[str, "End"]):
    """The connections of workers, or of clients, by name."""

    def send(self, name: str, messages: list[Any]) -> None:
        """Send messages, if somebody of this name is there."""
        if name in self:
            self[name].send(messages)

    def drop(self, name: str) -> None:
        """Close a connection; what was sent arrives before the other end hears of it."""
        end = self.pop(name, None)
        if end is not None:
            end.close()

    dismiss_soon = drop


class Calls:
    """The other things that happen in a simulated scheduler's process."""

    def __init__(self, node: SchedulerNode) -> None:
        self._node = node
        self._continuing = False

    def continue_soon(self) -> None:
        """Let the core go on after what is at the sockets, or a little later."""
        if not self._continuing:
            self._continuing = True
            cluster = self._node.cluster
            cluster.clock.call_later(cluster.rng.choice([0.0, 1e-3]), self._continue)

    def _continue(self) -> None:
        self._continuing = False
        self._node.feed(Continue())

    def worker_refused(self, address: str, reason: str) -> None:
        """The worker itself is told."""

    def worker_closed(self, address: str, reason: str) -> None:
        """Results that only this worker has are lost, and nobody is to blame."""
        self._node.silenced += 1
        if address in self._node.machine.state.workers:
            self._node.cluster.note_loss(address)

    def client_closed(self, client: str, reason: str) -> None:
        """Only the stranger breaks the protocol."""
        assert client == "stranger", f"{client} was turned away: {reason}"

    def client_left(self, client: str) -> None:
        """Its connection ends, and nothing else is there."""

    def worker_retired(self, address: str, why_not: str | None) -> None:
        """The caller that asked for it is told."""
        self._node.retiring.pop(address, None)

    def idle(self) -> None:
        """A real scheduler would close for want of work."""
        waiting = [client for client in self._node.cluster.present if client.is_waiting()]
        assert not waiting, f"the scheduler is idle, and {waiting[0].address} waits"
        self._node.went_idle = True
