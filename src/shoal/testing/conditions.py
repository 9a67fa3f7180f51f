"""Waiting until something is true, and asserting what was logged or raised."""

from __future__ import annotations

import asyncio
import io
import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = [
    "async_poll_for",
    "async_wait_for",
    "captured_handler",
    "captured_logger",
    "poll_for",
    "raises_with_cause",
    "wait_for",
]

_PERIOD = 0.01
_TIMEOUT = 30.0


def poll_for(
    predicate: Callable[[], Any],
    timeout: float = _TIMEOUT,
    fail_func: Callable[[], Any] | None = None,
    period: float = _PERIOD,
) -> None:
    """Ask `predicate` until it is true.

    Parameters
    ----------
    predicate : callable
        The function to ask.
    timeout : float
        Seconds after which it fails.
    fail_func : callable, optional
        Called then, for a better error than an `AssertionError`.
    period : float
        Seconds between two questions.
    """
    deadline = time.monotonic() + timeout
    while not predicate():
        if time.monotonic() > deadline:
            _fail(predicate, timeout, fail_func)
        time.sleep(period)


async def async_poll_for(
    predicate: Callable[[], Any],
    timeout: float = _TIMEOUT,
    fail_func: Callable[[], Any] | None = None,
    period: float = _PERIOD,
) -> None:
    """Ask `predicate`, a function or coroutine function, until it is true; see `poll_for`."""
    deadline = time.monotonic() + timeout
    while True:
        answer = predicate()
        if asyncio.iscoroutine(answer) or asyncio.isfuture(answer):
            answer = await answer
        if answer:
            return
        if time.monotonic() > deadline:
            _fail(predicate, timeout, fail_func)
        await asyncio.sleep(period)


def _fail(
    predicate: Callable[[], Any], timeout: float, fail_func: Callable[[], Any] | None
) -> None:
    if fail_func is not None:
        fail_func()
    code = getattr(predicate, "__code__", None)
    what = f"{code.co_filename}:{code.co_firstlineno}" if code else repr(predicate)
    raise AssertionError(f"condition not reached within {timeout} s: {what}")


wait_for = poll_for
async_wait_for = async_poll_for


@contextmanager
def captured_logger(
    logger: str | logging.Logger, level: int = logging.INFO, propagate: bool | None = None
) -> Iterator[io.StringIO]:
    """Gather what is logged, one message a line, instead of showing it.

    Parameters
    ----------
    logger : str or Logger
        Which one; a name of `distributed` means the one of shoal.
    level : int
        From which level on.
    propagate : bool, optional
        Whether loggers above see it too; by default as it is set.

    Examples
    --------
    >>> with captured_logger("shoal.worker") as said:
    ...     logging.getLogger("shoal.worker").info("up")
    >>> said.getvalue()
    'up\\n'
    """
    if isinstance(logger, str):
        first, dot, rest = logger.partition(".")
        logger = logging.getLogger(("shoal" if first == "distributed" else first) + dot + rest)
    before = logger.level, logger.handlers[:], logger.propagate
    text = io.StringIO()
    logger.handlers[:] = [logging.StreamHandler(text)]
    logger.setLevel(level)
    if propagate is not None:
        logger.propagate = propagate
    try:
        yield text
    finally:
        logger.setLevel(before[0])
        logger.handlers[:] = before[1]
        logger.propagate = before[2]


@contextmanager
def captured_handler(handler: logging.StreamHandler[Any]) -> Iterator[io.StringIO]:
    """Gather what a handler writes."""
    before, handler.stream = handler.stream, io.StringIO()
    try:
        yield handler.stream
    finally:
        handler.stream = before


@contextmanager
def raises_with_cause(
    expected_exception: type[BaseException] | tuple[type[BaseException], ...],
    match: str | None,
    expected_cause: type[BaseException] | tuple[type[BaseException], ...],
    match_cause: str | None,
    *more_causes: type[BaseException] | tuple[type[BaseException], ...] | str | None,
) -> Iterator[None]:
    """Expect an error with a cause, which may have a cause, and so on.

    Parameters
    ----------
    expected_exception, match
        Type of the error, and a pattern that is searched for in its text.
    expected_cause, match_cause
        The same of its cause.
    *more_causes
        More pairs of type and pattern.

    Examples
    --------
    >>> with raises_with_cause(RuntimeError, "outer", ValueError, None):
    ...     raise RuntimeError("outer") from ValueError("inner")
    """
    chain: list[Any] = [expected_exception, match, expected_cause, match_cause, *more_causes]
    if len(chain) % 2:
        raise TypeError("give pairs of a type and a pattern (or None)")
    try:
        yield
    except BaseException as error:
        if not isinstance(error, expected_exception):
            raise
        found: BaseException | None = error
        for kind, pattern in zip(chain[::2], chain[1::2]):
            assert isinstance(found, kind), f"expected {kind}, got {found!r}"
            if pattern is not None:
                assert re.search(pattern, str(found)), f"{pattern!r} is not in {str(found)!r}"
            found = found.__cause__
        return
    raise AssertionError(f"did not raise {expected_exception}")
