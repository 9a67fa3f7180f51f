"""Errors that came from elsewhere, and errors that are logged on their way."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import types
from collections.abc import Callable
from typing import Any

from shoal.errors import CommClosedError, RemoteError
from shoal.wire.blob import Blob
from shoal.wire.pickling import loads, loads_bytes
from shoal.wire.serialize import Serialize, Serialized

__all__ = ["clean_exception", "log_errors"]


def clean_exception(
    exception: Any, traceback: Any = None, **kwargs: Any
) -> tuple[type[BaseException], BaseException, types.TracebackType | None]:
    """Return type, exception and traceback of an error, pickled or not, as `raise` wants them.

    Parameters
    ----------
    exception : exception, str, or its serialized form
        The error; a text becomes a `RemoteError`.
    traceback : traceback, or its serialized form, optional
        Where. Text is no traceback, and left out.
    **kwargs
        The other fields of a message, not used.
    """
    error = _open(exception)
    if not isinstance(error, BaseException):
        error = RemoteError(str(error))
    where = _open(traceback)
    if not isinstance(where, types.TracebackType):
        where = error.__traceback__
    return type(error), error.with_traceback(where), where


def _open(value: Any) -> Any:
    if isinstance(value, Blob):
        return loads(value)
    if isinstance(value, Serialized):
        return value.deserialize()
    if isinstance(value, Serialize):
        return value.data
    return loads_bytes(value) if isinstance(value, (bytes, bytearray)) else value


class log_errors:
    """Log exceptions that leave a block or a function, with their traceback, and let them pass.

    Cancellation and closed connections are no errors. It is a context manager and a decorator, of
    functions and of coroutine functions, with and without parentheses.

    Parameters
    ----------
    pdb : bool
        Whether to start the debugger at the error.

    Examples
    --------
    >>> @log_errors
    ... def f(x):
    ...     return 1 / x
    >>> f(1)
    1.0
    """

    def __new__(cls, func: Callable[..., Any] | None = None, /, *, pdb: bool = False) -> Any:
        self = super().__new__(cls)
        self.pdb = pdb
        return self if func is None else self(func)

    pdb: bool

    def __call__(self, func: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.iscoroutinefunction(func):

            @functools.wraps(func)
            async def awaited(*args: Any, **kwargs: Any) -> Any:
                with self._named(func.__module__):
                    return await func(*args, **kwargs)

            return awaited

        @functools.wraps(func)
        def called(*args: Any, **kwargs: Any) -> Any:
            with self._named(func.__module__):
                return func(*args, **kwargs)

        return called

    def _named(self, module: str) -> _Logging:
        return _Logging(logging.getLogger(module), self.pdb)

    def __enter__(self) -> None:
        frame = inspect.currentframe()
        outer = frame.f_back if frame is not None else None
        name = outer.f_globals.get("__name__", "shoal") if outer is not None else "shoal"
        self._block = self._named(name)

    def __exit__(
        self, kind: Any, error: BaseException | None, tb: types.TracebackType | None
    ) -> None:
        self._block.__exit__(kind, error, tb)


class _Logging:
    """The block itself."""

    def __init__(self, logger: logging.Logger, pdb: bool) -> None:
        self._logger = logger
        self._pdb = pdb

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: Any, error: BaseException | None, tb: types.TracebackType | None
    ) -> None:
        quiet = (CommClosedError, asyncio.CancelledError, KeyboardInterrupt, GeneratorExit)
        if error is None or isinstance(error, quiet):
            return
        self._logger.error("%s: %s", type(error).__name__, error, exc_info=error)
        if self._pdb:
            import pdb

            pdb.post_mortem(tb)
