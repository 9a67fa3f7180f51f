"""Graphs of tasks as users make them: maps, chains, trees, diamonds, shuffles, and random ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.simulation.model import USERS_ERROR, Spec
from shoal.wire.messages import RetryPolicy, TaskOptions

if TYPE_CHECKING:
    from random import Random

__all__ = ["Workload"]

_MOST_ENDLESS = 3
_MOST_KILLERS = 2  # each costs its workers all that they hold, several times
_READS = 7  # one task with inputs of so many reads most of them where they are
_SIZES = (28, 28, 28, 500, 5_000, 2_000_000)


class Workload:
    """Makes tasks.

    Parameters
    ----------
    rng : Random
        Chance.
    owner : str
        Part of all keys.
    named : list of str
        Names of workers that tasks may ask for.
    quirks : float
        The share of tasks that fail, ask to run elsewhere, secede, or want something special.
    seconds : float
        About how long a task takes.
    actors : float
        The share of tasks that make actors.
    deadly : float
        The share of tasks that kill the process that runs them.
    overrun : float
        The share of tasks that do not end by themselves.
    churn : bool
        Whether futures are released and cancelled. A task without a timeout that is released
        would run for ever.
    """

    def __init__(
        self,
        rng: Random,
        owner: str,
        named: list[str],
        quirks: float,
        seconds: float,
        actors: float = 0.0,
        deadly: float = 0.0,
        overrun: float = 0.0,
        churn: bool = True,
    ) -> None:
        self.rng = rng
        self.owner = owner
        self.named = named
        self.quirks = quirks
        self.seconds = seconds
        self.actors = actors
        self.deadly = deadly
        self.overrun = overrun
        self.churn = churn
        self.killers = 0
        self.endless = 0
        self.made = 0

    def graph(self, size: int, known: list[str]) -> list[Spec]:
        """Return about `size` tasks, inputs first; they may need some of the known keys."""
        shapes = (self._map, self._chains, self._tree, self._diamonds, self._shuffle, self._random)
        return self.rng.choice(shapes)(size, known)

    def task(self, name: str, deps: tuple[str, ...] = ()) -> Spec:
        """Return a new task."""
        rng = self.rng
        self.made += 1
        seconds = self.seconds * rng.choice((0.01, 0.5, 1.0, 1.0, 2.0))
        spec = Spec(f"{name}-{self.owner}-{self.made}", name, deps, seconds, rng.choice(_SIZES))
        if self.deadly and self.killers < _MOST_KILLERS and rng.random() < self.deadly:
            self.killers += 1
            spec.kind = "deadly"
        elif self.overrun and self.endless < _MOST_ENDLESS and rng.random() < self.overrun:
            self.endless += 1
            self._make_endless(spec)
        elif rng.random() < self.quirks:
            self._make_special(spec)
        elif self.actors and rng.random() < self.actors:
            spec.kind, spec.options = "actor", TaskOptions(actor=True)
            spec.nbytes = 1  # it stays in memory, and must not fill it
        elif deps and self.made % _READS == 0:
            spec.options = TaskOptions(in_place=(0, len(deps) - self.made % 2))
        return spec

    def _make_endless(self, spec: Spec) -> None:
        rng = self.rng
        draw = rng.randrange(5)
        if draw < 4:
            spec.kind = rng.choice(("endless", "stubborn"))
            timeout = rng.choice((0.05, 1.0) if self.churn else (0.0, 0.05, 1.0))
            retries = rng.choice((0, 0, 1))
            if timeout:
                spec.options = TaskOptions(timeout=timeout, retries=retries)
            return
        spec.kind, spec.times = "flaky", rng.randint(1, 3)
        on = rng.choice(([], [USERS_ERROR], ["others.Error"]))
        policy = RetryPolicy(on, rng.choice((0.1, 2.0)), 2.0, rng.random() < 0.5)
        spec.options = TaskOptions(retries=3, retry=policy)

    def _make_special(self, spec: Spec) -> None:
        rng = self.rng
        draw = rng.randrange(8)
        if draw == 0:
            spec.kind = "error"
        elif draw == 1:
            spec.kind, spec.times = "flaky", rng.randint(1, 3)
            spec.options = TaskOptions(retries=rng.randint(0, 3))
        elif draw == 2:
            spec.kind, spec.times = "reschedule", rng.randint(1, 2)
        elif draw == 3:
            spec.kind = "secede"
        elif draw == 4:
            spec.options = TaskOptions(
                workers=[rng.choice(self.named)], allow_other_workers=rng.random() < 0.5
            )
        elif draw == 5:
            spec.options = TaskOptions(resources={"GPU": 1.0})
        elif draw == 6:
            spec.priority = rng.choice((-1.0, 5.0))
        else:
            spec.seconds *= 10

    def _map(self, size: int, known: list[str]) -> list[Spec]:
        shared = tuple(self.rng.sample(known, min(1, len(known))))
        return [self.task("map", shared) for _ in range(size)]

    def _chains(self, size: int, known: list[str]) -> list[Spec]:
        specs: list[Spec] = []
        width = self.rng.randint(1, 4)
        for _ in range(width):
            deps: tuple[str, ...] = tuple(self.rng.sample(known, min(1, len(known))))
            for _ in range(max(1, size // width)):
                spec = self.task("step", deps)
                specs.append(spec)
                deps = (spec.key,)
        return specs

    def _tree(self, size: int, known: list[str]) -> list[Spec]:
        specs = [self.task("leaf") for _ in range(max(2, size // 2))]
        level = [spec.key for spec in specs]
        fan = self.rng.choice((2, 2, 4, 8))
        while len(level) > 1:
            pairs = [tuple(level[i : i + fan]) for i in range(0, len(level), fan)]
            merged = [self.task("merge", pair) for pair in pairs]
            specs += merged
            level = [spec.key for spec in merged]
        return specs

    def _diamonds(self, size: int, known: list[str]) -> list[Spec]:
        top = self.task("top", tuple(self.rng.sample(known, min(2, len(known)))))
        specs = [top]
        while len(specs) < size:
            sides = [self.task("side", (specs[-1].key,)) for _ in range(self.rng.randint(2, 5))]
            specs += [*sides, self.task("join", tuple(side.key for side in sides))]
        return specs

    def _shuffle(self, size: int, known: list[str]) -> list[Spec]:
        width = max(2, int((size / 3) ** 0.5))
        loads = [self.task("load") for _ in range(width)]
        splits = [[self.task("split", (one.key,)) for _ in range(width)] for one in loads]
        joins = [self.task("shuffle", tuple(row[i].key for row in splits)) for i in range(width)]
        return [*loads, *(spec for row in splits for spec in row), *joins]

    def _random(self, size: int, known: list[str]) -> list[Spec]:
        specs: list[Spec] = []
        for _ in range(size):
            pool = [spec.key for spec in specs[-20:]] + known[-5:]
            deps = self.rng.sample(pool, min(len(pool), self.rng.randint(0, 4)))
            specs.append(self.task("any", tuple(deps)))
        return specs
