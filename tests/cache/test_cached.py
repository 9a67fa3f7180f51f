"""Functions with a store: called once for the same arguments, by whomever."""

from __future__ import annotations

import asyncio
import logging
import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shoal import Store, cached
from shoal.cache.cached import Cached, with_cache

from .calls import Calls

CALLS = Calls()
HERE: Any = None


@pytest.fixture(autouse=True)
def forget_calls() -> None:
    CALLS.clear()


def double(x: Any, extra: int = 0) -> Any:
    CALLS.append(x)
    return x * 2 + extra


async def double_later(x: int) -> int:
    CALLS.append(x)
    return x * 2


def fail(x: int) -> int:
    CALLS.append(x)
    raise ValueError(x)


def test_it_is_called_once_for_the_same_arguments(tmp_path: Path) -> None:
    function = cached(tmp_path)(double)
    assert [function(2), function(2), function(3), function(2, extra=1)] == [4, 4, 6, 5]
    assert CALLS == [2, 3, 2]
    assert function.__name__ == "double" and function.__doc__ == double.__doc__


def test_values_count_not_identities(tmp_path: Path) -> None:
    function = with_cache(double, tmp_path)
    for _ in range(2):
        assert function(np.arange(3)).tolist() == [0, 2, 4]
    assert len(CALLS) == 1


def test_another_version_or_function_is_another_result(tmp_path: Path) -> None:
    for version in ("", "2", "2"):
        cached(tmp_path, version=version)(double)(1)
    assert len(CALLS) == 2
    with_cache(lambda x: CALLS.append(x), tmp_path)(1)
    assert len(CALLS) == 3


def test_errors_are_not_kept(tmp_path: Path) -> None:
    function = with_cache(fail, tmp_path)
    for _ in range(2):
        with pytest.raises(ValueError, match="7"):
            function(7)
    assert CALLS == [7, 7]


def test_coroutine_functions(tmp_path: Path) -> None:
    function = with_cache(double_later, tmp_path)

    async def main() -> list[int]:
        return [await function(2), await function(2)]

    assert asyncio.run(main()) == [4, 4]
    assert CALLS == [2]


def test_arguments_without_a_name_are_computed_and_it_is_said_once(
    tmp_path: Path, caplog: Any
) -> None:
    caplog.set_level(logging.WARNING)
    function = with_cache(lambda lock: CALLS.append(1), tmp_path)
    for _ in range(3):
        function(threading.Lock())
    assert len(CALLS) == 3
    assert caplog.text.count("are not kept") == 1


def test_a_function_that_has_no_name_is_refused_at_once(tmp_path: Path) -> None:
    lock = threading.Lock()
    with pytest.raises(TypeError, match="no name that lasts"):
        cached(tmp_path)(lambda x: lock)
    with pytest.raises(TypeError, match="only results of functions"):
        with_cache(5, tmp_path)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="version= and expire="):
        cached(Store(tmp_path), version="2")


def test_it_travels_by_name_or_by_value(tmp_path: Path) -> None:
    global HERE
    function = with_cache(double, tmp_path)
    function(1)
    copy = pickle.loads(pickle.dumps(function))
    assert isinstance(copy, Cached) and copy is not function
    assert copy(1) == 2 and CALLS == [1]
    HERE = with_cache(double, tmp_path)
    HERE.__qualname__ = "HERE"
    assert pickle.loads(pickle.dumps(HERE)) is HERE


def test_methods(tmp_path: Path) -> None:
    class Doubler:
        def __init__(self, factor: int) -> None:
            self.factor = factor

        def __dask_tokenize__(self) -> int:
            return self.factor

        @cached(tmp_path)
        def scale(self, x: int) -> int:
            CALLS.append(x)
            return x * self.factor

    assert [Doubler(2).scale(3), Doubler(2).scale(3), Doubler(5).scale(3)] == [6, 6, 15]
    assert CALLS == [3, 3]
