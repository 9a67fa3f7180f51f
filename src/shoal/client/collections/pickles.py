"""Pickles of arguments that other tasks of the graph have as well, made once.

Few graphs have many different arguments apart from where their inputs are, which placeholders by
number say; to describe arguments is a fifth of the work of pickling them.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from shoal.client.submission.keys import SCALARS
from shoal.wire.placeholder import Dependency, OwnDependency

__all__ = ["Form", "Pickles"]

Form: TypeAlias = tuple[Any, ...]
"""Equal for arguments with equal pickles."""

_MOST = 1000  # pickles
_LONG = 1000  # bytes of one
_BOUNDS = frozenset((int, type(None)))
_END: Any = object()


class Pickles:
    """The pickles of one graph's arguments."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[Form, bytes] = {}

    def form(self, args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> Form | None:
        """Describe arguments; `None` for those that are not described."""
        form: list[Any] = []
        lists: set[int] = set()
        if not _describe(args, form, lists):
            return None
        if kwargs:
            form += kwargs
            if not _describe(tuple(kwargs.values()), form, lists):
                return None
        return tuple(form)

    def get(self, form: Form) -> bytes | None:
        """Return the pickle of the arguments that have this form, if it was added."""
        return self._known.get(form)

    def add(self, form: Form, data: bytes) -> None:
        """Remember a pickle, if it is worth it."""
        if len(self._known) < _MOST and len(data) <= _LONG:
            self._known[form] = data


def _describe(values: Any, form: list[Any], lists: set[int]) -> bool:
    """Add a description of values: a number is an input, a type says what follows.

    `lists` has those that were met: one that is there twice is one list to the task, too.
    """
    for value in values:
        kind = type(value)
        if kind is Dependency:
            form.append(value.index)
        elif kind is OwnDependency:
            form += (kind, value.index)
        elif kind in SCALARS:
            if kind is float:  # equal ones may differ
                value = value.hex()
            form += (kind, value)
        elif kind is tuple or kind is list:
            if kind is list:
                if id(value) in lists:
                    return False
                lists.add(id(value))
            form.append(kind)
            if not _describe(value, form, lists):
                return False
            form.append(_END)
        elif kind is slice:
            bounds = (value.start, value.stop, value.step)
            if not _BOUNDS.issuperset(map(type, bounds)):
                return False
            form += (kind, *bounds)
        else:
            return False
    return True
