"""A scheduler core with scripted peers: every message it sends is recorded until the test takes it.

A test that leaves messages fails (`Cluster.check_all_seen`, called by the conftest of the core's
tests), except for those that follow from its own words: greetings of who came, results that the
test itself reported. A test that does not look at a kind says why: `ignore(m.Free, why="...")`,
which fails if there is none.
"""

from __future__ import annotations

from math import inf
from typing import Any, ClassVar, cast

from looked_at import Unlooked

from shoal.scheduler.core import (
    ClientLost,
    Continue,
    Effects,
    FromClient,
    FromWorker,
    Machine,
    Settings,
    Tick,
    WorkerLost,
)
from shoal.scheduler.core.journal.format import encode_file, encode_record, read
from shoal.scheduler.core.journal.restoring import fold
from shoal.wire import messages as m
from shoal.wire.blob import Blob
from shoal.worker.core.transitions import computes

FUNCTION = b"f" * 16
WALL = 1_000_000.0
ERROR = Blob(b"error")


def through_a_file(changes: Any) -> list[Any]:
    """Return changes as they are when they were written and read."""
    file = encode_file([], 7)
    record = encode_record(changes, 7, file.number + 1)
    return read(file.data + record).changes


# Sent to whoever comes, and about whoever comes; a function goes before the first task of it.
GREETINGS = (m.ClientWelcome, m.WorkerWelcome, m.WorkersChanged, m.DefineFunctions)


