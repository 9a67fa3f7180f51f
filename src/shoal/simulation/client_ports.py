"""The ports through which a simulated client's effects are carried out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from shoal.client.core.state import Record

if TYPE_CHECKING:
    from shoal.client.core.machine import Machine
    from shoal.simulation.network import End

__all__ = ["Calls", "Futures", "Link"]


class Node(Protocol):
    """A client's process, as its ports know it."""

    address: str
    end: End | None
    machine: Machine
    on_news: Callable[[Any], None] | None
    last_logged: int | None
    lost_locks: list[str]

    def changed(self, record: Record) -> None:
        """A future changed its status."""


class Link:
    """The connection to the scheduler, while there is one."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def send(self, messages: list[Any]) -> None:
        """Send messages; without a connection they are dropped."""
        if self._node.end is not None:
            self._node.end.send(messages)

    send_now = send


class Futures:
    """The user's futures."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def forget(self, records: list[Record]) -> None:
        """The core knows nothing of these: it says so once, and before it says what became."""
        for record in records:
            known = self._node.machine.state.records.get(record.key)
            assert known is not record, f"{record.key} is refused and known"

    def tell_watchers(self, records: list[Record]) -> None:
        """Let the user look."""
        for record in records:
            self._node.changed(record)


class Calls:
    """The other things that happen in a simulated client's process."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def heard(self, news: list[Any]) -> None:
        """Messages of topics came."""
        if self._node.on_news is not None:
            for message in news:
                self._node.on_news(message)

    def logged(self, event: Any) -> None:
        """Events come in the order of their numbers, and none is left out on one connection."""
        node = self._node
        number, _ = event.message
        last = node.last_logged
        assert last in (None, number - 1), f"{node.address} heard of event {number} after {last}"
        node.last_logged = number

    def lock_lost(self, kind: str, name: str) -> None:
        """A user finds out when it is released, too."""
        self._node.lost_locks.append(name)

    def ended(self, reason: str) -> None:
        """The user knows."""

    def workers_changed(self) -> None:
        """No user here waits for workers."""
