"""Random programs give on a cluster what they give in this process: whatever names they use again,
whatever state their functions have, however many workers there are meanwhile.

The model is a dict of values. What a key means is decided when it is used: while a future or a
variable has it, what it meant; otherwise what is submitted, whatever else is still made of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from helpers import wait_until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shoal import Client, Future, LocalCluster, Variable

_numbers = itertools.count(1)  # of programs: one that failed may leave futures behind


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(
        processes=False, n_workers=2, threads_per_worker=2, dashboard_address=None
    ) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def client(cluster: LocalCluster) -> Iterator[Client]:
    with Client(cluster, set_as_default=False) as client:
        yield client


class Wrong(Exception):
    """What tasks raise."""


class Counter:
    """An actor."""

    def __init__(self, n: int) -> None:
        self.n = n

    def add(self, n: int) -> int:
        self.n += n
        return self.n


def total(*values: Any) -> int:
    return sum(value if type(value) is int else total(*value) for value in values)


def raises(*values: Any) -> int:
    raise Wrong(total(*values))


def counting(start: int) -> Callable[..., int]:
    """A function that carries state: each task begins with what was sent."""
    seen = [start]

    def count(*values: Any) -> int:
        seen.append(total(*values))
        return sum(seen)

    return count


FUNCTIONS: tuple[Callable[[int], Callable[..., int]], ...] = (
    lambda n: lambda *values: total(*values) + n,
    lambda n: raises,
    counting,
)


class Handle:
    """A future, and what its result is to be: a value, or an exception."""

    def __init__(self, future: Future, expected: Any) -> None:
        self.future = future
        self.expected = expected


class Program:
    """Does on the cluster and in the model what the steps say."""

    def __init__(self, client: Client, cluster: LocalCluster) -> None:
        self.client = client
        self.cluster = cluster
        self.handles: list[Handle] = []
        number = next(_numbers)
        self.keys = [f"again-{number}-{i}" for i in range(3)]
        self.names = [f"data-{number}-{i}" for i in range(2)]
        self.variable = Variable(f"random-program-{number}", client=client)
        self.kept: tuple[str, Any] | None = None  # in the variable
        self.actor_keys = [f"actor-{number}-{i}" for i in range(2)]
        self.actors: dict[str, tuple[Any, int]] = {}

    # -- steps: each takes three numbers --------------------------------------------

    def submit(self, a: int, b: int, c: int) -> None:
        self._submit(a, b, c, None)

    def submit_key(self, a: int, b: int, c: int) -> None:
        self._submit(a, b, c, self.keys[c % len(self.keys)])

    def _submit(self, a: int, b: int, c: int, key: str | None) -> None:
        inputs = self._pick(b % 3, c)
        function = FUNCTIONS[a % len(FUNCTIONS)](a)
        expected = self._call(FUNCTIONS[a % len(FUNCTIONS)](a), [b, *inputs])
        if key is not None:
            known = self._meant(key)
            expected = expected if known is None else known
        args = [b, *(handle.future for handle in inputs)]
        future = self.client.submit(function, *args, key=key, pure=False if key is None else None)
        self.handles.append(Handle(future, expected))

    def map(self, a: int, b: int, c: int) -> None:
        function = FUNCTIONS[a % len(FUNCTIONS)](a)
        for future, x in zip(self.client.map(function, range(b % 4)), range(b % 4), strict=True):
            expected = self._call(FUNCTIONS[a % len(FUNCTIONS)](a), [x])
            self.handles.append(Handle(future, expected))

    def scatter(self, a: int, b: int, c: int) -> None:
        """Equal values have one key."""
        value = [a % 3, 1]
        future = self.client.scatter(
            value, broadcast=b % 4 == 0, hash=bool(c % 4), direct=b % 3 > 0
        )
        if isinstance(future, list):
            self.handles += [Handle(f, v) for f, v in zip(future, value, strict=True)]
        else:
            self.handles.append(Handle(future, value))

    def scatter_name(self, a: int, b: int, c: int) -> None:
        """The future is of the data that was given, whatever the name means to others."""
        name = self.names[a % len(self.names)]
        futures = self.client.scatter({name: a * 100 + b}, broadcast=c % 4 == 0)
        self.handles.append(Handle(futures[name], a * 100 + b))

    def drop(self, a: int, b: int, c: int) -> None:
        for _ in range(1 + b % 3):
            if self.handles:
                del self.handles[a % len(self.handles)]

    def drop_and_submit(self, a: int, b: int, c: int) -> None:
        """A key is used again in the moment after its future is gone."""
        key = self.keys[c % len(self.keys)]
        self.handles = [h for h in self.handles if h.future.key != key]
        self._submit(a, b, c, key)

    def check(self, a: int, b: int, c: int) -> None:
        if self.handles:
            self._check(self.handles[a % len(self.handles)])

    def gather(self, a: int, b: int, c: int) -> None:
        good = [h for h in self.handles if not isinstance(h.expected, Wrong)]
        assert self.client.gather([h.future for h in good]) == [h.expected for h in good]

    def set_variable(self, a: int, b: int, c: int) -> None:
        if self.handles:
            handle = self.handles[a % len(self.handles)]
            self.variable.set(handle.future)
            self.kept = (handle.future.key, handle.expected)

    def get_variable(self, a: int, b: int, c: int) -> None:
        if self.kept is not None:
            self.handles.append(Handle(self.variable.get(timeout=20), self.kept[1]))

    def make_actor(self, a: int, b: int, c: int) -> None:
        if len(self.actors) < 2:
            # Names of actors are used again, too: of those that are gone.
            free = [key for key in self.actor_keys if key not in self.actors]
            future = self.client.submit(Counter, a, actor=True, key=free[0])
            self.actors[free[0]] = (future.result(timeout=20), a)

    def call_actor(self, a: int, b: int, c: int) -> None:
        if self.actors:
            key = list(self.actors)[a % len(self.actors)]
            actor, n = self.actors[key]
            assert actor.add(b).result(timeout=20) == n + b
            self.actors[key] = (actor, n + b)

    def drop_actor(self, a: int, b: int, c: int) -> None:
        if self.actors:
            del self.actors[list(self.actors)[a % len(self.actors)]]

    def scale(self, a: int, b: int, c: int) -> None:
        if not self.actors:  # they cannot move
            n = 1 + a % 3
            self.cluster.scale(n)
            workers = self.cluster.scheduler.workers
            wait_until(lambda: len(workers) == n)  # an actor may be made there next

    # -- the model -------------------------------------------------------------------

    def _pick(self, n: int, start: int) -> list[Handle]:
        if not self.handles:
            return []
        return [self.handles[(start + i) % len(self.handles)] for i in range(n)]

    def _meant(self, key: str) -> Any:
        """Return what a key means as long as somebody has it."""
        for handle in self.handles:
            if handle.future.key == key:
                return handle.expected
        return self.kept[1] if self.kept is not None and self.kept[0] == key else None

    @staticmethod
    def _call(function: Callable[..., int], args: list[Any]) -> Any:
        values = [arg.expected if isinstance(arg, Handle) else arg for arg in args]
        wrong = {n for value in values if isinstance(value, Wrong) for n in value.args}
        if wrong:
            return Wrong(*wrong)  # whichever of its inputs fails first
        try:
            return function(*values)
        except Wrong as error:
            return Wrong(*error.args)  # the frames of that one refer to all futures here

    def _check(self, handle: Handle) -> None:
        if isinstance(handle.expected, Wrong):
            error = handle.future.exception(timeout=20)
            assert isinstance(error, Wrong), handle.future
            assert error.args[0] in handle.expected.args, handle.future
        else:
            assert handle.future.result(timeout=20) == handle.expected, handle.future

    def end(self) -> None:
        """All that is left is as it should be."""
        for handle in self.handles:
            self._check(handle)

    def clear(self) -> None:
        """Nothing is left."""
        self.handles.clear()
        self.actors.clear()
        self.variable.delete()


STEPS = (
    "submit",
    "submit_key",
    "drop_and_submit",
    "map",
    "scatter",
    "scatter_name",
    "drop",
    "check",
    "gather",
    "set_variable",
    "get_variable",
    "make_actor",
    "call_actor",
    "drop_actor",
    "scale",
)

numbers = st.integers(0, 11)
steps = st.tuples(st.sampled_from(STEPS), numbers, numbers, numbers)


@settings(
    max_examples=150,
    report_multiple_bugs=False,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(program=st.lists(steps, min_size=3, max_size=30))
def test_programs_give_what_they_give_here(
    client: Client, cluster: LocalCluster, program: list[tuple[str, int, int, int]]
) -> None:
    run = Program(client, cluster)
    try:
        for name, a, b, c in program:
            getattr(run, name)(a, b, c)
        run.end()
    finally:
        run.clear()
