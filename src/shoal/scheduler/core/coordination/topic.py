"""Topics: who publishes, who subscribes, and the way through the scheduler for those who need it.

Workers publish to each other directly: their clients are told the addresses of the workers that
subscribe. Clients, and whoever publishes to clients, send values through here. Subscriptions are
held, as locks are, so they end with their client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.scheduler.core.coordination.desk import Operation
from shoal.scheduler.core.speech import tell_client
from shoal.wire.messages import Published, Subscribers

if TYPE_CHECKING:
    from shoal.scheduler.core.coordination.desk import Asked, Desk, Token
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

    def tell_publishers(self, desk: Desk) -> None:
        """Who subscribes has changed."""
        for client in dict.fromkeys(client for client, _ in self.publishers):
            state = desk.s.clients.get(client)
            if state is not None:
                tell_client(desk.s, state, self.describe())

    def withdraw(self, desk: Desk, asked: Asked) -> None:
        """Nobody waits at a topic."""

    def put_back(self, desk: Desk, items: Any) -> None:
        """What is published is gone."""

    def release(self, desk: Desk, token: Token) -> None:
        """Somebody left."""
        self.publishers.pop(token, None)
        if self.subscribers.pop(token, None) is not None:
            self.tell_publishers(desk)
        if not self.publishers and not self.subscribers:
            del desk.places["topic", self.name]


def _topic(desk: Desk, name: str) -> Topic:
    topic: Topic | None = desk.places.get(("topic", name))
    if topic is None:
        topic = desk.places["topic", name] = Topic(name)
    return topic


def _subscribe(desk: Desk, asked: Asked) -> None:
    """Args: address of the worker that subscribes, or ""."""
    _join_subscribers(desk, asked, asked.id, asked.args[0])


def _resubscribe(desk: Desk, asked: Asked) -> None:
    """Args: as for `_subscribe`, number of the ask that began the subscription."""
    _join_subscribers(desk, asked, asked.args[1], asked.args[0])


def _join_subscribers(desk: Desk, asked: Asked, id: int, address: str) -> None:
    topic = _topic(desk, asked.name)
    token = (asked.client, id)
    if token not in topic.subscribers:
        topic.subscribers[token] = address
        desk.hold(token, topic)
        topic.tell_publishers(desk)
    desk.answer(asked, True)


def _publish(desk: Desk, asked: Asked) -> None:
    _join_publishers(desk, asked, asked.id)


def _republish(desk: Desk, asked: Asked) -> None:
    """Args: number of the ask that it was before."""
    _join_publishers(desk, asked, asked.args[0])


def _join_publishers(desk: Desk, asked: Asked, id: int) -> None:
    topic = _topic(desk, asked.name)
    topic.publishers[asked.client, id] = None
    desk.hold((asked.client, id), topic)
    known = topic.describe()
    tell_client(desk.s, desk.s.clients[asked.client], known)
    desk.answer(asked, [known.workers, known.others])


def _leave(desk: Desk, asked: Asked) -> None:
    """Args: number of the ask that began it."""
    desk.answer(asked, desk.take_away((asked.client, asked.args[0])))


def on_publish(desk: Desk, msg: Publish) -> None:
    """Pass values on, once to each client that has subscribers."""
    topic: Topic | None = desk.places.get(("topic", msg.topic))
    if topic is None:
        return
    told = Published(msg.topic, msg.values)
    clients = dict.fromkeys(
        client
        for (client, _), address in topic.subscribers.items()
        if msg.workers_too or not address
    )
    for client in clients:
        state = desk.s.clients.get(client)
        if state is not None:
            tell_client(desk.s, state, told)


OPERATIONS = {
    "subscribe": Operation(_subscribe, str),
    "resubscribe": Operation(_resubscribe, str, int),
    "publish": Operation(_publish),
    "republish": Operation(_republish, int),
    "leave": Operation(_leave, int),
}
