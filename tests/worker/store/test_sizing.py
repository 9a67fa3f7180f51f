"""Sizes and names of values."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from dask.sizeof import sizeof
from dask.utils import typename

from shoal.worker.store.sizing import describe


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
