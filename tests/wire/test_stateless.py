"""What is told to carry state, and what not, before it is pickled and after."""

from __future__ import annotations

import functools
import math
import operator
import random
import re
import types
from typing import Any, NamedTuple

import cloudpickle
import numpy as np
import pytest

from shoal.wire.pickling import dumps_bytes, loads_bytes
from shoal.wire.placeholder import BoundFunction, FreshlyBound
from shoal.wire.program import Program, Slot
from shoal.wire.stateless import is_stateless

# What a script defines travels by value, as does what this module is made of here.
SCRIPT = """
import collections, dataclasses, functools, math, types

SCALE = 3
SEEN = []
count = 0

class Point:
    kind = "plain"
    def __init__(self, x): self.x = x; self.more = []
    def move(self, by): self.x += by; return self
    @property
    def double(self): return self.x * 2

class Counting:
    made = 0
    def __init__(self): Counting.made += 1

class CountingByType:
    made = 0
    def __init__(self): type(self).made += 1

class CountingByMethod:
    made = 0
    @classmethod
    def make(cls): cls.made += 1; return cls()

class Registry:
    known = {}

class Child(Registry): pass

Pair = collections.namedtuple("Pair", "a b")

@dataclasses.dataclass
class Data:
    a: int
    b: int = 2

def plain(x): return x * SCALE
def library(x): return math.sqrt(x)
def calls(x): return plain(x) + library(x)
def recursive(n): return n if n < 2 else recursive(n - 1) + recursive(n - 2)
def nested(x):
    total = 0
    def add(y):
        nonlocal total
        total += y
    for i in range(x): add(i)
    return total
def enclosing(y): return lambda x: x + y
adder = enclosing(2)
def makes(x): return Point(x).move(1).double
def makes_pair(x): return Pair(x, x)
def makes_data(x): return Data(x)
def with_default(x, y=2, *, z="z"): return x
def sets_of_argument(frame): frame.columns = ["a"]; return frame
@functools.lru_cache(maxsize=10)
def cached(n): return n if n < 2 else cached(n - 1) + cached(n - 2)
def calls_cached(n): return cached(n)

def collects(x): SEEN.append(x)
def counts(x):
    global count
    count += 1
def calls_collects(x): return collects(x)
def list_default(x, seen=[]): seen.append(x)
def dict_keyword_default(x, *, seen={}): seen[x] = 1
def collecting(seen): return lambda x: seen.append(x)
closure = collecting([])
def counting():
    n = 0
    def count(x):
        nonlocal n
        n += 1
        return n
    return count
counter = counting()
def deep_counting():
    n = 0
    def outer(x):
        def inner():
            nonlocal n
            n += 1
        inner()
        return n
    return outer
deep_counter = deep_counting()
def of_itself(x): of_itself.n = getattr(of_itself, "n", 0) + 1
def of_another(x): plain.n = x
def by_globals(x): globals()["count"] = x
def by_setattr(x): setattr(plain, "n", x)
def makes_counting(x): return Counting()
def makes_by_type(x): return CountingByType()
def makes_by_method(x): return CountingByMethod.make()
def registers(x): Registry.known[x] = 1
def registers_child(x): Child.known[x] = 1
def adds_attribute(x): Point.cache = x
def attributed(x): attributed.seen.append(x)
attributed.seen = []
method = Point(1).move
instance_global = Point(1)
def of_instance(x): return instance_global.move(x).x
def iterates(x, numbers=iter(range(10))): return next(numbers)
module = types.ModuleType("made_up")
def of_module(x): module.n = x
"""

STATELESS = """
plain library calls recursive nested adder makes makes_pair with_default sets_of_argument
cached calls_cached
"""
STATEFUL = """
collects counts calls_collects list_default dict_keyword_default closure counter
deep_counter of_itself of_another by_globals by_setattr makes_counting makes_by_type
makes_by_method registers registers_child adds_attribute attributed method of_instance
iterates of_module
"""


