"""A simulated user of locks, semaphores, queues, variables, events and datasets.

Every ask ends: with an answer, or because its time is over. Where nothing fails, locks exclude and
each item is got once; whatever fails, the scheduler is left with nothing when all are done.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from shoal.scheduler.core.coordination.state import coordination_of
from shoal.simulation.asking_user import AskingUser
from shoal.simulation.topics import TopicsUser
from shoal.wire.messages import Answer, Ask

if TYPE_CHECKING:
    from shoal.simulation.cluster import Cluster
    from shoal.simulation.simulated_client import SimulatedClient

__all__ = ["PrimitivesUser", "uses_primitives"]

_LOCKS = ("x", "y", "z")
_LEASES = 2
_CLOSING = "c"  # the semaphore that users close, and open again; the queue that they close
_EVERY = 5  # lives in which primitives are used


def uses_primitives(seed: int) -> bool:
    """Whether the users of a seed's cluster use primitives."""
    return seed % _EVERY == 2


class PrimitivesUser(AskingUser):
    """One client's use of primitives, beside all else that it does."""

    cluster: Cluster

    def __init__(self, cluster: Cluster, client: SimulatedClient, actions: int) -> None:
        super().__init__(cluster, client, "primitives", actions, 10, "p")
        self.calm = cluster.profile.kind == "calm"
        self.put = 0
        self.queued: list[str] = []  # the items put into the queue that is never closed
        self.got: list[str] = []
        self.topics = TopicsUser(self)
        # Tasks on different workers publish to each other directly, if there are enough of them.
        often = 2 if client.home is None else 5
        self._acts = [
            self._lock,
            self._lease,
            self._queue,
            self._variable,
            self._event,
            self._dataset,
            *[self.topics.act] * often,
        ]

    def _judge_error(self, ask: Ask, answer: Answer) -> None:
        late = answer.error == "TimeoutError"
        closed = "closed" in answer.value  # by another client; or this one is closed
        assert late or closed, f"{ask.kind}.{ask.op}: {answer}"

    def _time(self) -> float:
        return self.rng.choice([0.0, 0.001, 0.1, 1.0])

    # -- actions -----------------------------------------------------------------------

    def _lock(self) -> None:
        names = self.rng.sample(_LOCKS, self.rng.randint(1, 3))
        needed = self.rng.randint(1, len(names))
        self.ask(
            "lock",
            "acquire",
            names,
            needed,
            then=partial(self._hold, ""),
            seconds=self._time(),
            claim=("claim", [names]),
            name="",
        )

    def _lease(self) -> None:
        draw = self.rng.randrange(12)
        if draw == 0:
            self.ask("semaphore", "close", name=_CLOSING)
        elif draw <= 2:
            self.ask("semaphore", "register", _LEASES, name=_CLOSING)
        else:
            name = "p" if draw > 5 else _CLOSING
            self.ask(
                "semaphore",
                "acquire",
                _LEASES,
                then=partial(self._hold, name),
                seconds=self._time(),
                claim=("claim", [_LEASES]),
                name=name,
            )

    def _hold(self, semaphore: str, id: int, value: Any) -> None:
        """Have a lease, or locks where no semaphore is named, for a while."""
        self.holds[id] = semaphore
        if self.calm:
            self._judge_holders()
        self.client.later(self.rng.choice([0.0, 0.01, 0.5, 1.5]), self._release, id)

    def _judge_holders(self) -> None:
        """Compare with what the scheduler says: it gives nothing twice, so nor do users have it."""
        coordination = coordination_of(self.cluster.scheduler.machine.state)
        assert coordination is not None
        mine = coordination.held.get(self.client.address, {})
        for id, semaphore in self.holds.items():
            there = id in mine or semaphore == _CLOSING
            assert there, f"{self.client.address} has {id}, which it does not hold"

    def _release(self, id: int) -> None:
        semaphore = self.holds.pop(id)
        kind = "semaphore" if semaphore else "lock"
        then = None if semaphore == _CLOSING else self._released
        self.ask(kind, "release", id, then=then, gives_back=id, name=semaphore)

    def _released(self, id: int, value: Any) -> None:
        if self.calm:
            assert value is True, f"{self.client.address} lost what it held, and nothing failed"

    def _queue(self) -> None:
        maxsize = self.rng.choice([0, 2])
        name = _CLOSING if self.rng.random() < 0.2 else "p"
        if name == _CLOSING and self.rng.random() < 0.2:
            self.ask("queue", "close", name=name)
        elif self.rng.random() < 0.5:
            self.put += 1
            item = f"{self.client.address} {self.put}"
            live = self.client.live()
            keys = self.rng.sample(live, min(len(live), 1)) if self.rng.random() < 0.5 else []

            def there(id: int, value: Any) -> None:
                if name != _CLOSING:
                    self.queued.append(item)

            seconds = self._time()
            args = (maxsize, item.encode())
            self.ask("queue", "put", *args, keys=keys, then=there, seconds=seconds, name=name)
            self._leave_to_it(keys)
        else:
            n = self.rng.choice([-1, 1, 1, 2])
            seconds = self._time()
            self.ask("queue", "get", maxsize, n, then=self._got, seconds=seconds, name=name)

    def _leave_to_it(self, keys: list[str]) -> None:
        """Often drop the futures in a value: the value keeps them for its receiver."""
        if keys and self.rng.random() < 0.5:
            self.client.release(keys)

    def _got(self, id: int, value: list[bytes]) -> None:
        for item in value:
            text = item.decode()
            if self.calm:
                assert text not in self.got, f"{text} was got twice"
            self.got.append(text)

    def _variable(self) -> None:
        draw = self.rng.randrange(3)
        if draw == 0:
            live = self.client.live("finished")
            self.ask("variable", "set", b"v", keys=live[:1])
            self._leave_to_it(live[:1])
        elif draw == 1:
            self.ask("variable", "get", seconds=self._time())
        else:
            self.ask("variable", "delete")

    def _event(self) -> None:
        op = self.rng.choice(["set", "clear", "is_set", "wait"])
        self.ask("event", op, seconds=self._time() if op == "wait" else None)

    def _dataset(self) -> None:
        draw = self.rng.randrange(4)
        if draw <= 1:
            keys = self.rng.sample(live := self.client.live(), min(len(live), 2))
            self.ask("dataset", "publish", b"d", self.rng.random() < 0.5, keys=keys)
            self._leave_to_it(keys)
        elif draw == 2:
            self.ask("dataset", "get", seconds=self._time())
        else:
            self.ask("dataset", self.rng.choice(["list", "unpublish"]))

    def _clean(self) -> None:
        """Wait until all is answered and released, then take away what is left.

        Not of the queue: what was put must be there in the end, or somebody got it.
        """
        if self.topics.is_there and not self.topics.joining:
            self.topics.leave()
        if self.pending or self.holds or self.topics.joining:
            self.client.later(0.1, self._clean)
            return
        self._take_away()
        self._cleaned = True

    def sweep(self) -> None:
        """Take away what anybody left that nobody's death takes away."""
        self.ask("queue", "close")
        self._take_away()

    def _take_away(self) -> None:
        self.ask("queue", "close", name=_CLOSING)
        self.ask("variable", "delete")
        self.ask("event", "clear")
        self.ask("dataset", "unpublish")
