"""The scheduler's core, with peers that keep to the protocol and peers whose words are mutated.

Words take the way that they would take to a real scheduler: encoded, mutated where the peer is a
bad one, decoded and checked. Who is refused there, or closed by the core, comes back under its
name. After every word the core's invariants hold, and what it says can be said to a peer. In the
end the bad ones are dropped: then all that good clients want must come, and when all have left,
nothing must be left of anybody.
"""

from __future__ import annotations

from random import Random
from typing import Any

from fuzzing.mutation import Mutator

from shoal.errors import ProtocolError
from shoal.scheduler.core import (
    ClientLost,
    Continue,
    FromClient,
    FromWorker,
    Machine,
    Settings,
    Tick,
    WorkerLost,
)
from shoal.scheduler.core.coordination.state import coordination_of
from shoal.wire import messages as m
from shoal.wire.blob import Blob
from shoal.wire.codec import BatchCodec
from shoal.worker.core.transitions import computes

__all__ = ["Episode", "replay"]

_ERROR = Blob(b"error")
_FUNCTIONS = [bytes([65 + i]) * 16 for i in range(3)]
_KINDS = ("queue", "variable", "lock", "event", "semaphore", "topic", "dataset")
_DONE = (m.KeysInMemory, m.KeysLost, m.KeysCancelled)

_FROM_WORKER: BatchCodec[Any] = BatchCodec(m.WorkerToScheduler)
_FROM_CLIENT: BatchCodec[Any] = BatchCodec(m.ClientToScheduler)
_TO_WORKER: BatchCodec[Any] = BatchCodec(m.SchedulerToWorker)
_TO_CLIENT: BatchCodec[Any] = BatchCodec(m.SchedulerToClient)


