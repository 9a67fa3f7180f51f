"""What a simulated user does at topics: subscribe, publish, leave.

Each publisher numbers its values, and sends them where it was told that somebody subscribes. What
one subscription hears of one publisher is in order and never twice; where nothing fails, nothing is
left out in between, and publishers know of who came.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.client.core import events as e
from shoal.wire.blob import Blob
from shoal.wire.messages import Publish, Published

if TYPE_CHECKING:
    from shoal.simulation.primitives import PrimitivesUser

__all__ = ["TopicsUser"]

TOPIC = "p"
_BURST = 3  # batches that are published, one after the other
_HEARD_OF = 1.0  # seconds after which publishers know of a subscriber, where nothing fails


class TopicsUser:
    """One client at one topic."""

    def __init__(self, user: PrimitivesUser) -> None:
        self.user = user
        self.subscription = 0  # the ask that began it
        self.since = 0.0  # when it was answered
        self.publication = 0
        self.joining = False
        self.published = 0
        self.heard: dict[str, int] = {}  # publisher -> its last value that was heard
        self.others = 0  # subscribers, as far as the scheduler told
        user.client.on_news = self.take

    @property
    def is_there(self) -> bool:
        """Whether this user is at the topic, or on its way there."""
        return bool(self.joining or self.subscription or self.publication)

    def act(self) -> None:
        """Do one of the things that can be done now."""
        if self.joining:
            return
        draw = self.user.rng.randrange(4)
        if draw == 0:
            self.leave()
        elif not self.subscription and draw == 1:
            self._join("subscribe", ("resubscribe", [""]), "")
        elif not self.publication:
            self._join("publish", ("republish", []))
        else:
            for i in range(_BURST):
                self.user.client.later(0.01 * i, self._publish)

    def leave(self) -> None:
        """Leave the topic, as who drops its `Sub` and `Pub` objects."""
        for number in (self.subscription, self.publication):
            if number:
                self.user.ask("topic", "leave", number, gives_back=number)
        self.subscription = self.publication = 0
        self.heard = {}

    def _join(self, op: str, claim: tuple[str, list[Any]], *args: Any) -> None:
        self.joining = True

        def joined(id: int, value: Any) -> None:
            self.joining = False
            if op == "subscribe":
                self.subscription = id
                self.since = self.user.cluster.clock.now
            else:
                self.publication = id
                self.others = value[1]

        self.user.ask("topic", op, *args, then=joined, claim=claim)

    def _publish(self) -> None:
        if not self.publication:
            return  # left meanwhile
        values = []
        for _ in range(self.user.rng.randint(1, 3)):
            self.published += 1
            values.append(Blob(f"{self.user.client.address} {self.published}".encode()))
        if not self.others:
            assert not (self.user.calm and self._unheard_of()), "a subscriber is not heard of"
            return
        self.user.client.handle(e.Spoke([Publish(TOPIC, values, workers_too=True)]))

    def _unheard_of(self) -> bool:
        cluster = self.user.cluster
        topics = [user.primitives.topics for user in cluster.users if user.primitives is not None]
        before = cluster.clock.now - _HEARD_OF
        return any(one.subscription and one.since < before for one in topics)

    def take(self, message: Any) -> None:
        """Hear what the scheduler says about the topic."""
        if type(message) is not Published:
            self.others = message.others
            return
        if not self.subscription:
            return  # on its way when this user left, or before it knew that it had come
        for value in message.values:
            publisher, number = bytes(value.data).decode().split()
            last = self.heard.get(publisher)
            self.heard[publisher] = int(number)
            if last is None:
                continue
            who = f"{self.user.client.address} heard {number} of {publisher} after {last}"
            assert int(number) > last, who
            assert not self.user.calm or int(number) == last + 1, who
