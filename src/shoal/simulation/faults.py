"""Faults, and when they happen. All end at some time, so that the cluster can come to rest."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from shoal.scheduler.core import RestartAll

if TYPE_CHECKING:
    from shoal.simulation.cluster import Cluster
    from shoal.simulation.network import End
    from shoal.simulation.simulated_client import SimulatedClient
    from shoal.simulation.worker_node import WorkerNode

__all__ = ["Faults"]


class Faults:
    """Draws faults from the profile's weights and lets them happen."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.rng = rng = Random(f"faults {cluster.seed}")
        self.stopped = False
        self._actions = {
            "kill-worker": self.kill_worker,
            "kill-scheduler": self.kill_scheduler,
            "break-connection": self.break_connection,
            "break-questions": self.break_questions,
            "lose-data": self.lose_data,
            "cut-off": self.cut_off,
            "spike": self.spike,
            "slow": self.slow,
            "pause": self.pause,
            "join": self.join,
            "leave": self.leave,
            "retire": self.retire,
            "vanish": self.vanish,
            "new-client": self.new_client,
            "restart": self.restart,
            "full-disk": self.full_disk,
        }
        profile = cluster.profile
        for _ in range(profile.fault_count):
            name = rng.choices(list(profile.faults), list(profile.faults.values()))[0]
            cluster.clock.call_later(rng.random() * profile.horizon, self._happen, name)

    def _happen(self, name: str) -> None:
        if not self.stopped:
            self.cluster.trace.write(self.cluster.clock.now, f"fault: {name}")
            self.cluster.faults[name] += 1
            self._actions[name]()

    def stop(self) -> None:
        """Let nothing more go wrong, and what is wrong end."""
        self.stopped = True
        cluster = self.cluster
        cluster.network.heal()
        if cluster.platter is not None:
            cluster.platter.stopped = True
        cluster.start_scheduler()
        for node in cluster.nodes:
            node.slowness = 1.0
            node.use_memory(0)

    # -- processes -------------------------------------------------------------------

    def kill_worker(self) -> None:
        """Kill a worker with -9."""
        self.rng.choice(self.cluster.slots).kill()

    def kill_scheduler(self) -> None:
        """Kill the scheduler with -9; another one starts at its address."""
        if self.cluster.scheduler.keeps_nothing:
            return  # its acknowledgements are lost with it now, as it says
        self.cluster.kill_scheduler()
        self.cluster.clock.call_later(
            self.rng.choice([0.01, 0.3, 1.5]), self.cluster.start_scheduler
        )

    def join(self) -> None:
        """One more worker."""
        self.cluster.add_slot()

    def leave(self) -> None:
        """A worker that joined goes away for ever."""
        passing = [slot for slot in self.cluster.slots if not slot.lasting and slot.node]
        if passing:
            self.rng.choice(passing).leave()

    def retire(self) -> None:
        """Empty a worker and close it."""
        nodes = self.cluster.nodes
        if nodes:
            node = self.rng.choice(nodes)
            self.cluster.retiring[node.address] = None
            self.cluster.scheduler.retire(node.address)

    def vanish(self) -> None:
        """A client is gone without a goodbye; not the last one that is no task's."""
        present = self.cluster.present
        users = [client for client in present if client.home is None]
        leaving = present if len(users) > 1 else [c for c in present if c.home is not None]
        if leaving:
            self.rng.choice(leaving).vanish()

    def new_client(self) -> None:
        """One more client."""
        self.cluster.add_client()

    def restart(self) -> None:
        """A user restarts the cluster: all tasks are forgotten, all workers begin anew."""
        cluster = self.cluster
        if cluster.scheduler.alive:
            cluster.at_restart = {}
            cluster.scheduler.feed(RestartAll())
            for slot in cluster.slots:
                slot.kill()

    def full_disk(self) -> None:
        """The scheduler's disk is full for a while."""
        platter = self.cluster.platter
        assert platter is not None
        platter.full_until = self.cluster.clock.now + self.rng.random()

    # -- the network -----------------------------------------------------------------

    def break_connection(self) -> None:
        """A worker or a client loses the scheduler."""
        peers: list[WorkerNode | SimulatedClient] = [*self.cluster.nodes, *self.cluster.present]
        if peers:
            peer = self.rng.choice(peers)
            for end in self.cluster.network.ends_of(peer):
                self._sever(peer, end)

    def _sever(self, peer: WorkerNode | SimulatedClient, end: End) -> None:
        if end is peer.end:
            self.cluster.note_loss(peer.address)
        self.cluster.network.sever(end)

    def break_questions(self) -> None:
        """Transfers break off for a while."""
        network = self.cluster.network
        network.refusals = 0.3
        self.cluster.clock.call_later(self.rng.random(), setattr, network, "refusals", 0.0)

    def cut_off(self) -> None:
        """A worker or client is not heard of for a while; its connection may break meanwhile.

        Rather one that holds a lock or a lease, which may expire so.
        """
        users = self.cluster.users
        holders = [user.client for user in users if user.primitives and user.primitives.holds]
        peers: list[WorkerNode | SimulatedClient] = [client for client in holders if client.alive]
        if not peers:
            peers = [*self.cluster.nodes, *self.cluster.present]
        if not peers:
            return
        peer = self.rng.choice(peers)
        seconds = self.rng.choice([0.05, 1.0, 8.0])
        network = self.cluster.network
        network.cut_off(peer.address, seconds)
        self.cluster.note_loss(peer.address)  # silent for too long, it may be given up
        if self.rng.random() < 0.5:
            for end in network.ends_of(peer):
                self._sever(peer, end)

    def spike(self) -> None:
        """Messages take longer for a while."""
        self.cluster.network.slow_down(self.rng.random() * 2, self.rng.choice([3.0, 30.0]))

    # -- workers ---------------------------------------------------------------------

    def slow(self) -> None:
        """A worker takes longer for its tasks from now on."""
        if self.cluster.nodes:
            self.rng.choice(self.cluster.nodes).slowness = self.rng.choice([3.0, 10.0])

    def pause(self) -> None:
        """A worker's memory is nearly full for a while."""
        nodes = self.cluster.nodes
        if nodes:
            node = self.rng.choice(nodes)
            node.use_memory(950)
            node.later(self.rng.random() * 2, node.use_memory, 100)

    def lose_data(self) -> None:
        """A disk fails: some of a worker's data is gone."""
        nodes = [node for node in self.cluster.nodes if node.executor.store]
        if nodes:
            node = self.rng.choice(nodes)
            store = node.executor.store
            keys = [key for key in store.disk or store if key not in node.executor.actors]
            self.cluster.note_loss(node.address)
            node.lose_data(self.rng.sample(keys, min(len(keys), 3)))
