"""A test of the core looks at all that the core sent, or says what it ignores."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from .model import Duet


def pytest_runtest_setup() -> None:
    Duet.made.clear()  # also those of state machines, which check all by themselves


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Part of the call: what was left fails the test itself, and only one that went well so far."""
    result = yield
    for duet in Duet.made:
        duet.check_all_seen()
    return result
