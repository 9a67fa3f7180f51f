"""Virtual time: a heap of what happens when. Nothing in the simulator knows of another clock."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

__all__ = ["Clock", "Timer"]


class Timer:
    """Something that will happen, unless it is cancelled."""

    __slots__ = ("args", "function", "when")

    def __init__(self, when: float, function: Callable[..., None], args: tuple[Any, ...]) -> None:
        self.when = when
        self.function: Callable[..., None] | None = function
        self.args = args

    def cancel(self) -> None:
        """Let it not happen."""
        self.function = None
        self.args = ()


class Clock:
    """Time, in seconds. Functions due at the same time are called in the order of the calls."""

    def __init__(self) -> None:
        self.now = 0.0
        self.steps = 0
        self._heap: list[tuple[float, int, Timer]] = []
        self._serial = 0

    def call_at(self, when: float, function: Callable[..., None], *args: Any) -> Timer:
        """Have a function called at a time; what is past happens next."""
        timer = Timer(max(when, self.now), function, args)
        self._serial += 1
        heappush(self._heap, (timer.when, self._serial, timer))
        return timer

    def call_later(self, seconds: float, function: Callable[..., None], *args: Any) -> Timer:
        """Have a function called after a while."""
        return self.call_at(self.now + seconds, function, *args)

    def step(self) -> bool:
        """Let the next thing happen; return False when nothing is left."""
        while self._heap:
            when, _, timer = heappop(self._heap)
            function = timer.function
            if function is not None:
                self.now = when
                self.steps += 1
                function(*timer.args)
                return True
        return False