@pytest.fixture(scope="module")
def script() -> types.ModuleType:
    module = types.ModuleType("__main__")
    exec(SCRIPT, module.__dict__)
    return module


@pytest.mark.parametrize("arrived", [False, True])
@pytest.mark.parametrize("name", (STATELESS + STATEFUL).split())
def test_functions_of_scripts(script: types.ModuleType, name: str, arrived: bool) -> None:
    value = getattr(script, name)
    if arrived:
        value = loads_bytes(cloudpickle.dumps(value) if "cached" not in name else dumps(value))
    assert is_stateless(value) is (name in STATELESS.split())


def dumps(value: Any) -> bytes:
    return dumps_bytes(value)


def test_a_function_with_a_cache_arrives_by_value(script: types.ModuleType) -> None:
    assert loads_bytes(dumps_bytes(script.calls_cached))(10) == 55
    assert loads_bytes(dumps_bytes(script.cached)).cache_parameters()["maxsize"] == 10
    assert loads_bytes(dumps_bytes(_known)) is _known


@functools.lru_cache
def _known(x: int) -> int:
    return x


def test_a_dataclass_with_defaults_is_not_mistaken(script: types.ModuleType) -> None:
    # Whatever is said of it: instances set attributes, the class does not change.
    assert loads_bytes(cloudpickle.dumps(script.makes_data))(1).b == 2


@pytest.mark.parametrize(
    "value",
    [
        sum,
        len,
        math.sqrt,
        operator.add,
        dict.fromkeys,
        "text".upper,
        str.upper,
        np.sum,
        np.add,
        np.float64(3),
        np.dtype("f8"),
        re.compile("a"),
        (1, ("two", b"three"), None, slice(1, None)),
        frozenset({1}),
        functools.partial(np.sum, axis=(0,), keepdims=True),
        operator.itemgetter(1, 2),
        operator.methodcaller("sum", axis=1),
        BoundFunction(int, base=2),
        Program([(operator.add, (Slot(0), 1), None, (0,))], "add"),
        functools.partial(functools.partial(int, base=2)),
        cloudpickle.dumps,
        list[int],
        _known,
    ],
)
def test_stateless(value: Any) -> None:
    assert is_stateless(value)
    assert is_stateless(loads_bytes(dumps_bytes(value)))


class Model:
    def __init__(self) -> None:
        self.n = 0

    def fit(self, x: int) -> int:
        self.n += 1
        return self.n

    def __call__(self, x: int) -> int:
        return self.fit(x)


class Row(NamedTuple):
    a: Any


@pytest.mark.parametrize(
    "value",
    [
        [],
        {},
        (1, []),
        [].append,
        Model().fit,
        Model(),
        np.zeros(3),
        np.zeros(3).sum,
        random.random,
        random.Random(1).random,
        np.random.default_rng(1).random,
        functools.partial(Model().fit, 1),
        functools.partial(sum, []),
        functools.partial(sum, start=[]),
        BoundFunction(sum, start=[]),
        Row([]),
        iter([1]),
        Program([(operator.add, (Slot(0), [1]), None, (0,))], "add"),
        Program([(Model().fit, (Slot(0),), None, (0,))], "add"),
        operator.methodcaller("sum", []),
        object(),
    ],
)
def test_stateful(value: Any) -> None:
    assert not is_stateless(value)


def test_deeply_nested_values_are_taken_to_carry_state() -> None:
    value: Any = ()
    for _ in range(100_000):
        value = (value,)
    assert not is_stateless(value)


def test_keywords_that_could_change_arrive_sealed() -> None:
    bound = loads_bytes(dumps_bytes(BoundFunction(_collect, seen=[])))
    assert type(bound) is FreshlyBound and is_stateless(bound)
    assert [bound(1), bound(2), bound(3, seen=[1, 2])] == [1, 1, 3]
    assert type(loads_bytes(dumps_bytes(BoundFunction(_collect, seen=())))) is BoundFunction


def _collect(x: int, seen: list[int]) -> int:
    seen.append(x)
    return len(seen)
