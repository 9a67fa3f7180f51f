"""Exceptions of users' code, as they travel."""

from __future__ import annotations

import traceback

import pytest

from shoal.wire.failures import load_failure, pack_failure


def deeper(n: int) -> int:
    if not n:
        raise ValueError("at the end")
    return deeper(n - 1)


def without_end() -> None:
    without_end()


@pytest.mark.parametrize(("depth", "kept"), [(10, 12), (79, 81), (400, 402)])
def test_long_tracebacks_travel_whole(depth: int, kept: int) -> None:
    with pytest.raises(ValueError, match="at the end") as caught:
        deeper(depth)
    failure = pack_failure(caught.value)
    error = load_failure(failure.exception, failure.traceback, failure.exception_text)
    frames = traceback.extract_tb(error.__traceback__)
    assert len(frames) == kept
    assert frames[0].name == "test_long_tracebacks_travel_whole"
    assert frames[-1].name == "deeper"


def test_recursion_without_end_is_what_it_is() -> None:
    with pytest.raises(RecursionError) as caught:
        without_end()
    for error in (caught.value, ValueError("a cause")):
        if error is not caught.value:
            error.__cause__ = caught.value
        failure = pack_failure(error)
        again = load_failure(failure.exception, failure.traceback, failure.exception_text)
        assert type(again) is type(error)
        assert error.__cause__ is None or isinstance(again.__cause__, RecursionError)
