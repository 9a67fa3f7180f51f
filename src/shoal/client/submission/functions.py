"""Pickled functions, remembered by the function object so that a loop of submits pickles once.

A function that a module defines is pickled as its name. Others (of `__main__`, lambdas, nested
ones) are pickled with all that they refer to, and that may change between two submits: their pickle
is used again only as long as everything they refer to is the same, and only where that can be told.
"""

from __future__ import annotations

import threading
import types
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

from dask.tokenize import tokenize
from dask.utils import funcname

from shoal.client.core.state import Call, Function
from shoal.client.submission.keys import CallDigest, blob_digest, group_of_key
from shoal.wire.encodable import encodable_text
from shoal.wire.pickling import dumps
from shoal.wire.placeholder import BoundFunction
from shoal.wire.stateless import is_importable, values_in_use

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Pickled", "PickledFunctions"]

_MAX_REMEMBERED = 1000
_MAX_TEXT = 1000

_NAMED = (types.FunctionType, types.BuiltinFunctionType, type)
_NUMBERS = frozenset((int, float, complex, bool, type(None)))
_TEXTS = frozenset((str, bytes))


class Pickled:
    """A function, ready to be submitted."""

    __slots__ = ("call", "digest", "function", "name", "references", "token", "weak")

    def __init__(self, function: Function, name: str, token: bytes, digest: CallDigest) -> None:
        self.function = function
        self.name = name  # the first part of its keys
        self.token = token
        self.digest = digest  # of function and bound keywords
        self.call = Call(function, group_of_key(f"{name}-{'0' * 32}"))  # without any options
        self.weak: Callable[[], object] | None = None
        # The objects that the pickle depends on besides the function; () if pickled as its name.
        self.references: tuple[Any, ...] = ()


class PickledFunctions:
    """The functions that one client submitted lately."""

    def __init__(self) -> None:
        self._by_object: dict[int, Pickled] = {}
        # One object for each id, because the core counts by object.
        self._by_id: weakref.WeakValueDictionary[bytes, Function] = weakref.WeakValueDictionary()
        self._lock = threading.Lock()

    def get(self, func: Any) -> Pickled:
        """Return a function's pickle.

        Raises
        ------
        TypeError
            When it cannot be called, or not be pickled.
        """
        known = self._by_object.get(id(func))
        if (
            known is not None
            and known.weak is not None
            and known.weak() is func
            and (not known.references or known.references == _references(func))
        ):
            return known
        return self._pickle(func)

    def bind(self, func: Any, kwargs: dict[str, Any]) -> Pickled:
        """Return the pickle of a function with keyword arguments put in, which travel with it."""
        plain = self.get(func)
        function = self._function(BoundFunction(func, **kwargs), plain.name)
        return Pickled(function, plain.name, plain.token, CallDigest(plain.token, kwargs))

    def opaque(self, func: Any) -> Function:
        """Return the pickle of something callable that has a name already; nothing is hashed.

        Only functions are remembered; whoever has others often must keep what this returns.
        """
        if isinstance(func, _NAMED):
            return self.get(func).function
        return self._function(func, _name(func))

    def _pickle(self, func: Any) -> Pickled:
        if not callable(func):
            raise TypeError(f"the first argument must be a callable function, got {func!r}")
        name = _name(func)
        function = self._function(func, name)
        named = isinstance(func, _NAMED)
        token = function.id if named else tokenize(func).encode()
        pickled = Pickled(function, name, token, CallDigest(token))
        if named:
            references = () if is_importable(func) else _references(func)
            if references is not None:
                pickled.references = references
                self._remember(func, pickled)
        return pickled

    def _remember(self, func: Any, pickled: Pickled) -> None:
        # The weak reference tells when another object got the same address.
        pickled.weak = weakref.ref(func)
        if len(self._by_object) >= _MAX_REMEMBERED:
            self._by_object.clear()
        self._by_object[id(func)] = pickled

    def _function(self, obj: Any, name: str) -> Function:
        try:
            blob = dumps(obj)
        except Exception as error:
            raise TypeError(f"the function {name} cannot be sent: {error}") from error
        id = blob_digest(blob)
        with self._lock:
            function = self._by_id.get(id)
            if function is None:
                function = self._by_id[id] = Function(id, blob)
        return function


def _name(func: Any) -> str:
    if isinstance(func, (*_NAMED, types.MethodType, partial)) or hasattr(func, "__name__"):
        return encodable_text(str(funcname(func)))
    return encodable_text(type(func).__name__)


def _references(func: Any, depth: int = 3) -> tuple[Any, ...] | None:
    """Return all that a function refers to, to be compared later; `None` when that cannot be told.

    An object that could change without a trace, such as a list, cannot be recognised.
    """
    if type(func) is not types.FunctionType or func.__dict__ or not depth:
        return None
    found: list[Any] = [func.__code__]
    for value in values_in_use(func):
        kind = type(value)
        if kind in _NUMBERS:
            found.append((kind, value))
        elif kind in _TEXTS:
            if len(value) > _MAX_TEXT:
                return None
            found.append(value)
        elif kind is types.ModuleType or (isinstance(value, _NAMED) and is_importable(value)):
            found.append(value)
        elif value is not func:
            inner = _references(value, depth - 1)
            if inner is None:
                return None
            found.append(inner)
    return tuple(found)
