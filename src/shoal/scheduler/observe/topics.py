"""Clients that want to hear of what is logged under a topic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from shoal.scheduler.core_access import CoreAccess
from shoal.wire import messages as m

if TYPE_CHECKING:
    from shoal.scheduler.streams import Streams

__all__ = ["Topics"]

# Prints and warnings of tasks are for all clients.
_FOR_ALL = ("print", "warn")
_OF_TASKS = "worker"  # the name of the clients of tasks, which show nothing


class TopicsHost(CoreAccess, Protocol):
    """A scheduler, as its topics know it."""

    @property
    def client_streams(self) -> Streams:
        """The connections to clients."""

    def listen_to_core(self) -> None:
        """Have the core note what somebody wants to hear of."""


class Topics:
    """Which clients subscribed to which topics.

    Parameters
    ----------
    scheduler : Scheduler
        Whose events these are.
    """

    def __init__(self, scheduler: TopicsHost) -> None:
        self.scheduler = scheduler
        self.subscribers: dict[str, dict[str, None]] = {  # topic -> clients
            topic: {} for topic in _FOR_ALL
        }

    def subscribe(self, topic: str, client: str) -> None:
        """Tell a client of all events of a topic from now on.

        A client that is not connected says it again when it is.
        """
        if client not in self.scheduler.state.clients:
            return
        self.subscribers.setdefault(topic, {})[client] = None
        self.scheduler.listen_to_core()

    def unsubscribe(self, topic: str, client: str) -> None:
        """Tell a client no more; no harm where it did not subscribe."""
        clients = self.subscribers.get(topic, {})
        clients.pop(client, None)
        if not clients and topic not in _FOR_ALL and self.subscribers.pop(topic, None) is not None:
            self.scheduler.listen_to_core()

    def forget(self, client: str) -> None:
        """A client is gone."""
        for topic in [t for t, clients in self.subscribers.items() if client in clients]:
            self.unsubscribe(topic, client)

    def tell(self, topic: str, when: float, message: Any) -> None:
        """Tell those who subscribed of an event."""
        clients = list(self.subscribers.get(topic, ()))
        if topic in _FOR_ALL:
            known = self.scheduler.state.clients.values()
            clients = [client.id for client in known if client.name != _OF_TASKS]
        for client in clients:
            event = m.TopicEvent(topic, self.scheduler.wall_time(when), message)
            self.scheduler.client_streams.send(client, [event])
