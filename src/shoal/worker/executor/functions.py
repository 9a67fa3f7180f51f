"""The functions of tasks by id: unpickled at their first use, kept until the core forgets them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from shoal.wire.blob import Blob
from shoal.wire.pickling import loads
from shoal.worker.executor.repeated import Repeated
from shoal.worker.store.sizing import Usual

__all__ = ["Function", "FunctionCache", "function_name"]


class Function:
    """A function ready to be called.

    Attributes
    ----------
    call : callable
        The user's function.
    name : str
        What errors and logs call it.
    is_coroutine : bool
        Whether it is called on the event loop.
    repeated : Repeated
        The arguments that its tasks share.
    usual : Usual
        What its results are like.
    """

    __slots__ = ("call", "is_coroutine", "name", "repeated", "usual")

    def __init__(self, call: Callable[..., Any]) -> None:
        self.call = call
        self.name = function_name(call)
        self.is_coroutine = _is_coroutine_function(call)
        self.repeated = Repeated()
        self.usual = Usual()


class FunctionCache:
    """Functions by id. Defined on the loop's thread, used on all; a step is one dict operation.

    Attributes
    ----------
    loaded : dict
        Those that were used already; `get` returns any.
    """

    def __init__(self) -> None:
        self._blobs: dict[bytes, Blob] = {}
        self.loaded: dict[bytes, Function] = {}

    def __len__(self) -> int:
        return len(self._blobs)

    def define(self, function_id: bytes, blob: Blob) -> None:
        """Keep the pickle of a function; nothing is unpickled yet."""
        self._blobs[function_id] = blob

    def forget(self, function_id: bytes) -> None:
        """Drop a function; nothing happens when it is unknown."""
        self._blobs.pop(function_id, None)
        self.loaded.pop(function_id, None)

    def clear(self) -> None:
        """Drop all functions."""
        self._blobs.clear()
        self.loaded.clear()

    def get(self, function_id: bytes) -> Function:
        """Return a function, unpickled by the first who asks.

        Raises
        ------
        LookupError
            When the function was never defined here.
        Exception
            Whatever unpickling raised. It is tried again by the next task: a module may be there by
            then.
        """
        found = self.loaded.get(function_id)
        if found is None:
            blob = self._blobs.get(function_id)
            if blob is None:
                raise LookupError(f"the function {function_id.hex()} was not sent to this worker")
            found = Function(loads(blob))
            # Two threads may both have unpickled it: tasks of one function share one object.
            found = self.loaded.setdefault(function_id, found)
            if function_id not in self._blobs:  # forgotten meanwhile
                self.loaded.pop(function_id, None)
        return found


def function_name(function: Any) -> str:
    """Return the readable name of a callable.

    Examples
    --------
    >>> function_name(sum)
    'sum'
    """
    function = _unwrap(function)
    return str(getattr(function, "__qualname__", None) or type(function).__qualname__)


def _is_coroutine_function(function: Any) -> bool:
    function = _unwrap(function)
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 an object with an asynchronous call
    )


def _unwrap(function: Any) -> Any:
    """Return what is called in the end by partials and functions with bound keywords."""
    while True:
        if not isinstance(function, functools.partial):  # a BoundFunction is one
            return function
        function = function.func