class Core:
    """A scheduler's core between wires; keeps what happened, to happen again."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.steps: list[list[Any]] = [["settings", settings]]
        self.machine = Machine(Settings(validate=True, **settings), "scheduler", first_run=1000)
        self.now = 0.0
        self.to_workers: dict[str, list[Any]] = {}
        self.to_clients: dict[str, list[Any]] = {}
        self.closed: list[tuple[str, str]] = []  # (edge, name): whose connection is to be closed

    def hear(self, edge: str, name: str, frames: list[bytes]) -> bool:
        """Let a peer say something; return whether that could be taken into account."""
        self.steps.append([edge, name, [frame.hex() for frame in frames]])
        codec = _FROM_WORKER if edge == "worker" else _FROM_CLIENT
        first = m.RegisterWorker if edge == "worker" else m.ClientHello
        s = self.machine.state
        known = name in (s.workers if edge == "worker" else s.clients)
        try:
            messages = codec.decode(frames)
            later = messages if known else messages[1:]
            if first in map(type, later) or not (known or type(messages[0]) is first):
                raise ProtocolError("out of place")  # the streams see to that
            if not known and name != getattr(
                messages[0], "address", getattr(messages[0], "client", "")
            ):
                raise ProtocolError("another's name")  # it would be called by that
        except (ProtocolError, IndexError):
            self.lose(edge, name, record=False)
            return False
        self.handle(FromWorker(name, messages) if edge == "worker" else FromClient(name, messages))
        return True

    def lose(self, edge: str, name: str, record: bool = True) -> None:
        if record:
            self.steps.append([f"lost-{edge}", name])
        event = WorkerLost(name) if edge == "worker" else ClientLost(name)
        (self.to_workers if edge == "worker" else self.to_clients).pop(name, None)
        self.handle(event)

    def advance(self, seconds: float) -> None:
        self.steps.append(["time", seconds])
        self.now += seconds
        self.handle(Tick())

    def handle(self, event: Any) -> None:
        queue = [event]
        for each in queue:  # it grows
            effects = self.machine.handle(each, self.now)
            for address, messages in effects.to_workers.items():
                _TO_WORKER.decode(_TO_WORKER.encode(messages))
                self.to_workers.setdefault(address, []).extend(messages)
            for client, messages in effects.to_clients.items():
                _TO_CLIENT.decode(_TO_CLIENT.encode(messages))
                self.to_clients.setdefault(client, []).extend(messages)
            for address, _ in effects.rejected:
                self.closed.append(("worker", address))
            for address, _ in effects.close_workers:
                self.closed.append(("worker", address))
                queue.append(WorkerLost(address))
            for client, _ in effects.close_clients:
                self.closed.append(("client", client))
                queue.append(ClientLost(client))
            self.closed += [("client", client) for client in effects.left_clients]
            if effects.more:
                queue.append(Continue())

    def end(self) -> None:
        """When all have left and time went by, only what primitives keep is there."""
        s = self.machine.state
        for client in list(s.clients):
            self.handle(ClientLost(client))
        for worker in list(s.workers):
            self.handle(WorkerLost(worker))
        for _ in range(40):
            self.now += 10.0
            self.handle(Tick())
        coordination = coordination_of(s)
        kept: set[str] = set() if coordination is None else set(coordination.kept)
        needed = [s.tasks[key] for key in kept if key in s.tasks]
        needed += s.fire_and_forget.wants.values()  # no worker came that could run them
        for ts in needed:  # it grows
            needed += [dep for dep in ts.deps if dep not in needed]
        orphans = [ts for ts in s.tasks.values() if ts not in needed]
        assert not orphans, f"left behind: {orphans[:5]}"
        tables: dict[str, Any] = {
            "awaited": s.recovery.awaited,
            "unclaimed": s.recovery.unclaimed,
            "puts": s.recovery.puts,
            "reported": s.recovery.reported,
            "inbox": s.inbox,
            "unneeded": s.unneeded,
        }
        for name, table in tables.items():
            left = [each for each in table if each not in needed]
            assert not left, f"{name}: {left[:5]}"
        assert not [g for g in s.groups.values() if not g.size], "groups without tasks"
        assert needed or not s.functions, f"functions: {list(s.functions)}"
        if s.coordination is not None:
            for name in ("waiting", "unacked", "held", "answered", "gone"):
                assert not getattr(s.coordination, name), f"coordination.{name}"


def replay(steps: list[list[Any]]) -> None:
    """Let happen again what an episode recorded."""
    (_, settings), *steps = steps
    core = Core(settings)
    for kind, *rest in steps:
        if kind == "time":
            core.advance(rest[0])
        elif kind.startswith("lost-"):
            core.lose(kind.removeprefix("lost-"), rest[0])
        elif kind == "end":
            core.end()
        else:
            core.hear(kind, rest[0], [bytes.fromhex(frame) for frame in rest[1]])


class Episode:
    """A cluster's life, of so many mutated words."""

    def __init__(self, seed: str, cases: int) -> None:
        self.rng = Random(seed)
        self.mutator = Mutator(self.rng)
        rng = self.rng
        self.core = Core(
            {
                "unknown_task_duration": rng.choice([0.001, 0.5]),
                "slice": rng.choice([4000, 4000, 3]),
                "allowed_failures": 100,
                "worker_ttl": None,
            }
        )
        self.cases = cases
        self.queues: dict[str, dict[str, m.Compute]] = {}
        self.held: dict[str, dict[str, None]] = {}
        self.wants: dict[str, dict[str, bool]] = {}  # client -> key -> whether it is to come
        self.asked: dict[str, list[int]] = {}
        self.numbers = 0
        self.told = 0
        self.over = False

    def run(self) -> None:
        for name in ("good-1", "bad-1"):
            self.join_worker(name)
        for name in ("good-c", "bad-c"):
            self.join_client(name)
        while self.cases > 0:
            self.step()
        self.end()

    # -- saying --------------------------------------------------------------------------

    def say(self, edge: str, name: str, *messages: Any) -> None:
        codec = _FROM_WORKER if edge == "worker" else _FROM_CLIENT
        frames = [bytes(frame) for frame in codec.encode(list(messages))]
        if name.startswith("bad") and self.rng.random() < 0.8:
            self.cases -= 1
            frames[0] = self.mutator.batch(frames[0])
        taken = self.core.hear(edge, name, frames)
        if not taken and name.startswith("good"):
            raise AssertionError(f"refused {name}: {messages}")
        if not taken:
            self.forget(edge, name)
        self.listen()

    def forget(self, edge: str, name: str) -> None:
        if edge == "worker":
            self.queues.pop(name, None)
            self.held.pop(name, None)
        else:
            self.wants.pop(name, None)
            self.asked.pop(name, None)

    def listen(self) -> None:
        closed, self.core.closed = self.core.closed, []
        for edge, name in closed:
            assert not name.startswith("good") or self.over, f"{name} was closed"
            self.forget(edge, name)
        for client in list(self.core.to_clients):
            statuses = self.wants.get(client, {})
            for message in self.core.to_clients.pop(client):
                if isinstance(message, _DONE):
                    statuses.update((key, False) for key in message.keys if key in statuses)
                elif type(message) is m.KeyErred and message.key in statuses:
                    statuses[message.key] = False
                elif type(message) is m.KeysPending:
                    statuses.update((key, True) for key in message.keys if key in statuses)
        for address in list(self.core.to_workers):
            for message in self.core.to_workers.pop(address, ()):
                if address in self.queues:
                    self.worker_hears(address, message)

    def worker_hears(self, address: str, message: Any) -> None:
        queue, held = self.queues[address], self.held[address]
        match message:
            case m.Compute():
                queue[message.key] = message
            case m.ComputeMany():
                queue.update((each.key, each) for each in computes(message))
            case m.Free():
                for key in message.keys:
                    queue.pop(key, None)
                    held.pop(key, None)
            case m.WorkerWelcome():
                for key in message.stop:
                    queue.pop(key, None)
            case m.Steal():
                given = [queue.pop(key) for key in message.keys if key in queue]
                kept = [key for key in message.keys if key not in {t.key for t in given}]
                reply = m.StealReply([t.key for t in given], [t.run for t in given], kept)
                self.say("worker", address, reply)
            case m.Acquire():
                held.update(dict.fromkeys(message.keys))
                n = len(message.keys)
                acquired = m.Acquired(message.keys, message.nbytes, ["int"] * n, False)
                acquired.lives = message.lives
                self.say("worker", address, acquired)

    # -- who is there ----------------------------------------------------------------------

    def join_worker(self, name: str) -> None:
        self.queues[name], self.held[name] = {}, {}
        back = list(self.core.machine.state.tasks)[:3] if name.startswith("bad") else []
        register = m.RegisterWorker(
            address=name,
            name=name,
            nthreads=self.rng.choice([1, 2]),
            memory_limit=10**9,
            resources={"GPU": 2.0},
            pid=1,
            host="host",
            nanny=None,
            status="running",
            server_id=name,
            versions={},
            local_directory="",
            reconnect=bool(back),
            held=back,
            held_nbytes=[28] * len(back),
            held_types=["int"] * len(back),
            running=back[:1],
            running_runs=[5] * len(back[:1]),
        )
        if name not in self.core.machine.state.workers:
            self.say("worker", name, register)

    def join_client(self, name: str) -> None:
        self.wants[name], self.asked[name] = {}, []
        if name not in self.core.machine.state.clients:
            hello = m.ClientHello(name, None, {}, self.rng.random() < 0.2, ["good-1"])
            blobs = [Blob(b"function")] * len(_FUNCTIONS)
            self.say("client", name, hello, m.DefineFunctions(list(_FUNCTIONS), blobs))

    def step(self) -> None:
        rng = self.rng
        for name in ("bad-1", "bad-2"):
            if name not in self.queues and rng.random() < 0.5:
                self.join_worker(name)
        if "bad-c" not in self.wants:
            self.join_client("bad-c")
        if rng.random() < 0.1:
            self.core.advance(rng.choice([0.01, 0.6, 4.0, 20.0]))
            self.listen()
        if rng.random() < 0.05:
            edge, name = rng.choice([("worker", "bad-1"), ("worker", "bad-2"), ("client", "bad-c")])
            self.core.lose(edge, name)
            self.forget(edge, name)
            self.listen()
            return
        if rng.random() < 0.5:
            self.worker_step(rng.choice(list(self.queues)))
        else:
            bad = "bad-c" in self.wants and rng.random() < 0.7
            self.client_step("bad-c" if bad else "good-c")

    # -- workers' words ----------------------------------------------------------------------

    def worker_step(self, address: str) -> None:
        if address.startswith("good"):
            self.run_all(address)
            return
        rng = self.rng
        tasks = list(self.queues[address].values())
        chosen = rng.sample(tasks, min(len(tasks), 3))
        keys = [task.key for task in chosen] or list(self.core.machine.state.tasks)[:2]
        n = len(keys)
        held = rng.sample(list(self.held[address]), min(2, len(self.held[address])))
        words: list[Any] = [
            m.WorkerStatus(rng.choice(["running", "running", "paused"])),
            m.WorkerHeartbeat({"memory": 1, "cpu": 2.0}, dict.fromkeys(keys, 0.5)),
            m.ResourcesChanged({"GPU": 1.0, "X": 3.0}),
            m.EventLogged(["all", "topic"], {"action": "add-worker", "worker": "nobody"}),
            m.Acquired(keys, [28] * n, ["int"] * n, rng.random() < 0.5, lives=[self.told] * n),
            m.NotAcquired(keys, "no", [0] * n),
            m.Dropped(held or keys, "lost"),
            m.StealReply([t.key for t in chosen], [t.run for t in chosen], keys[:1]),
        ]
        if chosen:
            task = chosen[0]
            deps = list(task.deps)
            words = [
                self.finished(chosen),
                self.finished(chosen),
                self.finished(chosen[:1]),
                m.Failed(task.key, task.run, _ERROR, _ERROR, "error", "", 0.0, 0.1, ["b.E", "b.F"]),
                m.Interrupted(task.key, task.run, "timeout", "here", 1.0, rng.random() < 0.5),
                m.Rescheduled(task.key, task.run),
                m.LongRunning(task.key, task.run, 0.1),
                m.MissingDeps(task.key, task.run, deps, [["good-1"]] * len(deps), [[]] * len(deps)),
                rng.choice(words),
                rng.choice(words),
            ]
        self.say("worker", address, *rng.sample(words, rng.choice((1, 1, 2))))
        for task in chosen:
            if address in self.queues and rng.random() < 0.7:
                self.queues[address].pop(task.key, None)

    def finished(self, tasks: list[m.Compute]) -> m.Finished:
        n = len(tasks)
        return m.Finished(
            [task.key for task in tasks],
            [task.run for task in tasks],
            [28] * n,
            ["int"] * n,
            [1.0] * n,
            [1.5] * n,
            [b"value" if task.wanted else None for task in tasks],
        )

    def run_all(self, address: str) -> None:
        tasks = list(self.queues[address].values())
        self.queues[address].clear()
        self.held[address].update(dict.fromkeys(task.key for task in tasks))
        if tasks:
            self.say("worker", address, self.finished(tasks))

    # -- clients' words ----------------------------------------------------------------------

    def client_step(self, client: str) -> None:
        rng = self.rng
        mine = self.wants[client]
        some = rng.sample(list(mine), min(len(mine), rng.randint(1, 4)))
        all_keys = list(self.core.machine.state.tasks)
        others = rng.sample(all_keys, min(len(all_keys), 2))
        kind = rng.randrange(16)
        if client.startswith("good"):
            if kind < 8 or not some:
                self.say("client", client, self.graph(client, []))
            else:
                for key in some:
                    del mine[key]
                self.say("client", client, m.Release(some))
            return
        self.numbers += 1
        number = self.numbers
        asked = self.asked[client]
        words: list[Any] = [
            m.Want([*others, f"w{number}"], self.told),
            m.Release(some),
            m.FireAndForget(others),
            m.Cancel(some or others, rng.random() < 0.5),
            m.Retry(others),
            m.Scattered([f"s{number}"], [28], ["int"], [["good-1"]], self.told, [self.told]),
            m.Publish("topic", [Blob(b"value")], True),
            m.DefineFunctions([bytes([number % 250]) * 16], [Blob(b"function")]),
            m.ForgetFunctions([rng.choice(_FUNCTIONS)]),
            m.Took(asked[-2:]),
            m.Unask(rng.choice(asked) if asked else 1, rng.random() < 0.5),
            m.Resume([self.ask(client, others) for _ in range(2)]),
            m.ClientHeartbeat(),
            m.ClientGoodbye(),
        ]
        if kind < 8:
            word: Any = self.graph(client, others)
        elif kind < 11:
            word = self.ask(client, others)
        else:
            word = rng.choice(words)
        mine.update(dict.fromkeys(getattr(word, "keys", ()), True))
        self.say("client", client, word, *rng.sample(words[:-1], rng.choice((0, 0, 1))))

    def ask(self, client: str, keys: list[str]) -> m.Ask:
        rng = self.rng
        self.numbers += 1
        kind = rng.choice(_KINDS)
        number = rng.choice(self.asked[client] or [1])
        ops: dict[str, list[tuple[str, list[Any]]]] = {
            "queue": [
                ("put", [2, b"v"]),
                ("get", [2, 1]),
                ("get", [0, -1]),
                ("close", []),
                ("retire", []),
            ],
            "variable": [("set", [b"v"]), ("get", []), ("delete", [])],
            "lock": [
                ("acquire", [["a", "b"], 1]),
                ("acquire", [["a"], 1]),
                ("release", [number]),
                ("claim", [["a"], number]),
            ],
            "event": [("set", []), ("clear", []), ("wait", [])],
            "semaphore": [
                ("register", [1]),
                ("acquire", [1]),
                ("release", [number]),
                ("claim", [1, number]),
                ("close", []),
            ],
            "topic": [
                ("subscribe", [""]),
                ("publish", []),
                ("republish", [number]),
                ("resubscribe", ["good-1", number]),
                ("leave", [number]),
            ],
            "dataset": [("publish", [b"v", True]), ("get", []), ("unpublish", [])],
        }
        op, args = rng.choice(ops[kind])
        self.asked[client].append(self.numbers)
        return m.Ask(self.numbers, kind, rng.choice("ab"), op, args, keys[:1])

    def graph(self, client: str, others: list[str]) -> m.Graph:
        rng = self.rng
        self.told += 1024
        n = rng.choice((1, 1, 2, 3, 6))
        fresh = range(self.numbers, self.numbers + n)
        self.numbers += n
        keys = [f"('{client[0]}', {i})" if rng.random() < 0.5 else f"k{i}" for i in fresh]
        if others and rng.random() < 0.2:
            keys[0] = others[0]  # a name that is taken
        deps: list[list[int | str]] = [[] for _ in keys]
        if rng.random() < 0.7:
            mine = list(self.wants[client])
            for i, links in enumerate(deps):
                pool: list[int | str] = [*range(i), *mine[-3:], *others]
                pool = [ref for ref in dict.fromkeys(pool) if ref not in keys]
                links += rng.sample(pool, min(len(pool), rng.randint(0, 2)))
        graph = m.Graph(
            keys=keys,
            functions=list(_FUNCTIONS[: rng.randint(1, 3)]),
            args=[b"args"] * n,
            deps=deps if any(deps) else [],
            groups=["g", "h"][: rng.randint(0, 2)],
            wanted=None if rng.random() < 0.5 else sorted(rng.sample(range(n), rng.randint(0, n))),
            told=self.told,
        )
        if len(graph.functions) > 1:
            graph.function_of = [rng.randrange(len(graph.functions)) for _ in keys]
        if len(graph.groups) > 1:
            graph.group_of = [rng.randrange(len(graph.groups)) for _ in keys]
        if rng.random() < 0.2:
            policy = rng.choice((None, m.RetryPolicy(["b.F"], 0.1, 2.0, True)))
            graph.options = [
                m.TaskOptions(resources={"GPU": 1.0}, retries=1, timeout=1.0, retry=policy)
            ]
            if not client.startswith("good") and rng.random() < 0.5:
                graph.options = [
                    m.TaskOptions(workers=["good-1"], actor=rng.random() < 0.5),
                    m.TaskOptions(allow_other_workers=True, workers=["host"]),
                ]
                graph.option_of = [rng.randrange(-1, 2) for _ in keys]
        if rng.random() < 0.2:
            graph.order = list(range(n))[::-1]
        if rng.random() < 0.1:
            graph.lives = [self.told] * n
        wanted = keys if graph.wanted is None else [keys[i] for i in graph.wanted]
        self.wants[client].update(dict.fromkeys(wanted, True))
        return graph

    # -- the end -------------------------------------------------------------------------------

    def end(self) -> None:
        """All that is left to do is done by the good ones, and then nothing is left."""
        core = self.core
        for name in ("bad-1", "bad-2"):
            core.lose("worker", name)
            self.forget("worker", name)
        core.lose("client", "bad-c")
        self.forget("client", "bad-c")
        quiet = 0
        for _ in range(200):
            self.listen()
            tasks = bool(self.queues["good-1"])
            self.run_all("good-1")
            core.advance(5.0)
            quiet = 0 if tasks else quiet + 1
            if quiet > 14:
                break
        s = core.machine.state
        for key, to_come in self.wants["good-c"].items():
            ts = s.tasks.get(key)
            stuck = to_come and ts is not None and not _waits_for_workers(ts)
            assert not stuck, f"{ts} of {ts and ts.wanted_by} does not come"
            assert not to_come or ts is not None, f"{key!r} was lost, and nobody was told"
        self.over = True
        self.say("client", "good-c", m.ClientGoodbye())
        self.listen()
        core.steps.append(["end"])
        core.end()


def _waits_for_workers(ts: Any) -> bool:
    """Whether a task, or one that it needs, is for workers that do not come."""
    seen = [ts]
    for each in seen:  # it grows
        if each.state == "no-worker":
            return True
        seen += [dep for dep in each.deps if dep not in seen]
    return False
