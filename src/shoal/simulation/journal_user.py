"""A simulated user's data at a scheduler with a journal, and the data it expects to find there.

Each user has things of its own, which nobody else changes: what was acknowledged last is what must
be there. Shared things are counted at the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.simulation.asking_user import AskingUser
from shoal.simulation.scheduler_node import ADDRESS
from shoal.simulation.streaming import Streaming
from shoal.wire.messages import Answer, Ask

if TYPE_CHECKING:
    from shoal.simulation.simulated_client import SimulatedClient
    from shoal.simulation.workloads import Workload
    from shoal.simulation.world import World

__all__ = ["JournalUser"]

_ALL = -1  # take the items that a queue has, without waiting
_FIRST = 1_000_000  # number of the first ask: primitives of other kinds count from one
_LEASES = 2


class JournalUser(AskingUser):
    """One client's use of what a journal keeps."""

    def __init__(
        self, cluster: World, client: SimulatedClient, workload: Workload, actions: int
    ) -> None:
        name = f"own {client.address}"
        super().__init__(cluster, client, "journal", actions, 20, name, _FIRST)
        self.workload = workload
        self.busy: dict[str, None] = {}  # things of which a change was not acknowledged yet
        self.value = 0  # of the variable, as acknowledged
        self.flag = False
        self.published = 0
        self.noted = 0
        self.put = 0  # into the queue of its own
        self.got = 0
        self.wanted = 0
        self.shares = 0
        self.shared: list[str] = []  # acknowledged items of the queue that all share
        self.received: list[str] = []
        self.stream = Streaming(self)
        self._acts = [
            *[self._set, self._put, self._get, self._share, self._publish] * 2,
            *[self._look, self._flag, self._take, self._lock, self._note],
        ]

    def _judge_error(self, ask: Ask, answer: Answer) -> None:
        if "stream" not in ask.name:  # a late put into one that was retired
            assert self.client.machine.state.ended is not None, f"{ask.kind}.{ask.op}: {answer}"

    def _begin(self, thing: str) -> bool:
        """Begin to change something, unless that is under way."""
        if thing in self.busy:
            return False
        self.busy[thing] = None
        return True

    # -- things of its own -------------------------------------------------------------

    def _set(self) -> None:
        if not self._begin("variable"):
            return
        value = self.value + 1

        def there(id: int, answer: Any) -> None:
            self.value = value
            del self.busy["variable"]

        self.ask("variable", "set", b"%d" % value, then=there)

    def _look(self) -> None:
        if not self.value or not self._begin("variable"):
            return

        def found(id: int, answer: bytes) -> None:
            del self.busy["variable"]
            assert answer == b"%d" % self.value, f"{self.value} was acknowledged, not {answer!r}"

        self.ask("variable", "get", then=found)

    def _flag(self) -> None:
        if not self._begin("flag"):
            return
        op = self.rng.choice(["set", "clear", "is_set"])

        def there(id: int, answer: Any) -> None:
            del self.busy["flag"]
            if op == "is_set":
                assert answer is self.flag, f"{self.flag} was acknowledged"
            else:
                self.flag = op == "set"

        self.ask("event", op, then=there)

    def _put(self) -> None:
        self.put += 1
        self.ask("queue", "put", 0, b"%d" % self.put, then=lambda id, answer: None)

    def _get(self) -> None:
        n = self.rng.randint(1, 2)
        if self.wanted + n > self.put or not self._begin("queue"):
            return
        self.wanted += n

        def got(id: int, answer: list[bytes]) -> None:
            del self.busy["queue"]
            expected = [b"%d" % (self.got + 1 + i) for i in range(n)]
            assert answer == expected, f"{expected} come next, not {answer}"
            self.got += n

        self.ask("queue", "get", 0, n, then=got)

    def _publish(self) -> None:
        if not self._begin("dataset"):
            return
        if self.published and self.rng.random() < 0.4:
            self.ask("dataset", "get", then=self._found)
            return
        number = self.published + 1
        live = self.client.live("pending", "finished")
        keys = self.rng.sample(live, min(len(live), 1))

        def there(id: int, answer: Any) -> None:
            assert answer is True
            self.published = number
            del self.busy["dataset"]

        self.ask("dataset", "publish", b"%d" % number, True, keys=keys, then=there)
        if self.rng.random() < 0.7:
            self.client.release(keys)

    def _found(self, id: int, answer: Any) -> None:
        del self.busy["dataset"]
        assert answer == b"%d" % self.published, f"{self.published} was published, not {answer}"

    def _note(self) -> None:
        if not self._begin("note"):
            return
        number = self.noted + 1

        def heard(answer: Any) -> None:
            del self.busy["note"]
            if answer is not None:  # else nobody answered
                assert answer >= self.noted, f"{self.noted} was noted, not {answer}"
                self.noted = max(self.noted, answer)

        value = number if self.rng.random() < 0.7 else None
        self.cluster.network.ask(self.client, ADDRESS, ("note", self.client.address, value), heard)

    # -- things of all ---------------------------------------------------------------------

    def _share(self) -> None:
        self.shares += 1
        item = f"{self.client.address} {self.shares}"

        def there(id: int, answer: Any) -> None:
            self.shared.append(item)

        self.ask("queue", "put", 0, item.encode(), name="shared", then=there)

    def _take(self) -> None:
        def got(id: int, answer: list[bytes]) -> None:
            self.received += [item.decode() for item in answer]

        self.ask("queue", "get", 0, _ALL, name="shared", then=got)

    def _lock(self) -> None:
        lease = self.rng.random() < 0.4
        name = "journaled"
        args: list[Any] = [_LEASES] if lease else [["jx"], 1]
        claim: list[Any] = [_LEASES] if lease else [["jx"]]
        kind = "semaphore" if lease else "lock"

        def hold(id: int, answer: Any) -> None:
            self.holds[id] = kind
            self.cluster.judge.holds(
                self.client.address, id, kind, 1 if kind == "lock" else _LEASES
            )
            self.client.later(self.rng.choice([0.0, 0.05, 0.5]), let_go, id)

        def let_go(id: int) -> None:
            del self.holds[id]
            self.cluster.judge.lets_go(self.client.address, id, kind)
            self.ask(kind, "release", id, name=name, gives_back=id, then=released)

        def released(id: int, answer: Any) -> None:
            assert answer is True, f"{self.client.address} had lost its {kind}"

        self.ask(kind, "acquire", *args, name=name, claim=("claim", claim), then=hold)

    # -- the end -------------------------------------------------------------------------------

    def leave(self) -> None:
        """Have some tasks run, and go as soon as the scheduler has heard of that."""
        specs = self.workload.graph(self.rng.randint(1, 5), [])
        keys = [spec.key for spec in specs]
        self.client.submit(specs, lambda spec: True)
        self.client.fire(keys)

        def heard(id: int, answer: Any) -> None:
            self.cluster.owed.update(dict.fromkeys(keys))
            self.client.close()
            if self.rng.random() < 0.5:
                self.cluster.clock.call_later(self.rng.choice([0.01, 0.05]), die)

        def die() -> None:
            if self.cluster.scheduler.alive and not self.cluster.scheduler.keeps_nothing:
                self.cluster.kill_scheduler()
                self.cluster.clock.call_later(0.3, self.cluster.start_scheduler)

        self.ask("variable", "delete", then=heard)

    def _clean(self) -> None:
        """Wait until all is answered and released, look at what is left, and take it away."""
        if self.pending or self.holds or self.busy or not self.stream.done:
            self.client.later(0.1, self._clean)
            return

        leaves = self.client is not self.cluster.clients[0] and self.rng.random() < 0.5

        def rest(id: int, answer: list[bytes]) -> None:
            expected = [b"%d" % (n + 1) for n in range(self.got, self.put)]
            assert answer == expected, f"{expected} were put, and {answer} is there"
            if leaves:  # the next answer says that this one arrived
                self.leave()
            else:
                self.ask("variable", "delete", then=nothing)

        def nothing(id: int, answer: Any) -> None:
            """It is gone."""

        self.ask("queue", "get", 0, _ALL, then=rest)
        self.ask("event", "clear", then=nothing)
        self.ask("dataset", "unpublish", then=nothing)
        self._cleaned = True

    def sweep(self) -> None:
        """Take away what all share."""
        self.ask("queue", "close", name="shared", then=lambda id, answer: None)
