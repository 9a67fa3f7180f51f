"""A simulated user at topics: it subscribes, publishes and leaves.

Each publisher numbers its values, and sends them where it was told that somebody subscribes: a task
to other workers directly, all others by the scheduler. The values of one publisher at one
subscription come in order, as long as they come on one line, and never twice; where nothing fails,
nothing is left out in between, and publishers know of who came.
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
        self.heard: dict[tuple[str, int], int] = {}  # (publisher, line) -> its last value
        self.known: set[tuple[str, int]] = set()  # (publisher, value): all that was heard
        self.workers: list[str] = []  # that subscribe, as far as the scheduler told
        self.others = 0  # clients that do
        self.told_at: list[float] = []  # when each value was published
        home = user.client.home
        self.address = "" if home is None else home.address
        user.client.on_news = self.take
        user.client.on_direct = self.take

    @property
    def is_there(self) -> bool:
        """Whether this user is at the topic, or on its way there."""
        return bool(self.joining or self.subscription or self.publication)

    def act(self) -> None:
        """Do one of the things that can be done now."""
        if self.joining:
            return
        draw = self.user.rng.randrange(6)
        if draw == 0:
            self.leave()
        elif not self.subscription and (draw <= 2 or self.publication):
            self._join("subscribe", ("resubscribe", [self.address]), self.address)
        elif not self.publication:
            self._join("publish", ("republish", []))
        else:
            for i in range(_BURST):
                self.user.client.later(0.01 * i, self._publish)

    def leave(self) -> None:
        """Leave the topic, as a user does who drops the `Sub` and `Pub` objects."""
        for number in (self.subscription, self.publication):
            if number:
                self.user.ask("topic", "leave", number, gives_back=number)
        self.subscription = self.publication = 0
        self.heard = {}
        self.known = set()

    def _join(self, op: str, claim: tuple[str, list[Any]], *args: Any) -> None:
        self.joining = True

        def joined(id: int, value: Any) -> None:
            self.joining = False
            if op == "subscribe":
                self.subscription = id
                self.since = self.user.cluster.clock.now
            else:
                self.publication = id
                self.workers, self.others = value

        self.user.ask("topic", op, *args, then=joined, claim=claim)

    def _publish(self) -> None:
        if not self.publication:
            return  # left meanwhile
        values = []
        for _ in range(self.user.rng.randint(1, 3)):
            self.published += 1
            self.told_at.append(self.user.cluster.clock.now)
            values.append(Blob(f"{self.user.client.address} {self.published}".encode()))
        if self.user.calm:
            self._judge_route()
        home = self.user.client.home
        by_scheduler = self.others > 0
        if home is None:
            by_scheduler = by_scheduler or bool(self.workers)
        else:
            for address in self.workers:
                home.lines.send(address, Published(TOPIC, values))
        if by_scheduler:
            self.user.client.handle(e.Spoke([Publish(TOPIC, values, workers_too=home is None)]))

    def _judge_route(self) -> None:
        """Publishers know of all subscribers that came a while ago."""
        before = self.user.cluster.clock.now - _HEARD_OF
        for one in self._all():
            if one.subscription and one.since < before:
                known = one.address in self.workers if one.address else self.others
                assert known, f"{one.user.client.address} subscribes, and is not heard of"

    def _all(self) -> list[TopicsUser]:
        users = self.user.cluster.users
        return [user.primitives.topics for user in users if user.primitives is not None]

    def take(self, message: Any, line: int = -1) -> None:
        """Hear what the scheduler says about the topic, or what came on a line of the worker."""
        if type(message) is not Published:
            self.workers, self.others = message.workers, message.others
            return
        if not self.subscription:
            return  # on its way when this user left, or before it knew that it had come
        for value in message.values:
            publisher, text = bytes(value.data).decode().split()
            number = int(text)
            last = self.heard.get((publisher, line))
            self.heard[publisher, line] = number
            who = f"{self.user.client.address} heard {number} of {publisher} after {last}"
            assert (publisher, number) not in self.known, f"{who}, for the second time"
            self.known.add((publisher, number))
            if last is None:
                continue
            assert number > last, who
            assert number == last + 1 or not self._is_due(publisher, last), who

    def _is_due(self, publisher: str, number: int) -> bool:
        """Whether all that was published after a value has to come here."""
        if not self.user.calm:
            return False
        (one,) = (one for one in self._all() if one.user.client.address == publisher)
        return one.told_at[number - 1] > self.since + _HEARD_OF
