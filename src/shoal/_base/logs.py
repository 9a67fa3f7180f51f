"""Logging: setting it up in shoal's own processes, and keeping the latest records for the user.

In a user's process shoal only gets loggers (`logging.getLogger("shoal.client")`) and leaves
handlers and levels to the user. The processes that shoal starts have no one else to do it: their
entry points call `start_logging`. No I/O but logging's belongs here.
"""

from __future__ import annotations

import logging
import sys
from collections import deque
from collections.abc import Mapping
from typing import Any

__all__ = ["LOG_FORMAT", "LogBuffer", "start_logging"]

LOG_FORMAT = "%(asctime)s - %(name)s - %(levelname)s - %(message)s"


def start_logging(
    levels: Mapping[str, str | int] | None = None,
    log_format: str = LOG_FORMAT,
) -> None:
    """Write shoal's log records to standard error; for processes that belong to shoal.

    Parameters
    ----------
    levels : mapping of str to str or int, optional
        Level per logger, as in the configuration ``distributed.logging``. The name
        ``distributed`` stands for ``shoal``, so that configuration files of dask users count.
        Without an entry of its own, ``shoal`` logs at INFO.
    log_format : str, optional
        Format of a line, as `logging.Formatter` takes it.

    Raises
    ------
    ValueError
        When a level is none that `logging` knows.

    Notes
    -----
    Calling it again changes levels and format and adds no second handler.
    """
    logger = logging.getLogger("shoal")
    handler = next((h for h in logger.handlers if isinstance(h, _StderrHandler)), None)
    if handler is None:
        handler = _StderrHandler()
        logger.addHandler(handler)
        logger.propagate = False
    handler.setFormatter(logging.Formatter(log_format))
    logger.setLevel(logging.INFO)
    for name, level in (levels or {}).items():
        _set_level(name, level)


class LogBuffer(logging.Handler):
    """Keeps the latest records of a logger, formatted, for `get_worker_logs` and the like.

    Parameters
    ----------
    length : int
        How many records to keep.
    log_format : str, optional
        Format of a line, as `logging.Formatter` takes it.
    """

    def __init__(self, length: int, log_format: str = LOG_FORMAT) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter(log_format))
        self._lines: deque[tuple[float, str, str]] = deque(maxlen=length)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record."""
        try:
            self._lines.append((record.created, record.levelname, self.format(record)))
        except Exception:
            self.handleError(record)

    def tail(self, n: int | None = None) -> list[tuple[str, str]]:
        """Return (level, line) of the latest `n` records, or of all that are kept, newest first."""
        return [(level, text) for _, level, text in self._latest(n)]

    def records(
        self, start: float = 0, n: int | None = None, timestamps: bool = False
    ) -> list[tuple[Any, ...]]:
        """Return the same, none from before a time; with `timestamps`, (time, level, line)."""
        found = [record for record in self._latest(None) if record[0] >= start]
        found = found if n is None else found[: max(n, 0)]
        return list(found) if timestamps else [(level, text) for _, level, text in found]

    def _latest(self, n: int | None) -> list[tuple[float, str, str]]:
        newest_first = list(self._lines)[::-1]
        return newest_first if n is None else newest_first[: max(n, 0)]


class _StderrHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Our own handler, told from a user's by its type; follows a replaced `sys.stderr`."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def _set_level(name: str, level: str | int) -> None:
    if name == "distributed" or name.startswith("distributed."):
        name = "shoal" + name.removeprefix("distributed")
    if isinstance(level, str):
        known = logging.getLevelNamesMapping()
        if level.upper() not in known:
            raise ValueError(
                f"the log level of {name!r} is {level!r}; it must be one of {', '.join(known)}"
            )
        level = known[level.upper()]
    logging.getLogger(name).setLevel(level)
