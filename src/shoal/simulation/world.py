"""The world of one seed: what is drawn for it, what its parts share, and what it remembers.

Workers, clients and the scheduler are given the world. `cluster` makes them.
"""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import TYPE_CHECKING

from shoal.client.core.state import FINISHED
from shoal.scheduler.core import Settings
from shoal.scheduler.core.explain import explain
from shoal.simulation.clock import Clock
from shoal.simulation.model import Model
from shoal.simulation.network import Network
from shoal.simulation.profiles import JOURNAL
from shoal.simulation.walls import Walls

if TYPE_CHECKING:
    from shoal.simulation.coverage import Coverage
    from shoal.simulation.journal_disk import Platter
    from shoal.simulation.judge import Judge
    from shoal.simulation.model import Spec
    from shoal.simulation.profiles import Profile
    from shoal.simulation.scheduler_node import SchedulerNode
    from shoal.simulation.simulated_client import SimulatedClient
    from shoal.simulation.slots import Slot
    from shoal.simulation.trace import Trace
    from shoal.simulation.worker_node import WorkerNode

__all__ = ["World"]


class World:
    """The state that the parts of one simulated cluster share."""

    judge: Judge
    scheduler: SchedulerNode
    slots: list[Slot]
    clients: list[SimulatedClient]
    platter: Platter | None = None  # the disk of a scheduler that has a journal

    def __init__(self, seed: int, profile: Profile, trace: Trace, coverage: Coverage) -> None:
        self.seed = seed
        self.profile = profile
        self.trace = trace
        self.coverage = coverage
        self.rng = rng = Random(f"cluster {seed}")
        self.clock = Clock()
        self.network = Network(
            self.clock,
            Random(f"network {seed}"),
            trace,
            latency=rng.choice([1e-4, 1e-3, 1e-2]),
            encoded=seed % 3 == 0,
        )
        if seed % 7 == 5:
            self.network.walls = Walls(self.network, seed, rng.choice([0.2, 0.5, 1.0]))
        self.model = Model()
        # A check looks at every task: after every event of small clusters, now and then of others.
        always = profile.tasks <= 40 or (seed % 10 == 0 and profile.tasks <= 1000)
        if profile.kind == JOURNAL:
            always = seed % 10 == 0
        self.check_every = 1 if always else max(50, profile.tasks)
        self.events = 0
        self.owed: dict[str, None] = {}  # tasks that must run, of clients that left
        self.faults: Counter[str] = Counter()
        self.losses: Counter[str] = Counter()  # how often a worker's address was lost
        self.deaths: dict[str, tuple[str, tuple[int, ...]]] = {}  # how, and in which runs
        self.causes: dict[str, str | None] = {}  # of each death: the task, or None
        self.holders: dict[str, list[str]] = {}  # of scattered data
        self.retiring: dict[str, None] = {}  # addresses
        self.forced: dict[str, None] = {}  # keys that somebody cancelled for everybody
        self.resubmitted = False
        self.spills = seed % 3 == 1  # workers have less memory than data
        self.evictions = 0
        self.direct = 0  # batches that were published from worker to worker
        self.scheduler_deaths = 0
        self.at_restart: dict[str, int] = {}  # runs so far of results that were there, or ran
        self.scheduler_settings = Settings(
            allowed_failures=profile.allowed_failures,
            unknown_task_duration=rng.choice([0.001, 0.5]),
            steal_min=rng.choice([0.0005, 0.010]),
            worker_ttl=rng.choice([5.0, 300.0]),
            no_workers_timeout=profile.no_workers_timeout,
            idle_timeout=20.0 if seed % 4 == 1 else None,
            recovery_window=3.0,
            recovery_grace=6.0,
            client_grace=2.0,
            # Short enough for one that is cut off to lose what it holds, in every other cluster.
            lease_timeout=30.0 if seed % 2 or profile.kind == JOURNAL else 3.0,
            lease_validation=1.0,
            # Small ones, so that changes of a few tasks are carried on in later events, too.
            slice=rng.choice([1, 3, 20, 8000]),
        )

    def kill_scheduler(self) -> None:
        """End the scheduler as with `kill -9`: that is the cluster's to do."""

    def start_scheduler(self) -> None:
        """Start another scheduler, if there is none: that is the cluster's to do."""

    # -- told by the parts -----------------------------------------------------------

    def started(self, node: WorkerNode, spec: Spec) -> None:
        """A task starts on a worker."""
        spec.started += 1
        if self.trace.detailed:
            self.trace.write(self.clock.now, f"{node.address} starts {spec.key}")
        calm = not (self.profile.churn or self.resubmitted)
        if self.profile.kind == "tasks-overrun" and calm and spec.options and spec.options.retry:
            assert self.clock.now >= spec.not_before, f"{spec.key} is tried again too early"
            again = spec.fails_for_good and spec.ended
            assert not again, f"{spec.key} is tried again, and its error is not worth it"
        if spec.kind == "actor" and self.profile.kind == "workers-die":
            self._judge_actor(spec)
        allowed = self.at_restart.get(spec.key)
        if allowed is not None and self.profile.only_schedulers_die:
            assert spec.started <= allowed, f"{spec.key} is computed again after the scheduler died"

    def _judge_actor(self, spec: Spec) -> None:
        """An actor that somebody has is made once, even if it is lost."""
        if self.profile.churn or self.resubmitted:
            return
        for client in self.present:
            record = client.futures.get(spec.key)
            there = record is not None and record.wanted and record.status == FINISHED
            assert not there, f"{spec.key} is made again, and {client.address} has it"

    def home_of(self, key: str, holder: str) -> str:
        """Return where an actor lives, as the proxy says that a holder gives."""
        made = any(node.address == holder and key in node.executor.actors for node in self.nodes)
        return holder if made else self.model.specs[key].home

    def note_fault(self, name: str) -> None:
        """Something went wrong that nobody drew from the profile."""
        self.faults[name] += 1
        self.trace.write(self.clock.now, f"fault: {name}")

    def note_loss(self, address: str) -> None:
        """A worker's process or connection was lost, or will be."""
        self.losses[address] += 1

    def note_death(self, address: str, runs: tuple[int, ...], by: str | None) -> None:
        """A process died in the midst of these runs; a task did it, or somebody from outside."""
        reason = f"death {len(self.causes)}"
        self.causes[reason] = by
        self.deaths[address] = (reason, runs)

    def note_holder(self, key: str, address: str) -> None:
        """Scattered data is stored on a worker."""
        if address in self.retiring:
            self.losses[address] += 1  # it may be told to close already
        self.holders.setdefault(key, []).append(address)

    # -- workers and clients -----------------------------------------------------------

    @property
    def nodes(self) -> list[WorkerNode]:
        """Workers' processes that are alive."""
        return [slot.node for slot in self.slots if slot.node is not None]

    @property
    def present(self) -> list[SimulatedClient]:
        """Clients that are there."""
        return [client for client in self.clients if client.alive]

    def explain(self, keys: list[str]) -> str:
        """Say why keys are where they are."""
        state = self.scheduler.machine.state
        from_scheduler = [explain(state, key) for key in keys]
        return "\n".join(from_scheduler)
