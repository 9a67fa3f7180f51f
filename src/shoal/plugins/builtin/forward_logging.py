"""`ForwardLogging`: log records of workers, for a client that handles them as its own."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from shoal.plugins.worker import WorkerPlugin

if TYPE_CHECKING:
    from shoal.worker.worker import Worker

__all__ = ["FORWARDED", "ForwardLogging"]

FORWARDED = "shoal_forwarded"
"""Attribute of records that came from elsewhere: in one process they would go round for ever."""

_LEFT_OUT = frozenset({"args", "exc_info", "exc_text", "msg", "stack_info"})
_PLAIN = (str, int, float, bool, type(None))


class ForwardLogging(WorkerPlugin):
    """Tell what a logger of workers, and those below it, handle to those who subscribe to a topic.

    Parameters
    ----------
    logger_name : str, optional
        The logger; the root by default.
    level : int or str
        Records below it are not told.
    topic : str
        The topic.
    """

    def __init__(self, logger_name: str | None, level: int | str, topic: str) -> None:
        self.name = f"forward-logging-{logger_name or '<root>'}"
        self.logger_name = logger_name
        self.level = level
        self.topic = topic
        self._handler: _Handler | None = None

    def setup(self, worker: Worker) -> None:
        """Begin to tell."""
        self._handler = _Handler(worker, self.topic, self.level)
        logging.getLogger(self.logger_name).addHandler(self._handler)

    def teardown(self, worker: Worker) -> None:
        """Tell nothing any more."""
        if self._handler is not None:
            logging.getLogger(self.logger_name).removeHandler(self._handler)
            self._handler = None

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_handler": None}


class _Handler(logging.Handler):
    def __init__(self, worker: Worker, topic: str, level: int | str) -> None:
        super().__init__(level)
        self._worker = worker
        self._topic = topic

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, FORWARDED, False):
            return
        # Several workers in one process have a handler each.
        told = vars(record).setdefault("shoal_topics", set())
        if self._topic in told:
            return
        told.add(self._topic)
        try:
            self._worker.log_event(self._topic, _told(record))
        except Exception:
            self.handleError(record)


def _told(record: logging.LogRecord) -> dict[str, Any]:
    """Return a record as plain data, its text put together."""
    text = record.getMessage()
    if record.exc_info and not record.exc_text:
        record.exc_text = logging.Formatter().formatException(record.exc_info)
    for more in (record.exc_text, record.stack_info):
        if more:
            text = f"{text}\n{more}"
    found = {
        name: value
        for name, value in vars(record).items()
        if name not in _LEFT_OUT and isinstance(value, _PLAIN)
    }
    return {**found, "msg": text, FORWARDED: True}
