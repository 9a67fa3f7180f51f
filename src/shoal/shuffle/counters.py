"""Counts of what shuffles of this process have written and read, to be shown. No policy."""

from __future__ import annotations

import threading

__all__ = ["COUNTERS", "Counters"]

_NAMES = (
    "written",
    "written_bytes",
    "written_seconds",
    "read",
    "read_bytes",
    "read_seconds",
    "located",
    "located_seconds",
    "own",
    "shared",
    "files",
    "sent",
    "tries_again",
)


class Counters:
    """Numbers that only grow. All methods may be called from any thread.

    Examples
    --------
    >>> counters = Counters()
    >>> counters.add(written=1, written_bytes=800)
    >>> counters.snapshot()["written_bytes"]
    800
    """

    __slots__ = ("_lock", "_numbers")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: dict[str, float] = dict.fromkeys(_NAMES, 0)

    def add(self, **numbers: float) -> None:
        """Add to some of them.

        Parameters
        ----------
        **numbers : float
            ``written``, ``read``: values in parts made, and outputs put together, with ``_bytes``
            and ``_seconds``; ``located``: sources found, with seconds; ``own``, ``shared``,
            ``files``, ``sent``: sources by the way in which they were read; ``tries_again``.
        """
        with self._lock:
            for name, number in numbers.items():
                self._numbers[name] += number

    def snapshot(self) -> dict[str, float]:
        """Return all of them."""
        with self._lock:
            return dict(self._numbers)


COUNTERS = Counters()
"""The counters of this process."""
