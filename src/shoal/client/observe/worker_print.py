"""`print` and `warn`: words of tasks that reach their users."""

from __future__ import annotations

import builtins
import sys
import warnings
from collections.abc import Callable
from typing import Any

from shoal._base.process_id import process_id
from shoal.client.in_task.task_client import worker_here

__all__ = ["HANDLERS", "print", "warn"]


def print(
    *args: Any, sep: str | None = " ", end: str | None = "\n", file: Any = None, flush: bool = False
) -> None:
    """Print here and, in code that a worker runs, at all clients too.

    Parameters
    ----------
    *args, sep, end, flush
        As of the builtin `print`.
    file : file, optional
        ``sys.stdout`` (also for None) or ``sys.stderr``; others are files of this process only.

    Raises
    ------
    TypeError
        When `sep` or `end` are no texts.

    Examples
    --------
    >>> from shoal import print
    >>> def worker_function():
    ...     print("Hello from worker!")
    >>> client.submit(worker_function)  # doctest: +SKIP
    Hello from worker!
    """
    builtins.print(*args, sep=sep, end=end, file=file, flush=flush)
    worker = worker_here()
    if worker is None:
        return
    if file in (None, sys.stdout):
        number = 1
    elif file is sys.stderr:
        number = 2
    else:
        raise TypeError(
            f"what a task prints reaches clients on sys.stdout or sys.stderr, not on {file!r}"
        )
    options = {"sep": sep, "end": end, "file": number, "flush": flush}
    said = {"args": [str(arg) for arg in args], "kwargs": options, "process": _process()}
    worker.log_event("print", said)


def warn(message: str | Warning, category: type[Warning] | None = UserWarning) -> None:
    """Warn here and, in code that a worker runs, at all clients too.

    Parameters
    ----------
    message : str or Warning
        The objects to print.
    category : type, optional
        Kind of warning. Clients that do not know the class give a `UserWarning`.

    Examples
    --------
    >>> from shoal import warn
    >>> client.submit(lambda: warn("Beware!"))  # doctest: +SKIP
    UserWarning: Beware!
    """
    warnings.warn(message, category, stacklevel=2)
    worker = worker_here()
    if worker is None:
        return
    kind = type(message) if isinstance(message, Warning) else category or UserWarning
    caller = sys._getframe(1)
    said = {
        "message": str(message),
        "category": f"{kind.__module__}.{kind.__qualname__}",
        "filename": caller.f_code.co_filename,
        "lineno": caller.f_lineno,
        "process": _process(),
    }
    worker.log_event("warn", said)


def show_printed(told: tuple[float, Any]) -> None:
    """Print at a client what was printed on a worker: the handler of that topic."""
    message = told[1]
    if message["process"] != _process():
        options = message["kwargs"]
        file = sys.stderr if options["file"] == 2 else sys.stdout
        builtins.print(
            *message["args"],
            sep=options["sep"],
            end=options["end"],
            file=file,
            flush=options["flush"],
        )


def show_warning(told: tuple[float, Any]) -> None:
    """Warn at a client as was warned on a worker: the handler of that topic."""
    message = told[1]
    if message["process"] == _process():
        return
    module, _, name = message["category"].rpartition(".")
    kind = getattr(sys.modules.get(module), name, UserWarning)
    if not (isinstance(kind, type) and issubclass(kind, Warning)):
        kind = UserWarning
    warnings.warn_explicit(message["message"], kind, message["filename"], message["lineno"])


HANDLERS: dict[str, Callable[[tuple[float, Any]], None]] = {
    "print": show_printed,
    "warn": show_warning,
}
"""Every client's handlers of these topics, unless its user subscribes others."""


def _process() -> str:
    """Return what tells this process: what was said in it is not said again."""
    return process_id()
