"""Small helpers for tests: run a coroutine, wait for a condition, interrupt a call. Imported as
`helpers`.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import random
import re
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "shoal"


def run(coroutine: Awaitable[T], timeout: float = 30) -> T:
    """Run a coroutine on an event loop of its own, for at most `timeout` seconds."""

    async def main() -> T:
        return await asyncio.wait_for(coroutine, timeout)

    return asyncio.run(main())


def wait_until(condition: Callable[[], Any], timeout: float = 10) -> Any:
    """Ask `condition` until it is true, and return what it said; fail when that takes too long."""
    deadline = time.monotonic() + timeout
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not true within {timeout} s: {_describe(condition)}")
        time.sleep(0.005)
    return result


async def until(condition: Callable[[], Any], timeout: float = 10) -> Any:
    """`wait_until` for coroutines; `condition` may return an awaitable."""
    deadline = time.monotonic() + timeout
    while True:
        result = condition()
        if isinstance(result, Awaitable):
            result = await result
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"not true within {timeout} s: {_describe(condition)}")
        await asyncio.sleep(0.005)


def _describe(condition: Callable[[], Any]) -> str:
    code = getattr(condition, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else repr(condition)


@contextmanager
def interrupting(
    chance: random.Random, longest: float
) -> Iterator[Callable[[Callable[[], Any]], bool]]:
    """Give a function that calls another, and has a signal handler raise meanwhile.

    It does so after up to `longest` seconds, and returns whether the call was interrupted.
    """

    class Interrupt(Exception):
        pass

    def interrupt(number: int, frame: Any) -> None:
        raise Interrupt

    def interrupts(call: Callable[[], Any]) -> bool:
        try:
            try:
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-5, longest))
                call()
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except Interrupt:
            return True
        return False

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        yield interrupts
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def recorded_in(html: str) -> dict[str, Any]:
    """Return what a file of the dashboard's page holds: frames, answers."""
    (packed,) = re.findall(r'id="recording"[^>]*>([^<]*)</script>', html)
    found: dict[str, Any] = msgspec.msgpack.decode(gzip.decompress(base64.b64decode(packed)))
    return found
