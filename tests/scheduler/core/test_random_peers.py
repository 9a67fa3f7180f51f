"""Random but protocol-abiding peers against the scheduler's core; the invariants hold after every
event.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from scheduler_harness import ERROR, Cluster

from shoal.scheduler.core import RestartAll, RetireWorkers
from shoal.wire import messages as m
from shoal.worker.core.transitions import computes


class Peers:
    """Clients that submit, release and cancel; workers that run, fail, lose data and die."""

    def __init__(self, seed: int, **settings: Any) -> None:
        self.rng = random.Random(seed)
        self.cluster = Cluster(
            unknown_task_duration=self.rng.choice([0.001, 0.5]),
            allowed_failures=self.rng.choice([0, 3]),
            **settings,
        )
        self.cluster.ignore_all("its clients do not listen; invariants are what is checked")
        self.held: dict[str, set[str]] = {}
        self.queued: dict[str, dict[str, m.Compute]] = {}
        self.wants: dict[str, set[str]] = {}
        self.keys = 0
        self.workers = 0
        self.add_client()
        for _ in range(self.rng.randint(1, 4)):
            self.add_worker()

    def actions(self) -> list[tuple[float, Callable[[], None]]]:
        """What may happen, and how often."""
        return [
            (6, self.run_some),
            (4, self.submit),
            (2, self.release),
            (1, self.cancel),
            (1, self.retry),
            (1, self.steal_replies),
            (1, self.miss_inputs),
            (1, self.lose_worker),
            (1, self.add_worker),
            (0.5, self.add_client),
            (0.5, self.lose_client),
            (0.5, self.retire),
            (0.5, self.scatter),
            (0.5, self.pause),
            (0.5, self.advance),
            (0.1, self.restart),
        ]

    def step(self) -> None:
        actions = self.actions()
        weights = [weight for weight, _ in actions]
        _, action = self.rng.choices(actions, weights)[0]
        action()
        self.listen()

    def listen(self) -> None:
        """Workers take what they were sent."""
        for address in list(self.cluster.to_workers):
            for message in self.cluster.to_workers.pop(address):
                if address not in self.queued:
                    continue
                match message:
                    case m.Compute():
                        self.queued[address][message.key] = message
                    case m.ComputeMany():
                        self.queued[address] |= {each.key: each for each in computes(message)}
                    case m.Free():
                        for key in message.keys:
                            self.queued[address].pop(key, None)
                            self.held[address].discard(key)
                    case m.Steal():
                        given = [k for k in message.keys if k in self.queued[address]]
                        given = [k for k in given if self.rng.random() < 0.7]
                        tasks = [self.queued[address].pop(k) for k in given]
                        kept = [k for k in message.keys if k not in given]
                        reply = m.StealReply(given, [t.run for t in tasks], kept)
                        self.cluster.hear(address, reply)
                    case m.Acquire():
                        if self.rng.random() < 0.8:
                            self.held[address].update(message.keys)
                            n = len(message.keys)
                            acquired = m.Acquired(message.keys, message.nbytes, ["int"] * n)
                            self.cluster.hear(address, acquired)
                        else:
                            self.cluster.hear(address, m.NotAcquired(message.keys, "no"))
                    case m.CloseWorker():
                        self.remove_worker(address, expected=True)
                        break
        if any(self.cluster.to_workers.values()):
            self.listen()

    def run_some(self) -> None:
        for address, tasks in list(self.queued.items()):
            chosen = [t for t in tasks.values() if self.rng.random() < 0.5]
            good = [t for t in chosen if self.rng.random() < 0.9]
            for task in chosen:
                del tasks[task.key]
            if good:
                self.held[address].update(t.key for t in good)
                self.cluster.done(address, *good, seconds=self.rng.choice([1e-5, 0.2]))
            for task in chosen:
                if task not in good:
                    kind = self.rng.randrange(3)
                    if kind == 0:
                        self.cluster.hear(address, m.Rescheduled(task.key, task.run))
                    elif kind == 1:
                        tasks[task.key] = task
                        self.cluster.hear(address, m.LongRunning(task.key, task.run, 0.1))
                    else:
                        self.cluster.failed(address, task)

    def submit(self) -> None:
        client = self.rng.choice(list(self.wants))
        known = sorted(set().union(*self.wants.values()))
        deps: dict[str, list[str]] = {}
        for _ in range(self.rng.randint(1, 12)):
            self.keys += 1
            pool = [*deps, *self.rng.sample(known, min(3, len(known)))]
            deps[f"k{self.keys}"] = self.rng.sample(pool, min(len(pool), self.rng.randint(0, 3)))
        wanted = [key for key in deps if self.rng.random() < 0.5]
        options = None
        if self.rng.random() < 0.3:
            options = m.TaskOptions(
                workers=self.rng.choice([None, ["w1"], ["w2", "w3"]]),
                allow_other_workers=self.rng.random() < 0.5,
                resources=self.rng.choice([None, {"GPU": 1}]),
                retries=self.rng.randint(0, 2),
            )
        self.wants[client].update(wanted)
        self.cluster.graph(client, deps, wanted=wanted, options=options)

    def some_keys(self, client: str) -> list[str]:
        keys = sorted(self.wants[client])
        return self.rng.sample(keys, min(len(keys), self.rng.randint(1, 5)))

    def release(self) -> None:
        client = self.rng.choice(list(self.wants))
        keys = self.some_keys(client)
        self.wants[client].difference_update(keys)
        self.cluster.say(client, m.Release(keys))

    def cancel(self) -> None:
        client = self.rng.choice(list(self.wants))
        keys = self.some_keys(client)
        self.wants[client].difference_update(keys)
        self.cluster.say(client, m.Cancel(keys, force=self.rng.random() < 0.5))

    def retry(self) -> None:
        client = self.rng.choice(list(self.wants))
        self.cluster.say(client, m.Retry(self.some_keys(client)))

    def steal_replies(self) -> None:
        """An unasked-for or late reply does no harm."""
        for address, tasks in list(self.queued.items()):
            for task in list(tasks.values())[:1]:
                self.cluster.hear(address, m.StealReply([], [], [task.key]))

    def miss_inputs(self) -> None:
        for address, tasks in list(self.queued.items()):
            for task in list(tasks.values()):
                if task.deps and self.rng.random() < 0.3:
                    del tasks[task.key]
                    absent = [list(h) for h in task.dep_holders]
                    for key, holders in zip(task.deps, absent, strict=True):
                        for holder in holders:
                            self.held.get(holder, set()).discard(key)
                    none: list[list[str]] = [[] for _ in absent]
                    lists = [absent, none] if self.rng.random() < 0.5 else [none, absent]
                    self.cluster.hear(address, m.MissingDeps(task.key, task.run, task.deps, *lists))

    def add_worker(self) -> None:
        if len(self.held) >= 5:
            return
        self.workers += 1
        address = f"w{self.workers}"
        resources = {"GPU": 1.0} if self.rng.random() < 0.5 else {}
        self.held[address] = set()
        self.queued[address] = {}
        self.cluster.worker(address, self.rng.randint(1, 3), resources=resources)

    def remove_worker(self, address: str, expected: bool) -> None:
        del self.held[address], self.queued[address]
        self.cluster.lose_worker(address, expected=expected)

    def lose_worker(self) -> None:
        if self.held and self.rng.random() < 0.5:
            address = self.rng.choice(list(self.held))
            held, queued = self.held[address], self.queued[address]
            self.remove_worker(address, expected=False)
            if self.rng.random() < 0.5:  # it comes back with all that it has
                self.held[address], self.queued[address] = held, {}
                running = list(queued.values())[:1]
                self.queued[address] = {t.key: t for t in running}
                self.cluster.worker(
                    address,
                    reconnect=True,
                    held=sorted(held),
                    held_nbytes=[28] * len(held),
                    held_types=["int"] * len(held),
                    running=[t.key for t in running],
                    running_runs=[t.run for t in running],
                )
                for message in self.cluster.told(address, m.WorkerWelcome):
                    held.difference_update(message.forget)
                    for key in message.stop:
                        self.queued[address].pop(key, None)

    def retire(self) -> None:
        if len(self.held) > 1:
            self.cluster.handle(RetireWorkers([self.rng.choice(list(self.held))]))

    def pause(self) -> None:
        for address in list(self.held):
            status = self.rng.choice(["paused", "running", "running"])
            self.cluster.hear(address, m.WorkerStatus(status))

    def scatter(self) -> None:
        client = self.rng.choice(list(self.wants))
        self.keys += 1
        key = f"s{self.keys}"
        holders = [a for a in self.held if self.rng.random() < 0.5]
        for address in holders:
            self.held[address].add(key)
            if self.rng.random() < 0.5:
                self.cluster.hear(address, m.Acquired([key], [28], ["int"], True))
        self.wants[client].add(key)
        self.cluster.say(client, m.Scattered([key], [28], ["int"], [holders]))

    def add_client(self) -> None:
        if len(self.wants) < 3:
            name = self.cluster.client(f"c{self.rng.randrange(10**9)}")
            self.wants[name] = set()

    def lose_client(self) -> None:
        if len(self.wants) > 1:
            name = self.rng.choice(list(self.wants))
            del self.wants[name]
            if self.rng.random() < 0.5:
                self.cluster.lose_client(name)
            else:
                self.cluster.say(name, m.ClientGoodbye())

    def advance(self) -> None:
        self.cluster.advance(self.rng.choice([0.01, 1.0, 15.0]))

    def restart(self) -> None:
        self.cluster.handle(RestartAll())
        for wants in self.wants.values():
            wants.clear()

    def finish(self) -> None:
        """Run everything to its end, release it, and see that nothing is left."""
        self.add_worker()
        for address in self.held:
            self.cluster.hear(address, m.WorkerStatus("running"))
        for _ in range(300):
            self.run_some()
            self.listen()
            self.advance()
        unsettled = {
            key: ts
            for key, ts in self.cluster.s.tasks.items()
            if ts.state not in ("memory", "erred", "released", "no-worker")
            and not (ts.rare is not None and ts.rare.long_running)
        }
        stuck = [
            ts
            for ts in unsettled.values()
            if not any(d.state in ("no-worker", "processing", "waiting") for d in ts.deps)
            and not (ts.state == "processing" and ts.worker.long_running)
        ]
        assert not stuck, self.cluster.s.log
        for client in list(self.wants):
            self.cluster.say(client, m.ClientGoodbye())
        self.cluster.advance(100.0)
        self.listen()
        assert not self.cluster.s.tasks
        assert not self.cluster.s.functions
        assert not any(self.held.values()), self.held


@pytest.mark.parametrize("block", range(10))
def test_invariants_hold_whatever_the_peers_do(block: int) -> None:
    for seed in range(block * 15, block * 15 + 15):
        try:
            peers = Peers(seed)
            for _ in range(120):
                peers.step()
            peers.finish()
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise


def test_error_blob_is_passed_on_unread() -> None:
    cluster = Cluster()
    cluster.client()
    cluster.worker("w")
    cluster.graph("c", {"x": []})
    (task,) = cluster.sent("w")
    cluster.failed("w", task)
    (erred,) = cluster.told("c", m.KeyErred)
    assert erred.exception is ERROR and erred.blame == "x"
