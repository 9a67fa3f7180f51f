"""Topics: their publishers, their subscribers, and the way through the scheduler.

Workers publish to each other directly: their clients are told the addresses of the workers that
subscribe. Clients, and whoever publishes to clients, send values through here. Subscriptions are
held, as locks are, so they end with their client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.scheduler.core.coordination.state import Operation
from shoal.scheduler.core.outgoing import tell_client
from shoal.wire.messages import Published, Subscribers

if TYPE_CHECKING:
    from shoal.scheduler.core.coordination.state import CoordinationState, PendingRequest, Token
    from shoal.wire.messages import Publish

__all__ = ["OPERATIONS", "Topic", "on_publish"]


class Topic:
    """One topic; it is forgotten when nobody publishes or subscribes."""

    __slots__ = ("name", "publishers", "subscribers")

    def __init__(self, name: str) -> None:
        self.name = name
        self.publishers: dict[Token, None] = {}
        self.subscribers: dict[Token, str] = {}  # and the worker's address, "" for clients

    def describe(self) -> Subscribers:
        """Return what publishers must know."""
        workers = dict.fromkeys(address for address in self.subscribers.values() if address)
        others = sum(not address for address in self.subscribers.values())
        return Subscribers(self.name, list(workers), others)

    def tell_publishers(self, coordination: CoordinationState) -> None:
        """The subscribers have changed."""
        for client in dict.fromkeys(client for client, _ in self.publishers):
            state = coordination.s.clients.get(client)
            if state is not None:
                tell_client(coordination.s, state, self.describe())

    def withdraw(self, coordination: CoordinationState, request: PendingRequest) -> None:
        """Do nothing: no request waits at a topic."""

    def put_back(self, coordination: CoordinationState, items: Any) -> None:
        """Published values are gone."""

    def release(self, coordination: CoordinationState, token: Token) -> None:
        """A publisher or subscriber left."""
        self.publishers.pop(token, None)
        if self.subscribers.pop(token, None) is not None:
            self.tell_publishers(coordination)
        if not self.publishers and not self.subscribers:
            del coordination.places["topic", self.name]


def _topic(coordination: CoordinationState, name: str) -> Topic:
    topic: Topic | None = coordination.places.get(("topic", name))
    if topic is None:
        topic = coordination.places["topic", name] = Topic(name)
    return topic


def _subscribe(coordination: CoordinationState, request: PendingRequest) -> None:
    """Args: address of the worker that subscribes, or ""."""
    _join_subscribers(coordination, request, request.id, request.args[0])


def _resubscribe(coordination: CoordinationState, request: PendingRequest) -> None:
    """Args: as for `_subscribe`, number of the ask that began the subscription."""
    _join_subscribers(coordination, request, request.args[1], request.args[0])


def _join_subscribers(
    coordination: CoordinationState, request: PendingRequest, id: int, address: str
) -> None:
    topic = _topic(coordination, request.name)
    token = (request.client, id)
    if not coordination.can_hold(token, topic):
        _refuse(coordination, request, topic)
        return
    if token not in topic.subscribers:
        topic.subscribers[token] = address
        coordination.hold(token, topic)
        topic.tell_publishers(coordination)
    coordination.answer(request, True)


def _publish(coordination: CoordinationState, request: PendingRequest) -> None:
    _join_publishers(coordination, request, request.id)


def _republish(coordination: CoordinationState, request: PendingRequest) -> None:
    """Args: number of the ask that it was before."""
    _join_publishers(coordination, request, request.args[0])


def _join_publishers(coordination: CoordinationState, request: PendingRequest, id: int) -> None:
    topic = _topic(coordination, request.name)
    if not coordination.can_hold((request.client, id), topic):
        _refuse(coordination, request, topic)
        return
    topic.publishers[request.client, id] = None
    coordination.hold((request.client, id), topic)
    known = topic.describe()
    tell_client(coordination.s, coordination.s.clients[request.client], known)
    coordination.answer(request, [known.workers, known.others])


def _refuse(coordination: CoordinationState, request: PendingRequest, topic: Topic) -> None:
    text = f"a number of {request.client} stands for something else than the topic {topic.name!r}"
    coordination.refuse(request, "ValueError", text)
    if not topic.publishers and not topic.subscribers:
        del coordination.places["topic", topic.name]


def _leave(coordination: CoordinationState, request: PendingRequest) -> None:
    """Args: number of the ask that began it."""
    coordination.answer(request, coordination.take_away((request.client, request.args[0])))


def on_publish(coordination: CoordinationState, msg: Publish) -> None:
    """Pass values on, once to each client that has subscribers."""
    topic: Topic | None = coordination.places.get(("topic", msg.topic))
    if topic is None:
        return
    told = Published(msg.topic, msg.values)
    clients = dict.fromkeys(
        client
        for (client, _), address in topic.subscribers.items()
        if msg.workers_too or not address
    )
    for client in clients:
        state = coordination.s.clients.get(client)
        if state is not None:
            tell_client(coordination.s, state, told)


OPERATIONS = {
    "subscribe": Operation(_subscribe, str),
    "resubscribe": Operation(_resubscribe, str, int),
    "publish": Operation(_publish),
    "republish": Operation(_republish, int),
    "leave": Operation(_leave, int),
}
