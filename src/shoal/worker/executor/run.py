"""One run of a task: its function and inputs put together, called, and what came of it described.

Any exception of users' code, `SystemExit` too, becomes an outcome; nothing here may end a thread.
"""

from __future__ import annotations

import logging
import pickle
import time
from collections.abc import Mapping
from sys import getsizeof
from typing import TYPE_CHECKING, Any

import msgspec

from shoal.actors.actor import Actor
from shoal.errors import Reschedule, TaskInterrupted
from shoal.wire.blob import Blob
from shoal.wire.failures import pack_failure
from shoal.wire.placeholder import dependency_values
from shoal.wire.plain_values import (
    LEAST,
    MOST,
    PICKLE,
    PLAIN_RESULTS,
    is_plain_result,
    load_arguments,
    load_plain,
)
from shoal.wire.sealed import loads_received
from shoal.worker.core import Outcome
from shoal.worker.executor.retrying import describe_for_retry
from shoal.worker.imports import IMPORTS
from shoal.worker.sources import UnreadSources, put_sources
from shoal.worker.store.sizing import PLAIN as SIZED
from shoal.worker.unreadable import Unreadable

if TYPE_CHECKING:
    from shoal.wire.messages import Compute, Inline
    from shoal.worker.core import TaskRun
    from shoal.worker.executor.functions import Function, FunctionCache
    from shoal.worker.store import Store

__all__ = [
    "MissingInputs",
    "failed",
    "prepare",
    "small_result",
    "succeeded",
]


logger = logging.getLogger("shoal.worker")

_ABSENT: Any = object()
_PICKLED_NONE = pickle.dumps(None, 5)


class MissingInputs(Exception):
    """The store does not hold these keys any more."""

    def __init__(self, keys: list[str]) -> None:
        super().__init__(keys)
        self.keys = keys


def prepare(
    compute: Compute, functions: FunctionCache, store: Store, fresh: Mapping[str, Any]
) -> tuple[Function, Any, dict[str, Any] | None]:
    """Return the function and the arguments of a task, positional and by keyword.

    Parameters
    ----------
    fresh : mapping
        Results by key that may not be in the store yet.

    Raises
    ------
    MissingInputs
        When dependencies are not in the store.
    Exception
        The exception of unpickling.
    """
    function = functions.loaded.get(compute.function)
    if function is None:
        if compute.function not in functions.copied:
            with IMPORTS.first_use():
                return _prepare(compute, functions, store, fresh)
        if not IMPORTS.first_uses:
            return _prepare(compute, functions, store, fresh)
        with IMPORTS.alone():
            return _prepare(compute, functions, store, fresh)
    data = compute.args
    if not (compute.deps or compute.buffers or data[0] == PICKLE):
        return function, load_plain(data), None
    if IMPORTS.first_uses:
        with IMPORTS.alone():
            return _prepare(compute, functions, store, fresh)
    if compute.deps or compute.buffers:
        return _prepare(compute, functions, store, fresh)
    args, kwargs = pickle.loads(data)
    return function, args, kwargs


def _prepare(
    compute: Compute, functions: FunctionCache, store: Store, fresh: Mapping[str, Any]
) -> tuple[Function, Any, dict[str, Any] | None]:
    values = _inputs(compute, store, fresh) if compute.deps else None
    function = functions.get(compute.function)
    if values is not None and not compute.buffers:
        filled = function.repeated.fill(compute.args, values)
        if filled is not None:
            return function, filled, None
    if values is None and not compute.buffers:
        args, kwargs = load_arguments(compute.args)
    else:
        args, kwargs = _load_with_values(compute, values)
    return function, args, kwargs


def _inputs(compute: Compute, store: Store, fresh: Mapping[str, Any]) -> list[Any]:
    """Return the values of a task's dependencies."""
    deps = compute.deps
    given = compute.dep_values
    options = compute.options
    if options is not None and options.in_place:
        return _partly_in_place(compute, options.in_place, store, fresh)
    try:
        if given:
            values = [_ABSENT if v is None else _opened(d, v) for d, v in zip(deps, given)]
            if fresh:
                values = [fresh.get(d, v) if v is _ABSENT else v for d, v in zip(deps, values)]
        elif fresh:
            values = [fresh.get(dep, _ABSENT) for dep in deps]
        else:
            values = []
        if not values:
            values = store.get_many(deps)
        elif absent := [dep for dep, value in zip(deps, values) if value is _ABSENT]:
            stored = iter(store.get_many(absent))
            values = [next(stored) if value is _ABSENT else value for value in values]
    except KeyError as error:
        raise MissingInputs(list(error.args)) from None
    for value in values:
        if type(value) is Unreadable:
            value.raise_error()
    if options is not None and options.actor:
        # An actor may keep the actors that it is given, and so keeps them alive.
        values = [value.bind() if type(value) is Actor else value for value in values]
    return values


