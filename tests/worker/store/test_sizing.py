"""Sizes and names of values."""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
import pytest
from dask.sizeof import sizeof
from dask.utils import typename

from shoal.worker.store.sizing import Usual, describe


class Odd:
    def __sizeof__(self) -> int:
        raise ValueError("none of your business")


@pytest.mark.parametrize(
    "value",
    [
        1,
        2**200,
        1.5,
        True,
        None,
        "x" * 1000,
        b"12",
        1j,
        [1, 2, 3],
        {"a": 1},
        np.ones(1000),
        (),
        int,
    ],
)
def test_it_agrees_with_dask(value: Any) -> None:
    assert describe(value) == (sizeof(value), typename(type(value)))


def test_what_does_not_tell_its_size_is_taken_for_large() -> None:
    assert describe(Odd())[0] == 1_000_000
    assert sys.getsizeof(1) == describe(1)[0]


class Slow:
    """Takes its time to say its size."""

    def __init__(self, nbytes: int, length: int = 1, seconds: float = 2e-4) -> None:
        self.nbytes, self.length, self.seconds = nbytes, length, seconds

    def __len__(self) -> int:
        return self.length

    def __sizeof__(self) -> int:
        asked.append(self.nbytes)
        until = time.perf_counter() + self.seconds
        while time.perf_counter() < until:
            pass
        return self.nbytes


asked: list[int] = []


def sizes(*values: Slow) -> tuple[list[int], int]:
    """What a function's results are said to measure, and how many of them were asked."""
    asked.clear()
    usual = Usual()
    # Python adds some bytes for the collector.
    return [usual.describe(value)[0] // 100 * 100 for value in values], len(asked)


def test_slow_answers_that_are_always_alike_are_sampled() -> None:
    found, count = sizes(*[Slow(1000 + i % 50) for i in range(106)])
    assert count == 5 + 10  # five alike, then every tenth
    assert all(900 <= nbytes <= 1100 for nbytes in found)


def test_what_is_fast_or_large_or_different_is_always_asked() -> None:
    assert sizes(*[Slow(1000, seconds=0.0) for _ in range(50)])[1] == 50
    assert sizes(*[Slow(2_000_000) for _ in range(50)])[1] == 50
    assert sizes(*[Slow(1000 * (1 + i % 2)) for i in range(50)])[1] == 50


def test_another_length_or_type_is_asked_at_once() -> None:
    usual = [Slow(1000) for _ in range(8)]
    found, _ = sizes(*usual, Slow(500_000, length=500), Slow(500_000, length=500))
    assert found[-2:] == [500_000, 500_000]
    numbers = Usual()
    for value in usual:
        numbers.describe(value)
    assert numbers.describe([1] * 1000)[0] > 8000
    assert numbers.describe(1) == describe(1)


def test_an_answer_that_is_no_longer_alike_ends_the_sampling() -> None:
    before = [Slow(1000) for _ in range(5 + 9)]
    after = [Slow(3000) for _ in range(5)]
    found, count = sizes(*before, *after)
    assert found[-5:] == [3000] * 5 and count == 5 + 5
