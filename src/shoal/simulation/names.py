"""A simulated user that uses names again before their last life has ended.

Each client has names of its own, for tasks and for data, which mean another version each time they
are used: the newest is what results must be of, and what was made of an older one stays what it
is. Names that all clients share mean what whoever used them first meant, as long as anybody needs
that. Equal data has one key: it is scattered again and again, by several clients, and is kept by
variables and datasets, too; as long as no worker is lost, it never is.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

from shoal.client.core import events as e
from shoal.client.core.asks import Asking
from shoal.client.core.state import FINISHED
from shoal.simulation.model import Spec
from shoal.simulation.primitives import uses_primitives
from shoal.wire.messages import Ask

if TYPE_CHECKING:
    from shoal.simulation.simulated_client import SimulatedClient
    from shoal.simulation.world import World

__all__ = ["NamesUser", "uses_names"]

_NAMES = 3  # of each kind
_EQUAL = ("again-equal-0", "again-equal-1")
_EVERY = 3  # lives in which names are used again


def uses_names(seed: int) -> bool:
    """Whether the users of a seed's cluster use names again."""
    return seed % _EVERY == 0 and not uses_primitives(seed)


class NamesUser:
    """One client's use of names, beside all else that it does."""

    def __init__(self, cluster: World, client: SimulatedClient, actions: int) -> None:
        self.cluster = cluster
        self.client = client
        self.model = cluster.model
        self.rng = Random(f"names {client.address} {cluster.seed}")
        self.left = actions
        self.asks = 0
        self.pending: dict[int, Asking] = {}
        self._putting: dict[str, None] = {}  # names of data that is on its way to workers
        self._now: dict[str, str] = {}  # by name of this client: the version that it means
        self._acts: list[tuple[Callable[[], None], float]] = [
            (self._define, 4.0),
            (self._use, 3.0),
            (self._scatter, 2.0),
            (self._scatter_equal, 3.0),
            (self._drop, 3.0),
            (self._define_shared, 2.0),
            (self._variable, 1.5),
            (self._dataset, 1.0),
        ]
        cluster.resubmitted = True
        client.later(self._pause(), self._act)

    @property
    def done(self) -> bool:
        """Whether this user has nothing more in mind."""
        return not self.client.alive or not (self.left or self.pending or self._putting)

    def _pause(self) -> float:
        # Often there is none: what is used again is not released anywhere yet.
        if self.rng.random() < 0.4:
            return 0.0
        return self.rng.expovariate(1.0) * self.cluster.profile.horizon / 20

    def _act(self) -> None:
        acts, weights = zip(*self._acts, strict=True)
        self.rng.choices(acts, weights)[0]()
        self.left -= 1
        if self.left:
            self.client.later(self._pause(), self._act)

    # -- futures -----------------------------------------------------------------------

    def _held(self, *statuses: str) -> list[str]:
        """Return the wire keys of names that the client has futures of."""
        records = self.client.machine.state.records
        return [
            key
            for key, future in self.client.futures.items()
            if key.startswith("again-")
            and records.get(key) is future
            and future.wanted
            and (not statuses or future.status in statuses)
        ]

    def _usable(self) -> list[str]:
        """Return the versions that tasks may depend on now."""
        held = dict.fromkeys(self._held())
        mine = [version for version in self._now.values() if self.model.wire(version) in held]
        return mine + [key for key in _EQUAL if key in held]

    def _inputs(self, most: int) -> tuple[str, ...]:
        usable = self._usable()
        return tuple(self.rng.sample(usable, min(len(usable), self.rng.randint(0, most))))

    def _submit(self, spec: Spec, meanings: list[str] | None = None) -> None:
        record = self.client.record(spec)
        key = record.key
        self.client.futures[key] = record
        self.client.verified.pop(key, None)
        self.client.begins(key)
        if meanings is not None:
            self.client.meanings[key] = meanings
        self.client.handle(e.Submitted([record]))

    def _let_go(self, name: str) -> bool:
        """Drop the future of a name, if there is one and it need not stay; say whether none is."""
        if name not in self.client.futures:
            return True
        if self.rng.random() < 0.2:
            return False
        self.client.release([name])
        return True

    # -- actions -----------------------------------------------------------------------

    def _define(self) -> None:
        """Mean another task by a name, or the same once more."""
        name = f"again-{self.client.address}-{self.rng.randrange(_NAMES)}"
        deps = tuple(dep for dep in self._inputs(1) if not dep.startswith(f"{name}#"))
        if not self._let_go(name):
            return
        if name in self._now and self.rng.random() < 0.2:
            spec = self.model.specs[self._now[name]]
            usable = self._usable()
            if any(dep not in usable for dep in spec.deps):
                return
        else:
            spec = self._task(name, deps)
        self._now[name] = spec.key
        self._submit(spec, [spec.key])

    def _task(self, name: str, deps: tuple[str, ...]) -> Spec:
        number = len(self.model.versions.get(name, ()))
        seconds = self.cluster.profile.seconds * self.rng.choice((0.01, 0.5, 1.0))
        # All versions are of one size: messages that name the name only say it.
        spec = Spec(f"{name}#{number}", "again", deps, seconds, 28 if name[-1] != "1" else 5_000)
        self.model.add(spec)
        return spec

    def _use(self) -> None:
        """Make something of what names mean now, and perhaps drop these at once."""
        deps = self._inputs(3)
        if not deps:
            return
        workload = self.client.cluster
        number = len(workload.model.specs)
        spec = Spec(f"use-{self.client.address}-{number}", "use", deps, workload.profile.seconds)
        self.client.submit([spec], lambda spec: True)
        if self.rng.random() < 0.5:
            self.client.release([self.model.wire(dep) for dep in deps])

    def _scatter(self) -> None:
        """Put other data under a name, whatever still needs what was there."""
        name = f"again-data-{self.client.address}-{self.rng.randrange(_NAMES)}"
        if name in self._putting:
            return
        before = self._now.get(name)
        if before is not None and self.rng.random() < 0.7:
            self.client.release([self.model.wire(before)])
        number = len(self.model.versions.get(name, ()))
        spec = Spec(f"{name}#{number}", kind="data", nbytes=28)
        self._putting[name] = None

        def put(there: bool) -> None:
            self._putting.pop(name, None)
            if there:
                self._now[name] = spec.key
                self.client.meanings[self.model.wire(spec.key)] = [spec.key]

        self.client.scatter(spec, self.rng.randint(1, 2), equal=False, then=put)

    def _scatter_equal(self) -> None:
        """Scatter data that is, or was a moment ago, there already."""
        key = self.rng.choice(_EQUAL)
        if self.rng.random() < 0.5 and key in self.client.futures:
            self.client.release([key])
        if key not in self._putting:
            self._putting[key] = None
            spec = Spec(key, kind="data", nbytes=28)

            def put(there: bool) -> None:
                self._putting.pop(key, None)

            self.client.scatter(spec, self.rng.randint(1, 2), then=put)

    def _drop(self) -> None:
        held = self._held()
        if held:
            self.client.release(self.rng.sample(held, self.rng.randint(1, min(3, len(held)))))

    def _define_shared(self) -> None:
        """Mean something by a name that others may use as well."""
        name = f"again-shared-{self.rng.randrange(_NAMES)}"
        if self._let_go(name):
            self._submit(self._task(name, ()))

    # -- kept by others ----------------------------------------------------------------

    def _keepable(self) -> list[str]:
        held = [
            key for key in self._held(FINISHED) if key in _EQUAL or key.startswith("again-shared")
        ]
        return self.rng.sample(held, min(1, len(held)))

    def _variable(self) -> None:
        draw = self.rng.randrange(5)
        if draw <= 1:
            self._keep("variable", "set", b"v")
        elif draw <= 3:
            self._ask("variable", "get", seconds=0.5)
        else:
            self._ask("variable", "delete")

    def _dataset(self) -> None:
        draw = self.rng.randrange(4)
        if draw <= 1:
            self._keep("dataset", "publish", b"d", True)
        elif draw == 2:
            self._ask("dataset", "get", seconds=0.5)
        else:
            self._ask("dataset", "unpublish")

    def _keep(self, kind: str, op: str, *args: Any) -> None:
        """Leave futures to a variable or a dataset, and often drop one's own."""
        keys = self._keepable()
        self._ask(kind, op, *args, keys=keys)
        if keys and self.rng.random() < 0.7:
            self.client.release(keys)

    def _ask(
        self, kind: str, op: str, *args: Any, keys: list[str] | None = None, seconds: float = 0.0
    ) -> None:
        self.asks += 1
        id = self.asks
        takes = op == "get"

        def wake(asking: Asking) -> None:
            self.client.later(0.0, answered, asking)  # not while the core is at work

        def answered(asking: Asking) -> None:
            if self.pending.pop(id, None) is None:
                return
            answer = asking.answer
            assert answer is not None
            for key in answer.keys:
                self.client.want(key, promised=True)
            if takes:
                self.client.handle(e.TookAnswer(asking))

        asking = Asking(Ask(id, kind, "again", op, list(args), keys or []), wake, takes=takes)
        self.pending[id] = asking
        self.client.handle(e.RequestMade(asking))
        if takes:
            self.client.later(seconds, self._over, id)

    def _over(self, id: int) -> None:
        if id in self.pending:
            self.client.handle(e.Unasked(self.pending[id], False))

    def sweep(self) -> None:
        """Take away what anybody left that nobody's death takes away."""
        self._ask("variable", "delete")
        self._ask("dataset", "unpublish")
