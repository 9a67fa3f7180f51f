"""Time limits: deadlines, waiting with a limit, and a warning when something takes long."""

from __future__ import annotations

import time
import warnings
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from dask.utils import parse_timedelta

from shoal._base.within import within

__all__ = ["Deadline", "wait_for", "warn_on_duration"]

T = TypeVar("T")


class Deadline:
    """A moment until which something has to be done; or none.

    Parameters
    ----------
    expires_at : float, optional
        Seconds on the clock of `time.time`.

    Examples
    --------
    >>> Deadline.after(10).expired
    False
    >>> Deadline().remaining is None
    True
    """

    __slots__ = ("_end", "expires_at", "started_at")

    def __init__(self, expires_at: float | None = None) -> None:
        self.started_at = time.time()
        self.expires_at = expires_at
        # The wall clock may be set meanwhile; what is left is measured on the other.
        left = None if expires_at is None else expires_at - self.started_at
        self._end = None if left is None else time.monotonic() + left

    @classmethod
    def after(cls, duration: float | str | None = None) -> Deadline:
        """Return the deadline that is so many seconds, or ``"5s"``, from now."""
        seconds = None if duration is None else float(parse_timedelta(duration))
        return cls(None if seconds is None else time.time() + seconds)

    @property
    def duration(self) -> float | None:
        """Seconds from its beginning to its end; None without an end."""
        return None if self.expires_at is None else self.expires_at - self.started_at

    @property
    def expires(self) -> bool:
        """Whether there is an end at all."""
        return self.expires_at is not None

    @property
    def elapsed(self) -> float:
        """Seconds since it was made."""
        return time.time() - self.started_at

    @property
    def remaining(self) -> float | None:
        """Seconds left, 0 when it is over; None without an end."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    @property
    def expired(self) -> bool:
        """Whether the end has come."""
        return self._end is not None and self._end <= time.monotonic()

    def __repr__(self) -> str:
        left = "no end" if self.remaining is None else f"{self.remaining:.1f} s left"
        return f"<Deadline: {left}>"


async def wait_for(fut: Awaitable[T], timeout: float | None) -> T:
    """Wait for an awaitable, for at most `timeout` seconds; then it is cancelled.

    Raises
    ------
    TimeoutError
        When the time is over first.
    """
    return await within(fut, timeout)


@contextmanager
def warn_on_duration(duration: str | float, msg: str) -> Iterator[None]:
    """Warn when the block takes longer than `duration`; ``{duration}`` in the text is how long.

    Examples
    --------
    >>> with warn_on_duration("10s", "Reading took {duration:.1f} s"):
    ...     pass
    """
    start = time.perf_counter()
    yield
    took = time.perf_counter() - start
    if took > parse_timedelta(duration):
        text: Any = msg.format(duration=took) if "{duration" in msg else msg
        warnings.warn(text, stacklevel=3)
