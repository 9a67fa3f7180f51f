"""A simulated user of a client, which takes one action after the other."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from shoal.simulation.journal_user import JournalUser
from shoal.simulation.limited import ENDLESS
from shoal.simulation.lowering import Lowering
from shoal.simulation.model import Spec, is_name
from shoal.simulation.names import NamesUser, uses_names
from shoal.simulation.primitives import PrimitivesUser, uses_primitives
from shoal.simulation.workloads import Workload

if TYPE_CHECKING:
    from shoal.simulation.cluster import Cluster
    from shoal.simulation.simulated_client import SimulatedClient

__all__ = ["User"]

_GUESTS = 4  # clients of tasks in one life


class User:
    """Acts a number of times at random moments; `done` says that no action is left."""

    def __init__(self, cluster: Cluster, client: SimulatedClient) -> None:
        profile = cluster.profile
        self.cluster = cluster
        self.client = client
        self.rng = Random(f"{client.address} {cluster.seed}")
        named = [slot.name for slot in cluster.slots if slot.lasting] + ["host-0"]
        guest = client.home is not None  # it is a task's, which does not do much
        primitives = uses_primitives(cluster.seed)
        self.workload = Workload(
            self.rng,
            client.address,
            named,
            profile.quirks,
            profile.seconds,
            actors=0.25 if primitives else 0.0,
            deadly=profile.deadly,
            overrun=profile.overrun,
            churn=profile.churn,
        )
        if profile.no_workers_timeout is not None:
            self.workload.named.append("nobody")
        self.left = min(2, profile.actions) if guest else profile.actions
        self._actions = {"submit": 4.0, "scatter": 1.0, "read": 1.0, "want": 0.5, "again": 0.3}
        if profile.churn:
            self._actions |= {"release": 1.5, "cancel": 0.5, "retry": 1.0, "fire": 0.5}
        self.primitives: PrimitivesUser | None = None
        if primitives and not guest:
            self._actions["call"] = 1.5
        if primitives:
            self._actions["tell"] = 1.5
            self.primitives = PrimitivesUser(cluster, client, (6 if guest else 2) * self.left)
        self.journal: JournalUser | None = None
        if cluster.platter is not None and not guest:
            self.journal = JournalUser(cluster, client, self.workload, 4 * self.left)
        self.names: NamesUser | None = None
        if not guest and uses_names(cluster.seed):
            self.names = NamesUser(cluster, client, 6 * self.left)
        if not guest:
            client.later(0.0, self.submit)
        client.later(self._pause(), self._act)

    @property
    def done(self) -> bool:
        """Whether this user has nothing more in mind."""
        if not self.client.alive:
            return True
        others = (self.primitives, self.names, self.journal)
        at_it = any(not other.done for other in others if other is not None)
        return not (self.left or self.client.asking or at_it)

    def _pause(self) -> float:
        return (
            self.rng.expovariate(1.0) * self.cluster.profile.horizon / self.cluster.profile.actions
        )

    def _act(self) -> None:
        self.left -= 1
        name = self.rng.choices(list(self._actions), list(self._actions.values()))[0]
        if self.cluster.trace.detailed:
            self.cluster.trace.write(self.cluster.clock.now, f"{self.client.address} does {name}")
        getattr(self, name)()
        if self.left:
            self.client.later(self._pause(), self._act)

    def _some(self, keys: list[str], most: int = 5) -> list[str]:
        return self.rng.sample(keys, min(len(keys), self.rng.randint(1, most)))

    def submit(self) -> None:
        """Submit a graph; keep futures of all its tasks, of some, or of its ends."""
        size = max(1, int(self.cluster.profile.tasks * self.rng.uniform(0.3, 1.2)))
        known = self._some(self.client.live(), 8)
        share = self.rng.choice([1.0, 0.5, 0.0])
        specs = self.workload.graph(size, known)
        endless = [spec for spec in specs if spec.kind in ENDLESS and not spec.has_timeout]
        if self.rng.random() < 0.4 and not endless:
            fails = self.cluster.profile.quirks > 0 and self.rng.random() < 0.2
            Lowering(self.client, self.rng, specs, share, fails)
        else:
            self.client.submit(specs, lambda spec: spec in endless or self.rng.random() < share)
        if endless:  # only force ends it
            seconds = self.rng.random() * self.cluster.profile.horizon
            keys = [spec.key for spec in endless]
            self.client.later(seconds, self.client.cancel, keys, True)

    def call(self) -> None:
        """Have a task on some worker use the cluster itself, with a client of its own."""
        guests = sum(client.home is not None for client in self.cluster.clients)
        if self.cluster.nodes and guests < _GUESTS:
            self.cluster.add_client(self.rng.choice(self.cluster.nodes))

    def scatter(self) -> None:
        """Put a value on one or two workers."""
        self.workload.made += 1
        key = f"data-{self.client.address}-{self.workload.made}"
        self.client.scatter(
            Spec(key, kind="data", nbytes=self.rng.choice([28, 5_000])), self.rng.randint(1, 2)
        )

    def read(self) -> None:
        """Look at some results."""
        for key in self._some(self.client.live("finished")):
            self.client.read(key)

    def want(self) -> None:
        """Take over a future of another client."""
        others = [c for c in self.cluster.present if c is not self.client]
        keys = [
            key for other in others for key in other.live("finished") if key not in other.foreign
        ]
        for key in self._some(keys, 2):
            self.client.want(key)

    def tell(self) -> None:
        """Call an actor, or several times the same; take one over from others to begin with."""
        specs = self.cluster.model.specs

        def actors(client: SimulatedClient) -> list[str]:
            return [key for key in client.live("finished") if specs[key].kind == "actor"]

        mine = actors(self.client)
        for key in self._some(mine, 2):
            for _ in range(self.rng.randint(1, 3)):
                self.client.call_actor(key)
        if not mine:
            others = [key for other in self.cluster.present for key in actors(other)]
            for key in self._some(others, 1):
                self.client.want(key)

    def again(self) -> None:
        """Submit a task a second time."""
        for key in self._some(self.client.forgotten(), 2):
            self.client.again(key)

    def release(self) -> None:
        """Drop some futures, or most."""
        live = [key for key in self.client.futures if not is_name(key)]
        self.client.release(self._some(live, max(3, len(live) // 2)))

    def cancel(self) -> None:
        """Cancel some tasks."""
        self.client.cancel(self._some(self.client.live(), 3), self.rng.random() < 0.3)

    def retry(self) -> None:
        """Have what failed run again."""
        keys = self._some(self.client.live("error"))
        if keys:
            self.client.retry(keys)

    def fire(self) -> None:
        """Forget futures of tasks that shall run to their end."""
        keys = [
            key
            for key in self._some(self.client.live("pending"), 3)
            if key not in self.client.foreign
        ]
        if keys:
            self.client.fire(keys)
