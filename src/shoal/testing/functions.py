"""Small functions to submit, and functions that do something else each time they are called."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

__all__ = [
    "add",
    "asyncinc",
    "dec",
    "deep",
    "div",
    "double",
    "identity",
    "inc",
    "lock_inc",
    "map_varying",
    "mul",
    "slow",
    "slowadd",
    "slowdec",
    "slowidentity",
    "slowinc",
    "throws",
    "varying",
]


def inc(x: Any) -> Any:
    """Return ``x + 1``."""
    return x + 1


def dec(x: Any) -> Any:
    """Return ``x - 1``."""
    return x - 1


def add(x: Any, y: Any) -> Any:
    """Return ``x + y``."""
    return x + y


def mul(x: Any, y: Any) -> Any:
    """Return ``x * y``."""
    return x * y


def div(x: Any, y: Any) -> Any:
    """Return ``x / y``; fails for ``y=0``."""
    return x / y


def double(x: Any) -> Any:
    """Return ``x * 2``."""
    return x * 2


def identity(x: Any) -> Any:
    """Return its argument."""
    return x


def throws(x: Any) -> Any:
    """Fail with ``RuntimeError("hello!")``."""
    raise RuntimeError("hello!")


def deep(n: int) -> Any:
    """Fail with a traceback of `n` more frames."""
    return throws(n) if n <= 0 else deep(n - 1)


def slowinc(x: Any, delay: float = 0.02) -> Any:
    """Return ``x + 1`` after `delay` seconds."""
    time.sleep(delay)
    return x + 1


def slowdec(x: Any, delay: float = 0.02) -> Any:
    """Return ``x - 1`` after `delay` seconds."""
    time.sleep(delay)
    return x - 1


def slowadd(x: Any, y: Any, delay: float = 0.02) -> Any:
    """Return ``x + y`` after `delay` seconds."""
    time.sleep(delay)
    return x + y


def slowidentity(*args: Any, delay: float = 0.02) -> Any:
    """Return its argument, or a tuple of them, after `delay` seconds."""
    time.sleep(delay)
    return args[0] if len(args) == 1 else args


def lock_inc(x: Any, lock: Any) -> Any:
    """Return ``x + 1`` while a lock is held."""
    with lock:
        return x + 1


def slow(func: Callable[..., Any], delay: float, *args: Any, **kwargs: Any) -> Any:
    """Call a function after `delay` seconds."""
    time.sleep(delay)
    return func(*args, **kwargs)


async def asyncinc(x: Any, delay: float = 0.02) -> Any:
    """Return ``x + 1`` after `delay` seconds; a coroutine function."""
    await asyncio.sleep(delay)
    return x + 1


# How often each was called in this process; copies that were unpickled here count together.
_calls: dict[str, count[int]] = {}


class _Varying:
    """The function that `varying` returns."""

    def __init__(self, items: Iterable[Any], name: str | None = None) -> None:
        self.items = list(items)
        self.name = name or uuid.uuid4().hex

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        turn = next(_calls.setdefault(self.name, count()))
        if turn >= len(self.items):
            raise IndexError(f"called {turn + 1} times, but there are {len(self.items)} items")
        item = self.items[turn]
        if isinstance(item, BaseException):
            raise item
        return item


def varying(items: Iterable[Any]) -> Callable[..., Any]:
    """Return a function that gives the next item at each call, or raises it where it is an error.

    Copies of it in one process, such as those that a worker unpickles, take turns.

    Raises
    ------
    IndexError
        By the function, when there are no items left.

    Examples
    --------
    >>> f = varying([1, ValueError("2"), 3])
    >>> f()
    1
    """
    return _Varying(items)


def map_varying(itemss: Iterable[Iterable[Any]]) -> tuple[Callable[..., Any], list[Any]]:
    """Return function and arguments for `Client.map`: a `varying` of its own for each argument.

    Examples
    --------
    >>> func, args = map_varying([[1, 2], [10]])
    >>> [func(arg) for arg in args]
    [1, 10]
    """
    return apply, [varying(items) for items in itemss]


def apply(function: Callable[[], Any]) -> Any:
    """Call a function."""
    return function()
