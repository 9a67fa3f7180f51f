"""One simulated cluster: who makes its workers, clients and schedulers, and ends them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.scheduler.core.journal.writer import POLICIES
from shoal.simulation.journal_disk import Platter
from shoal.simulation.judge import Judge
from shoal.simulation.profiles import JOURNAL
from shoal.simulation.scheduler_node import SchedulerNode
from shoal.simulation.simulated_client import SimulatedClient
from shoal.simulation.slots import Slot
from shoal.simulation.user import User
from shoal.simulation.world import World

if TYPE_CHECKING:
    from shoal.simulation.coverage import Coverage
    from shoal.simulation.profiles import Profile
    from shoal.simulation.trace import Trace
    from shoal.simulation.worker_node import WorkerNode

__all__ = ["Cluster"]


class Cluster(World):
    """The world of a seed, with those who live in it."""

    def __init__(self, seed: int, profile: Profile, trace: Trace, coverage: Coverage) -> None:
        super().__init__(seed, profile, trace, coverage)
        self.judge = Judge(self)
        if profile.kind == JOURNAL:
            policy = self.rng.choice(POLICIES)
            self.platter = Platter(seed, self.clock, self.note_fault, policy)
        self.scheduler = SchedulerNode(self, 0)
        self.slots = [
            Slot(self, number, everything=number == 0, lasting=True)
            for number in range(profile.workers)
        ]
        self.clients = []
        self.users: list[User] = []
        for _ in range(profile.clients):
            self.add_client()

    def kill_scheduler(self) -> None:
        """End the scheduler as with `kill -9`."""
        if not self.scheduler.alive:
            return
        self.scheduler_deaths += 1
        self.scheduler.kill()

    def remember_results(self) -> None:
        """Note what must not run again: results on workers that clients want, and what runs now."""
        self.at_restart = {}
        wanted = {
            key: None for client in self.present for key in client.live("pending", "finished")
        }
        for node in self.nodes:
            for task in node.executor.running:
                if task.key in wanted and task.key in node.machine.state.tasks:
                    spec = self.model.specs[task.key]
                    if spec.kind in ("ok", "secede", "actor"):
                        self.at_restart[task.key] = spec.started
            for key in node.machine.state.data:
                if key in wanted:
                    self.at_restart[key] = self.model.specs[key].started

    def start_scheduler(self) -> None:
        """Start another scheduler at the same address."""
        if not self.scheduler.alive:
            self.remember_results()
            self.scheduler = SchedulerNode(self, self.scheduler_deaths)

    def add_slot(self) -> None:
        """Let one more worker join; it need not stay."""
        self.slots.append(Slot(self, len(self.slots), everything=False, lasting=False))

    def add_client(self, home: WorkerNode | None = None) -> None:
        """Let one more client come, of a task on a worker or for itself."""
        client = SimulatedClient(self, len(self.clients), home)
        self.clients.append(client)
        self.users.append(User(self, client))
