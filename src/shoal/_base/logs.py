"""Logging: setting it up in shoal's own processes, and keeping the latest records for the user.

In a user's process shoal only gets loggers (`logging.getLogger("shoal.client")`) and leaves
handlers and levels to the user. The processes that shoal starts have no one else to do it: their
entry points call `start_logging`. No I/O but logging's belongs here.
"""

from __future__ import annotations

import copy
import logging
import sys
import threading
from collections import deque
from collections.abc import Mapping
from typing import Any

__all__ = ["LOG_FORMAT", "LogBuffer", "Silence", "quieten", "start_logging"]

LOG_FORMAT = "%(asctime)s - %(name)s - %(levelname)s - %(message)s"

# Users' tasks and plugins log under the name that dask's documentation has.
_NAMES = ("shoal", "distributed")
_buffers: list[LogBuffer] = []  # that keep whatever is logged in this process


def start_logging(
    settings: Mapping[str, Any] | None = None,
    log_format: str = LOG_FORMAT,
    file: str | None = None,
) -> None:
    """Write shoal's log records to standard error; for processes that belong to shoal.

    Parameters
    ----------
    settings : mapping, optional
        Level per logger, as in the configuration ``logging``; or, with a ``version``, a mapping for
        `logging.config.dictConfig`, which then says all. The name ``distributed`` stands for
        ``shoal`` too, so that configuration files of dask users count. Without an entry of its own,
        ``shoal`` logs at INFO.
    log_format : str, optional
        Format of a line, as `logging.Formatter` takes it.
    file : str, optional
        A file for `logging.config.fileConfig`, which then says all.

    Raises
    ------
    ValueError
        When a level is none that `logging` knows, or the file or mapping is not right.

    Notes
    -----
    Calling it again changes levels and format and adds no second handler.
    """
    settings = settings or {}
    _keep_all_records()
    if file is not None:
        if settings:
            raise ValueError(f"give levels of loggers or the file {file}, not both")
        _configure_by_file(file)
        return
    if "version" in settings:
        from logging.config import dictConfig  # few need it

        dictConfig(_with_shoals_names(settings))
        return
    for name in _NAMES:
        logger = logging.getLogger(name)
        handler = _own_handler(logger)
        if handler is None:
            handler = _StderrHandler()
            logger.addHandler(handler)
            logger.propagate = False
        handler.setFormatter(logging.Formatter(log_format))
        logger.setLevel(logging.INFO)
    for name, level in settings.items():
        _set_level(name, level)


def quieten(level: int | str) -> None:
    """Have the handlers of `start_logging` write nothing below a level; it is kept all the same."""
    for name in _NAMES:
        handler = _own_handler(logging.getLogger(name))
        if handler is not None:
            handler.setLevel(level.upper() if isinstance(level, str) else level)


_silences: list[Silence] = []  # silences that did not end yet
_before: list[tuple[int, bool]] = []  # shoal's level, and whether it propagated, before them


class Silence:
    """In a user's process: nothing of shoal below a level reaches the user's handlers.

    `LogBuffer` keeps records all the same, from INFO on.

    Parameters
    ----------
    level : int, str or True
        The level; True for WARNING.
    """

    def __init__(self, level: int | str | bool) -> None:
        chosen: Any = logging.WARNING if level is True else level
        if isinstance(chosen, str):
            chosen = chosen.upper()  # as in configuration files: "error"
        self._logger = logging.getLogger("shoal")
        if not _silences:  # clusters may end in any order: the first knows how it was
            _before[:] = [(self._logger.level, self._logger.propagate)]
        _silences.append(self)
        self._handler = _ForwardHandler(chosen)
        self._logger.addHandler(self._handler)
        self._logger.propagate = False
        if not self._logger.isEnabledFor(logging.INFO) or not self._logger.level:
            self._logger.setLevel(logging.INFO)

    def end(self) -> None:
        """Let all through again."""
        self._logger.removeHandler(self._handler)
        if self in _silences:
            _silences.remove(self)
            if not _silences:
                level, self._logger.propagate = _before[0]
                self._logger.setLevel(level)


