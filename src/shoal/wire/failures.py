"""Failures of users' code: made ready to travel, pickled and as text, and raised again.

Tracebacks start at the user's first frame; those of the executor say nothing to anybody. The pickle
is tried out before it leaves, as an exception that cannot be unpickled would be an error in the
client's loop, far away from its cause.
"""

from __future__ import annotations

import io
import pickle
import traceback
from collections import ChainMap
from types import CodeType, TracebackType
from typing import Any

import cloudpickle
from tblib.pickling_support import pickle_exception

from shoal import config
from shoal.errors import RemoteError
from shoal.wire.blob import Blob
from shoal.wire.pickling import loads, reduce_code
from shoal.wire.tracebacks import reduce_traceback

__all__ = ["Failure", "kinds_of", "load_failure", "pack_failure"]

_OWN = "shoal."
_FOR_TESTS = "shoal.testing."  # functions to be submitted: they stand for users'
_CHAIN = 30  # causes that go along when there are too many to be pickled
_NO_TRACEBACK = pickle.dumps(None)


class Failure:
    """An exception and its traceback, pickled and as text.

    Attributes
    ----------
    exception, traceback : Blob
        Pickles of the exception instance and of the traceback, which may be None.
    exception_text, traceback_text : str
        The same for people.
    kinds : list of str
        Where somebody wants to know: what `kinds_of` says of the exception.
    agreed : bool
        Whether the function of the task's `RetryPolicy` agrees to try again.
    """

    __slots__ = (
        "agreed",
        "exception",
        "exception_text",
        "kinds",
        "traceback",
        "traceback_text",
    )

    def __init__(
        self, exception: Blob, traceback: Blob, exception_text: str, traceback_text: str
    ) -> None:
        self.exception = exception
        self.traceback = traceback
        self.exception_text = exception_text
        self.traceback_text = traceback_text
        self.kinds: list[str] = []
        self.agreed = True


def kinds_of(kind: type[BaseException]) -> list[str]:
    """Return the names of a class of exceptions and of all that it derives from.

    Examples
    --------
    >>> kinds_of(FileNotFoundError)
    ['builtins.FileNotFoundError', 'builtins.OSError', 'builtins.Exception', ...]
    """
    classes = [base for base in kind.__mro__ if issubclass(base, BaseException)]
    return [f"{base.__module__}.{base.__qualname__}" for base in classes]


def pack_failure(error: BaseException, max_length: int | None = None) -> Failure:
    """Make an exception, just caught, ready to travel; never raises.

    Parameters
    ----------
    error : BaseException
        The exception of the user's code.
    max_length : int, optional
        Characters of each text to keep; ``distributed.admin.max-error-length`` by default.
    """
    if max_length is None:
        max_length = config.get_int("distributed.admin.max-error-length", minimum=0)
    frames = _users_frames(error.__traceback__)
    try:
        error.__traceback__ = frames
    except Exception:  # a class may forbid it
        pass
    exception_text = _text_of(error)
    try:
        traceback_text = "".join(traceback.format_tb(frames))
    except Exception:  # odd code objects, sources that cannot be read
        traceback_text = ""
    return Failure(
        Blob(_pickle_exception(error, exception_text)),
        Blob(_pickle_traceback(frames)),
        _shorten(exception_text, max_length),
        _shorten(traceback_text, max_length),
    )


def load_failure(exception: Blob, traceback: Blob, text: str) -> BaseException:
    """Return the exception that `pack_failure` packed, with its traceback; never raises.

    Parameters
    ----------
    exception, traceback : Blob
        The pickles.
    text : str
        The text for the case that the exception cannot be unpickled here.
    """
    try:
        error = loads(exception)
    except Exception as problem:
        return RemoteError(f"{text} (it cannot be unpickled here: {_text_of(problem)})")
    if not isinstance(error, BaseException):
        return RemoteError(text)
    try:
        return error.with_traceback(loads(traceback))
    except Exception:  # a traceback that cannot be had is no reason to hide the error
        return error


def _users_frames(frames: TracebackType | None) -> TracebackType | None:
    while frames is not None:
        module = str(frames.tb_frame.f_globals.get("__name__", ""))
        if not module.startswith(_OWN) or module.startswith(_FOR_TESTS):
            break
        frames = frames.tb_next
    return frames


def _text_of(error: BaseException) -> str:
    try:
        return repr(error)
    except Exception:
        return f"{type(error).__qualname__} (its repr raises)"


def _shorten(text: str, length: int) -> str:
    return text if len(text) <= length else text[: max(length - 4, 0)] + " ..."


def _pickle_exception(error: BaseException, text: str) -> bytes:
    try:
        data = _dumps_chain(error)
        loaded = pickle.loads(data)
        if isinstance(loaded, BaseException):
            return data
        why = f"it unpickles to a {type(loaded).__name__}"
    except Exception as problem:
        why = _text_of(problem)
    kind = f"{type(error).__module__}.{type(error).__qualname__}"
    stand_in = RemoteError(f"{_shorten(text, 10_000)} (a {kind} that cannot be pickled: {why})")
    stand_in.__traceback__ = error.__traceback__
    try:
        return _dumps(stand_in)
    except Exception:
        return pickle.dumps(stand_in)


def _dumps_chain(error: BaseException) -> bytes:
    """Pickle an exception with those that led to it, of a very long chain the last ones."""
    try:
        return _dumps(error)
    except (RecursionError, pickle.PicklingError):  # cloudpickle's word for it
        last: BaseException | None = error
        for _ in range(_CHAIN):
            last = None if last is None else last.__cause__ or last.__context__
        if last is None:
            raise
        last.__cause__ = last.__context__ = None
        return _dumps(error)


def _pickle_traceback(frames: TracebackType | None) -> bytes:
    if frames is None:
        return _NO_TRACEBACK
    try:
        data = _dumps(frames)
        pickle.loads(data)
    except Exception:
        return _NO_TRACEBACK
    return data


def _dumps(obj: Any) -> bytes:
    file = io.BytesIO()
    _Pickler(file, protocol=5).dump(obj)
    return file.getvalue()


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Takes along tracebacks, causes and notes of exceptions. Registers nothing for all of
    pickle.
    """

    dispatch_table: Any = ChainMap({CodeType: reduce_code}, cloudpickle.Pickler.dispatch_table)

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, TracebackType):
            return reduce_traceback(obj)
        if isinstance(obj, BaseException):
            return pickle_exception(obj)
        return super().reducer_override(obj)