class Cluster:
    """Drives one `Machine`; checks its invariants after every event."""

    made: ClassVar[list[Cluster]] = []  # by the test that runs

    def __init__(self, **settings: Any) -> None:
        self.made.append(self)
        self.ignores_all = ""  # why
        self.reported: set[str] = set()  # keys whose results the test's peers said are there
        settings.setdefault("validate", True)
        # What a journal says, checked after every event; None: there is none.
        self.entries: dict[Any, Any] | None = {} if settings.pop("journal", False) else None
        self.settings = Settings(**settings)
        journal = None if self.entries is None else []
        self.machine = Machine(
            self.settings, "scheduler", now=0.0, first_run=1000, journal=journal, wall=WALL
        )
        self.now = 0.0
        self.to_workers: dict[str, list[Any]] = {}
        self.to_clients: dict[str, list[Any]] = {}
        self.effects = Effects((), {}, {})
        # A client that leaves said so itself.
        self.others = Unlooked(
            ("rejected", "close_workers", "close_clients", "retired", "not_retired", "idle")
        )

    @property
    def s(self) -> Any:
        return self.machine.state

    def handle(self, event: Any) -> Effects:
        """Have the core handle an event, and all that it leaves for later."""
        effects = self.handle_slice(event)
        while effects.more:
            effects = self.handle_slice(Continue())
        return effects

    def handle_slice(self, event: Any) -> Effects:
        for message in getattr(event, "messages", ()):
            if isinstance(message, (m.Finished, m.Scattered, m.Acquired)):
                self.reported.update(message.keys)
            elif isinstance(message, m.RegisterWorker):
                self.reported.update(message.held)
        effects = self.machine.handle(event, self.now)
        self.effects = cast("Effects", self.others.watch(effects))
        if self.entries is not None:
            self.look_at_journal(effects)
        for address, messages in effects.to_workers.items():
            self.to_workers.setdefault(address, []).extend(messages)
        for client, messages in effects.to_clients.items():
            self.to_clients.setdefault(client, []).extend(messages)
        return self.effects

    def look_at_journal(self, effects: Effects) -> None:
        """What was written says what there is."""
        assert self.entries is not None
        fold(through_a_file(effects.journal), self.entries)
        there = fold(through_a_file(self.machine.snapshot()))
        written = self.entries
        differ = [e for e in written.keys() | there if written.get(e, "") != there.get(e, "")]
        assert not differ, f"the journal and the state differ: {differ}"

    def start_anew(self) -> None:
        """The scheduler dies, and another begins from the journal; no peer is there yet."""
        assert self.entries is not None
        changes = [(*entry, value) for entry, value in self.entries.items()]
        self.machine = Machine(
            self.settings,
            "another",
            now=self.now,
            first_run=self.machine.state.next_run + 1_000_000,
            journal=changes,
            wall=WALL,
        )
        self.to_workers.clear()
        self.to_clients.clear()
        self.entries = fold(through_a_file(self.machine.snapshot()))

    def advance(self, seconds: float, stopped: bool = False) -> Effects:
        """Let time pass; the ticks in between were on time, or the process was stopped."""
        if not stopped:
            self.machine._too_late = inf
        self.now += seconds
        return self.handle(Tick())

    # -- peers ----------------------------------------------------------------

    def worker(self, address: str, nthreads: int = 1, **more: Any) -> str:
        name = more.pop("name", address)
        host = more.pop("host", "host")
        resources = more.pop("resources", {})
        status = more.pop("status", "running")
        memory_limit = more.pop("memory_limit", 0)
        register = m.RegisterWorker(
            address=address,
            name=name,
            nthreads=nthreads,
            memory_limit=memory_limit,
            resources=resources,
            pid=1,
            host=host,
            nanny=None,
            status=status,
            server_id=address,
            versions={},
            local_directory="",
            **more,
        )
        self.handle(FromWorker(address, [register]))
        return address

    def client(self, name: str = "c", **more: Any) -> str:
        hello = m.ClientHello(
            name, None, {}, more.get("reconnect", False), more.get("known_workers", [])
        )
        self.handle(FromClient(name, [hello, m.DefineFunctions([FUNCTION], [Blob(b"function")])]))
        return name

    def say(self, client: str, *messages: Any) -> Effects:
        return self.handle(FromClient(client, list(messages)))

    def hear(self, worker: str, *messages: Any) -> Effects:
        return self.handle(FromWorker(worker, list(messages)))

    def lose_worker(self, address: str, **more: Any) -> Effects:
        self.to_workers.pop(address, None)
        return self.handle(WorkerLost(address, **more))

    def lose_client(self, name: str) -> Effects:
        return self.handle(ClientLost(name))

    # -- clients' words ---------------------------------------------------------

    def graph(self, client: str, deps: dict[str, list[str]], **more: Any) -> Effects:
        """Submit tasks: key -> keys of its inputs."""
        keys = list(deps)
        index = {key: i for i, key in enumerate(keys)}
        wanted = more.pop("wanted", keys)
        options = more.pop("options", None)
        links = [[index.get(d, d) for d in deps[key]] for key in keys]
        return self.say(
            client,
            m.Graph(
                keys=keys,
                functions=[FUNCTION],
                args=[b"args"] * len(keys),
                deps=links if any(links) else [],
                groups=["g"],
                wanted=None if list(wanted) == keys else [index[key] for key in wanted],
                options=[options] if options is not None else [],
                **more,
            ),
        )

    def release(self, client: str, *keys: str) -> Effects:
        return self.say(client, m.Release(list(keys)))

    # -- workers' words -----------------------------------------------------------

    def sent(self, worker: str) -> list[m.Compute]:
        """Take the tasks that a worker was sent."""
        messages = self.to_workers.get(worker, [])
        tasks: list[m.Compute] = []
        rest: list[Any] = []
        for message in messages:
            if type(message) is m.Compute:
                tasks.append(message)
            elif type(message) is m.ComputeMany:
                tasks += computes(message)
            else:
                rest.append(message)
        self.to_workers[worker] = rest
        return tasks

    def told(self, peer: str, kind: type) -> list[Any]:
        """Take the messages of one kind that a worker or client was sent."""
        table = self.to_workers if peer in self.to_workers else self.to_clients
        messages = table.get(peer, [])
        table[peer] = [msg for msg in messages if type(msg) is not kind]
        return [msg for msg in messages if type(msg) is kind]

    def ignore(self, *kinds: type, why: str) -> None:
        """Take all messages of some kinds, which must be there, without a look at them.

        `why` says what they are, or where else the test sees what they say.
        """
        assert why
        for kind in kinds:
            found = False
            for table in (self.to_workers, self.to_clients):
                for peer, messages in table.items():
                    table[peer] = [msg for msg in messages if type(msg) is not kind]
                    found = found or len(table[peer]) < len(messages)
            assert found, f"no {kind.__name__} is left to ignore"

    def ignore_all(self, why: str) -> None:
        """Let the test leave whatever it likes."""
        self.ignores_all = why

    def is_expected(self, message: Any) -> bool:
        """Whether a message follows from what the test's peers said."""
        if type(message) is m.KeysInMemory:
            return self.reported.issuperset(message.keys)
        return isinstance(message, GREETINGS)

    def check_all_seen(self) -> None:
        """Fail if the core sent something that the test did not look at."""
        if self.ignores_all:
            return
        left = [
            (peer, message)
            for table in (self.to_workers, self.to_clients)
            for peer, messages in table.items()
            for message in messages
            if not self.is_expected(message)
        ]
        kinds = sorted({type(message).__name__ for _, message in left})
        assert not left, f"nobody looked at {', '.join(kinds)}: {left}"
        self.others.check()

    def done(self, worker: str, *tasks: m.Compute, seconds: float = 0.001, **more: Any) -> Effects:
        n = len(tasks)
        return self.hear(
            worker,
            m.Finished(
                [t.key for t in tasks],
                [t.run for t in tasks],
                [more.get("nbytes", 28)] * n,
                ["int"] * n,
                [0.0] * n,
                [seconds] * n,
                [more.get("value", b"value") if t.wanted else None for t in tasks],
            ),
        )

    def failed(self, worker: str, task: m.Compute, text: str = "boom") -> Effects:
        return self.hear(worker, m.Failed(task.key, task.run, ERROR, ERROR, text, "", 0.0, 0.1))

    def run_all(self, limit: int = 10_000) -> list[str]:
        """Let all workers run what they are sent until nothing is left; return the keys in
        order.
        """
        order: list[str] = []
        for _ in range(limit):
            progressed = False
            for worker in list(self.s.workers):
                tasks = sorted(self.sent(worker), key=lambda t: t.priority)
                if tasks:
                    progressed = True
                    order.extend(t.key for t in tasks)
                    self.done(worker, *tasks)
            if not progressed:
                return order
        raise AssertionError("it does not end")

    # -- what is so -----------------------------------------------------------------

    def state(self, key: str) -> str | None:
        ts = self.s.tasks.get(key)
        return None if ts is None else ts.state

    def states(self) -> dict[str, str]:
        return {key: ts.state for key, ts in self.s.tasks.items()}