class LogBuffer(logging.Handler):
    """Keeps the latest records, formatted, for `get_worker_logs` and the like.

    Of shoal's loggers in any process; in processes that belong to shoal also those of users' tasks
    and plugins, whatever logger they use, from INFO on.

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
        self._last: logging.LogRecord | None = None

    def attach(self) -> None:
        """Begin to keep records."""
        logging.getLogger("shoal").addHandler(self)
        _buffers.append(self)

    def detach(self) -> None:
        """Keep no more."""
        logging.getLogger("shoal").removeHandler(self)
        if self in _buffers:
            _buffers.remove(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record, once."""
        if record is self._last:
            return
        self._last = record
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


class _ForwardHandler(logging.Handler):
    """Gives records to the handlers of the root logger, as if nothing stood between."""

    def emit(self, record: logging.LogRecord) -> None:
        logger = logging.getLogger("shoal")
        if logger.propagate:  # the user let it through again: it comes to the root by itself
            return
        first = next(h for h in logger.handlers if isinstance(h, type(self)))
        if first is self or record.levelno < first.level:  # several clusters: the lowest counts
            logging.getLogger().callHandlers(record)


class _Entering(threading.local):
    """Whether this thread keeps a record right now: formatting may log as well."""

    keeping = False


def _keep_all_records() -> None:
    """Have the buffers of this process see the records of all loggers, and users' warnings.

    Not by a handler of the root logger: with one there, `logging.basicConfig` in a task, and what
    `logging` does for those who set up nothing, would have no effect.
    """
    if getattr(logging.getLogRecordFactory(), "of_shoal", False):
        return
    make = logging.getLogRecordFactory()
    entering = _Entering()

    def make_and_keep(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        # `logging.makeLogRecord` makes one without a level, and fills it in later.
        if record.levelno and record.levelno >= logging.INFO and not entering.keeping:
            entering.keeping = True
            try:
                for buffer in _buffers:
                    buffer.handle(record)
            finally:
                entering.keeping = False
        return record

    make_and_keep.of_shoal = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(make_and_keep)
    warnings = logging.getLogger("py.warnings")
    if _own_handler(warnings) is None:
        handler = _StderrHandler()  # as `warnings` writes them
        handler.setFormatter(logging.Formatter("%(message)s"))
        handler.terminator = ""
        warnings.addHandler(handler)
        warnings.propagate = False
    logging.captureWarnings(True)


def _own_handler(logger: logging.Logger) -> _StderrHandler | None:
    return next((one for one in logger.handlers if isinstance(one, _StderrHandler)), None)


def _both_names(name: str) -> list[str]:
    if name == "distributed" or name.startswith("distributed."):
        return [name, "shoal" + name.removeprefix("distributed")]
    return [name]


def _with_shoals_names(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping for `dictConfig` in which what is said of distributed is said of shoal."""
    found: dict[str, Any] = copy.deepcopy(dict(settings))
    loggers = found.get("loggers") or {}
    for name in list(loggers):
        for other in _both_names(name)[1:]:
            loggers.setdefault(other, loggers[name])
    found.setdefault("disable_existing_loggers", False)
    return found


def _configure_by_file(path: str) -> None:
    from configparser import ConfigParser  # few need them
    from logging.config import fileConfig

    parser = ConfigParser(interpolation=None)
    if not parser.read(path, encoding="utf-8"):
        raise ValueError(f"the file of logging's configuration {path!r} cannot be read")
    names = [name.strip() for name in parser.get("loggers", "keys", fallback="").split(",")]
    for name in list(names):
        section = f"logger_{name}"
        for other in _both_names(parser.get(section, "qualname", fallback=name))[1:]:
            parser[f"{section}_shoal"] = {**parser[section], "qualname": other}
            names.append(f"{name}_shoal")
    parser.set("loggers", "keys", ",".join(names))
    fileConfig(parser, disable_existing_loggers=False)


def _set_level(name: str, level: str | int) -> None:
    if isinstance(level, str):
        known = logging.getLevelNamesMapping()
        if level.upper() not in known:
            raise ValueError(
                f"the log level of {name!r} is {level!r}; it must be one of {', '.join(known)}"
            )
        level = known[level.upper()]
    for each in _both_names(name):
        logging.getLogger(each).setLevel(level)
