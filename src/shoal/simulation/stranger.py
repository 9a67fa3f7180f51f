"""A client that breaks the protocol: the scheduler turns it away, and nobody else notices."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from shoal.simulation.scheduler_node import ADDRESS
from shoal.wire.messages import ClientHello, SchedulerClosing

if TYPE_CHECKING:
    from shoal.simulation.network import End
    from shoal.simulation.world import World

__all__ = ["Stranger"]

_RETRY = 0.5


class Stranger:
    """Says hello twice, which is no way to speak to a scheduler.

    Attributes
    ----------
    turned_away : bool
        Whether the scheduler gave a reason and closed the connection after it.
    """

    def __init__(self, cluster: World) -> None:
        self.cluster = cluster
        self.address = "stranger"
        self.alive = True
        self.turned_away = False
        self._reason = ""
        self._dial()

    def _dial(self) -> None:
        self.cluster.network.dial(self, ADDRESS, "client", self._dialed)

    def _dialed(self, end: End | None) -> None:
        if end is None:
            self.cluster.clock.call_later(_RETRY, self._dial)
            return
        hello = ClientHello(self.address, None, {}, False, [])
        end.send([hello, hello])

    def received(self, end: End, messages: list[Any]) -> None:
        """Take the scheduler's last words."""
        for message in messages:
            if type(message) is SchedulerClosing:
                self._reason = message.reason

    def lost(self, end: End, reason: str) -> None:
        """The connection ended: by the scheduler, or by a fault."""
        if self._reason:
            self.turned_away = True
        elif not self.turned_away:
            self.cluster.clock.call_later(_RETRY, self._dial)

    def accepted(self, end: End, edge: str) -> None:
        """Refuse: it accepts no connections."""
        raise AssertionError(f"a stream {edge} to {self.address}")

    def asked(self, question: Any, reply: Callable[[Any], None]) -> None:
        """Refuse: it answers no questions."""
        raise AssertionError(f"{self.address} was asked {question}")
