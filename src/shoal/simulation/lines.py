"""The lines on which a simulated worker publishes to other workers directly, as `Hub` has them.

Nothing is kept for who is not there: what was on a line that broke is gone, and the next value
opens another one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.wire.messages import Published

if TYPE_CHECKING:
    from shoal.simulation.network import End
    from shoal.simulation.worker_node import WorkerNode

__all__ = ["EDGE", "Lines"]

EDGE = "pubsub"


class Lines:
    """The streams of published values from one worker to others, and from others to it."""

    def __init__(self, node: WorkerNode) -> None:
        self._node = node
        self._ends: dict[str, End] = {}
        self._waiting: dict[str, list[Published]] = {}  # until there is a line
        self._incoming: dict[End, int] = {}  # and a number for each
        self._accepted = 0

    def send(self, address: str, message: Published) -> None:
        """Send values to the subscribers on a worker."""
        if address == self._node.address:
            self._deliver(message, 0)
        elif address in self._ends:
            self._ends[address].send([message])
        elif address in self._waiting:
            self._waiting[address].append(message)
        else:
            self._waiting[address] = [message]
            self._node.cluster.network.dial(
                self._node, address, EDGE, lambda end: self._opened(address, end)
            )

    def _opened(self, address: str, end: End | None) -> None:
        messages = self._waiting.pop(address)
        if end is not None:
            self._ends[address] = end
            end.send(list(messages))

    def accept(self, end: End) -> None:
        """Another worker will publish to this one."""
        self._accepted += 1
        self._incoming[end] = self._accepted

    def receive(self, end: End, messages: list[Any]) -> None:
        """Take in what came on a line."""
        if end in self._incoming:
            for message in messages:
                self._deliver(message, self._incoming[end])

    def _deliver(self, message: Published, line: int) -> None:
        self._node.cluster.direct += 1
        for client in self._node.clients:
            if client.alive and client.on_direct is not None:
                client.on_direct(message, line)

    def lose(self, end: End) -> None:
        """A line broke."""
        self._incoming.pop(end, None)
        for address, known in list(self._ends.items()):
            if known is end:
                del self._ends[address]
