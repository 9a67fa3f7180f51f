"""Placeholders of dependencies, and functions with bound arguments."""

from __future__ import annotations

import functools
import inspect
import pickle
import threading

import pytest

from shoal.wire.pickling import dumps_bytes, loads_bytes
from shoal.wire.placeholder import BoundFunction, Dependency, dependency_values


def test_placeholders_become_values_anywhere_in_the_arguments():
    args = ((Dependency(0), [Dependency(1), {"k": (Dependency(0),)}]), {"x": Dependency(1)})
    data = dumps_bytes(args)
    big = object()
    with dependency_values([big, "b"]):
        assert loads_bytes(data) == ((big, ["b", {"k": (big,)}]), {"x": "b"})


def test_without_values_a_placeholder_stays_one():
    assert loads_bytes(dumps_bytes([Dependency(3)])) == [Dependency(3)]
    assert Dependency(3) != Dependency(4)


def test_contexts_nest_and_belong_to_a_thread():
    data = dumps_bytes(Dependency(0))
    seen = []
    with dependency_values([1]):
        with dependency_values([2]):
            assert loads_bytes(data) == 2
        thread = threading.Thread(target=lambda: seen.append(loads_bytes(data)))
        thread.start()
        thread.join()
        assert loads_bytes(data) == 1
    assert seen == [Dependency(0)]
    assert loads_bytes(data) == Dependency(0)


def test_too_few_values_is_an_error_that_says_so():
    with (
        dependency_values([1]),
        pytest.raises(IndexError, match="dependency 1, but the task has 1"),
    ):
        loads_bytes(dumps_bytes(Dependency(1)))


def add(x, y=1):
    return x + y


async def double(x, factor=2):
    return x * factor


def test_a_bound_function_travels_and_is_told_from_a_partial():
    bound = pickle.loads(pickle.dumps(BoundFunction(add, y=5)))
    assert type(bound) is BoundFunction
    assert bound(1) == 6
    assert bound(1, y=2) == 3
    assert not isinstance(functools.partial(add), BoundFunction)
    assert inspect.iscoroutinefunction(BoundFunction(double, factor=3))