def _partly_in_place(
    compute: Compute, in_place: tuple[int, ...], store: Store, fresh: Mapping[str, Any]
) -> list[Any]:
    """Return the values of a task's dependencies, and sources of those that it reads itself."""
    values: list[Any] = [_ABSENT] * len(compute.deps)
    put_sources(compute, in_place, values)
    rest = [i for i, value in enumerate(values) if value is _ABSENT]
    if rest:
        given = compute.dep_values
        brought = msgspec.structs.replace(
            compute,
            deps=tuple([compute.deps[i] for i in rest]),
            dep_values=tuple([given[i] for i in rest]) if given else (),
            options=None,
        )
        for i, value in zip(rest, _inputs(brought, store, fresh), strict=True):
            values[i] = value
    return values


def _opened(key: str, value: Inline) -> Any:
    """Return the value of a dependency that came with the task."""
    if type(value) is not bytes:
        return value
    try:
        return pickle.loads(value)
    except Exception as error:
        return Unreadable(key, error)


def _load_with_values(compute: Compute, values: list[Any] | None) -> Any:
    """Unpickle a task's (args, kwargs), with the values of its dependencies in place."""
    blob = Blob(compute.args, list(compute.buffers))
    if values is None:
        return loads_received(blob)
    with dependency_values(values):
        return loads_received(blob)


def succeeded(
    task: TaskRun, function: Function, result: Any, start: float, stop: float, inline: int
) -> Outcome:
    """Describe a result.

    Parameters
    ----------
    inline : int
        A result up to this many bytes travels with the outcome, when a client waits for it. A
        number always does: it may be an input on another worker.
    """
    kind = type(result)
    type_name = SIZED.get(kind)
    if type_name is not None:  # as `describe` says it
        nbytes = getsizeof(result)
    else:
        nbytes, type_name = function.usual.describe(result)
    value = None
    compute = task.compute
    # Pickled before it is stored: from then on other tasks may change it in place.
    if kind in PLAIN_RESULTS and (kind is not int or LEAST <= result <= MOST):
        value = result
    elif compute.wanted and nbytes <= inline and not (compute.options and compute.options.actor):
        value = small_result(result, inline)
    return Outcome(task.key, task.run, "ok", start, stop, nbytes, type_name, value)


def failed(task: TaskRun, error: BaseException, start: float | None) -> Outcome:
    """Describe what a run raised; `start` is None when it came to nothing before."""
    if isinstance(error, MissingInputs):
        return Outcome(task.key, task.run, "missing", missing=tuple(error.keys))
    if isinstance(error, UnreadSources):
        return Outcome(task.key, task.run, "unread", unread=error.rows())
    stop = time.time()
    if start is None:
        start = stop
    # The latter was meant for another run, or its outcome is not asked for.
    if isinstance(error, (Reschedule, TaskInterrupted)):
        return Outcome(task.key, task.run, "reschedule", start, stop)
    failure = pack_failure(error)
    options = task.compute.options
    if options is not None and options.retry is not None:
        describe_for_retry(options.retry, error, failure)
    logger.info("Compute Failed\nKey:       %s\nException: %s", task.key, failure.exception_text)
    return Outcome(task.key, task.run, "error", start, stop, failure=failure)


def small_result(value: Any, limit: int) -> Inline | None:
    """Return a value in a form that travels, or None when that takes more than `limit` bytes.

    The size of an object says nothing of what it refers to, so the pickling itself is cut short.
    A value for cloudpickle only is not worth the time; it travels when it is asked for.
    """
    kind = type(value)
    if kind in PLAIN_RESULTS and is_plain_result(value):
        found: Inline = value
        return found
    if value is None:
        return _PICKLED_NONE
    if kind in SIZED or kind is bytes:
        data = pickle.dumps(value, 5)
        return data if len(data) <= limit else None
    file = _Limited(limit)
    try:
        pickle.Pickler(file, 5).dump(value)
    except Exception:  # a user's __reduce__, too, may raise anything
        return None
    data = b"".join(file.parts)
    return None if b"__main__" in data else data


class _Limited:
    """A file that refuses to grow."""

    __slots__ = ("parts", "room")

    def __init__(self, room: int) -> None:
        self.room = room
        self.parts: list[bytes] = []

    def write(self, data: Any) -> None:
        if memoryview(data).nbytes > self.room:
            raise ValueError("longer than the limit")
        part = bytes(data)
        self.room -= len(part)
        self.parts.append(part)
