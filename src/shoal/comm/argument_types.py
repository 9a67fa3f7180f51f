"""Arguments of requests against the annotations of the operation that they are for.

A request is looked at whole before its handler does anything. Containers may come as any of their
kind (a list, a tuple, a set), numbers as any number of theirs; an annotation that means nothing
here, such as a class of the handler's own module, allows everything.
"""

from __future__ import annotations

import contextlib
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from numbers import Integral, Real
from typing import Any, TypeAlias

import msgspec

from shoal.wire.blob import Blob

__all__ = ["Checks", "checks_of"]

Check: TypeAlias = Callable[[Any], bool]
Checks: TypeAlias = Mapping[str, tuple[Check, str]]

_OURS = "shoal."  # annotations of others' handlers are for their readers

_MOST = 2**64
_NAMES = {
    "Any": Any,
    "Blob": Blob,
    "Collection": Collection,
    "Iterable": Iterable,
    "Mapping": Mapping,
    "Sequence": Sequence,
}


def checks_of(handler: Callable[..., Any]) -> Checks:
    """Return by parameter what tells good arguments from bad ones, and how good ones are called.

    There is nothing to check about handlers of users.

    Parameters
    ----------
    handler : callable
        A function, a method, or a `partial` of one.

    Examples
    --------
    >>> from shoal.scheduler.operations import OPERATIONS
    >>> check, kind = checks_of(OPERATIONS["who_has"])["keys"]
    >>> kind, check(["x"]), check(["x", 2])
    ('list[str] | None', True, False)
    """
    function: Any = handler.func if isinstance(handler, partial) else handler
    if not str(getattr(function, "__module__", "")).startswith(_OURS):
        return {}
    annotations = getattr(function, "__annotations__", {})
    found: dict[str, tuple[Check, str]] = {}
    for name, annotation in annotations.items():
        if name == "return":
            continue
        check = _check(_evaluated(annotation, function))
        if check is not None:
            found[name] = check, annotation if isinstance(annotation, str) else repr(annotation)
    return found


def _evaluated(annotation: Any, function: Any) -> Any:
    if not isinstance(annotation, str):
        return annotation
    names = {**getattr(function, "__globals__", {}), **_NAMES}
    try:
        return eval(annotation, names)  # of our own source
    except NameError:
        return Any


def _check(kind: Any) -> Check | None:
    """Return what checks one type; None where everything is allowed."""
    if kind is Any:
        return None
    with contextlib.suppress(TypeError, KeyError):  # some kinds cannot be hashed
        return _SIMPLE[kind]
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:  # a number with limits, as the typed messages have them
        base = _check(arguments[0]) or _anything
        return lambda value: base(value) and _converts(value, kind)
    if origin in (typing.Union, types.UnionType):
        checks = [_check(each) for each in arguments]
        if None in checks:
            return None
        return lambda value: any(check(value) for check in checks if check is not None)
    if origin is tuple:
        parts = [_check(each) or _anything for each in arguments]
        return lambda value: (
            isinstance(value, list | tuple)
            and len(value) == len(parts)
            and all(check(each) for check, each in zip(parts, value, strict=True))
        )
    if origin in (dict, Mapping) or kind in (dict, Mapping):
        of_key, of_value = [_check(each) or _anything for each in arguments] or [_anything] * 2
        return lambda value: (
            isinstance(value, Mapping)
            and all(of_key(key) and of_value(each) for key, each in value.items())
        )
    if origin in _COLLECTIONS or kind in _COLLECTIONS:
        (of_each,) = [_check(each) or _anything for each in arguments] or [_anything]
        return lambda value: (
            isinstance(value, list | tuple | set | frozenset | dict | types.GeneratorType)
            and (isinstance(value, types.GeneratorType) or all(map(of_each, value)))
        )
    return None


_COLLECTIONS = (list, set, Collection, Iterable, Sequence)


def _converts(value: Any, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError:
        return False
    return True


def _anything(value: Any) -> bool:
    return True


def _is_int(value: Any) -> bool:
    return isinstance(value, Integral) and -_MOST < int(value) < _MOST


_SIMPLE: dict[Any, Check] = {
    str: lambda value: isinstance(value, str),
    bool: lambda value: isinstance(value, bool | Integral) or type(value).__name__ == "bool_",
    int: _is_int,
    float: lambda value: isinstance(value, Real) and value == value,
    bytes: lambda value: isinstance(value, bytes | bytearray | memoryview),
    None: lambda value: value is None,
    type(None): lambda value: value is None,
    Blob: lambda value: isinstance(value, Blob),
}
