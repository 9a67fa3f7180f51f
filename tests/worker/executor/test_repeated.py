"""Arguments that are unpickled once for many tasks."""

from __future__ import annotations

from typing import Any

import pytest

from shoal.wire.pickling import dumps_bytes
from shoal.wire.placeholder import Dependency
from shoal.worker.executor.repeated import Repeated


def _filled(args: Any, kwargs: Any = None, values: Any = ("a", "b")) -> Any:
    repeated = Repeated()
    data = dumps_bytes((args, kwargs))
    assert repeated.fill(data, values) is None
    return repeated.fill(data, values)


def test_inputs_are_put_into_place() -> None:
    args = (1, Dependency(1), None, Dependency(0), "text", Dependency(1))
    assert _filled(args) == [1, "b", None, "a", "text", "b"]


@pytest.mark.parametrize("args", [([Dependency(0)],), (print, Dependency(0)), (1 + 2j,)])
def test_others_are_unpickled_each_time(args: Any) -> None:
    assert _filled(args) is None


def test_keywords_are_unpickled_each_time() -> None:
    assert _filled((Dependency(0),), {"x": 1}) is None


def test_arguments_take_turns() -> None:
    repeated = Repeated()
    one, two = (dumps_bytes(((i, Dependency(0)), None)) for i in (1, 2))
    for _ in range(2):
        repeated.fill(one, ["a"])
    assert repeated.fill(two, ["a"]) is None
    assert repeated.fill(one, ["a"]) == [1, "a"]
    repeated.fill(two, ["a"])
    assert repeated.fill(two, ["b"]) == [2, "b"]
