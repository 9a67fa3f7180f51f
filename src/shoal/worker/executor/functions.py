"""The functions of tasks by id: unpickled at their first use, kept until the core forgets them.

A function without state between calls is unpickled once, and all tasks call it. Of what
could, each run has a copy of its own.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from shoal.wire.blob import Blob
from shoal.wire.placeholder import FreshlyBound
from shoal.wire.sealed import loads_own
from shoal.wire.stateless import is_stateless
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
        Its name in errors and logs.
    is_coroutine : bool
        Whether it is called on the event loop.
    repeated : Repeated
        The arguments that its tasks share.
    usual : Usual
        The usual size of its results.

    Parameters
    ----------
    call : callable
        The user's function.
    like : Function, optional
        Another copy of it, with which it shares all but `call`.
    """

    __slots__ = ("call", "is_coroutine", "name", "repeated", "usual")

    def __init__(self, call: Callable[..., Any], like: Function | None = None) -> None:
        self.call = call
        self.name: str = function_name(call) if like is None else like.name
        self.is_coroutine: bool = (
            _is_coroutine_function(call) if like is None else like.is_coroutine
        )
        self.repeated: Repeated = Repeated() if like is None else like.repeated
        self.usual: Usual = Usual() if like is None else like.usual


class FunctionCache:
    """Functions by id. Defined on the loop's thread, used on all; a step is one dict operation.

    Attributes
    ----------
    loaded : dict
        Functions that were used already, and that all runs may call; `get` returns any.
    copied : dict
        Functions that were used already, of which each run needs its own copy: the first one.
    """

    def __init__(self) -> None:
        self._blobs: dict[bytes, Blob] = {}
        self.loaded: dict[bytes, Function] = {}
        self.copied: dict[bytes, Function] = {}

    def __len__(self) -> int:
        return len(self._blobs)

    def define(self, function_id: bytes, blob: Blob) -> None:
        """Keep the pickle of a function; nothing is unpickled yet."""
        self._blobs[function_id] = blob

    def forget(self, function_id: bytes) -> None:
        """Drop a function; nothing happens when it is unknown."""
        self._blobs.pop(function_id, None)
        self.loaded.pop(function_id, None)
        self.copied.pop(function_id, None)

    def clear(self) -> None:
        """Drop all functions."""
        self._blobs.clear()
        self.loaded.clear()
        self.copied.clear()

    def get(self, function_id: bytes) -> Function:
        """Return a function for one run.

        Raises
        ------
        LookupError
            When the function was never defined here.
        Exception
            The exception of unpickling. The next task tries again: a module may be there by
            then.
        """
        found = self.loaded.get(function_id)
        if found is not None:
            return found
        blob = self._blobs.get(function_id)
        if blob is None:
            raise LookupError(f"the function {function_id.hex()} was not sent to this worker")
        call = loads_own(blob)
        known = self.copied.get(function_id)
        if known is not None:
            return Function(call, known)
        found = Function(call)
        where = self.loaded if is_stateless(call) else self.copied
        # Two threads may both have unpickled it: what is shared is one object.
        first = where.setdefault(function_id, found)
        if function_id not in self._blobs:  # forgotten meanwhile
            where.pop(function_id, None)
        return first if where is self.loaded else found


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
        # A BoundFunction is a partial.
        if not isinstance(function, (functools.partial, FreshlyBound)):
            return function
        function = function.func
