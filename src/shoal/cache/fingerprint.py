"""The fingerprint of a function: its code, and all that it refers to, in whatever file it stands.

Functions of installed packages are known by name and version of the package. Of a program's own the
code counts, with defaults, closures, and the functions, classes and values that it looks up. A
comment that moves a line changes nothing; another minor version of Python changes all.
"""

from __future__ import annotations

import functools
import os
import sys
import sysconfig
import types
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

from dask.tokenize import tokenize

from shoal.wire.stateless import global_names

__all__ = ["Unnamable", "fingerprint", "token_of"]

_NAMED = (types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType)
_FOLDERS = tuple(
    {
        os.path.realpath(path) + os.sep
        for name in ("stdlib", "platstdlib", "purelib", "platlib")
        if (path := sysconfig.get_paths().get(name))
    }
)
# Entries in the dictionary of a class that are none of its code.
_NOT_CODE = frozenset(
    ("__dict__", "__weakref__", "__doc__", "__module__", "__annotations__", "__firstlineno__")
)


class Unnamable(TypeError):
    """A function or an argument that has no name that would be the same in another process."""


def token_of(*values: Any, **named: Any) -> str:
    """Return a text that is the same for equal values, in any process.

    Raises
    ------
    Unnamable
        When one of them has none.
    """
    try:
        return tokenize(*values, ensure_deterministic=True, **named)
    except Exception as error:  # of users' __dask_tokenize__ and __reduce__, too
        raise Unnamable(f"an argument has no name that lasts: {error}") from error


def fingerprint(function: Callable[..., Any]) -> str:
    """Return what a function is known by.

    Raises
    ------
    Unnamable
        When it refers to something that has no lasting name.

    Examples
    --------
    >>> one, other, same = (lambda x: x + 1), (lambda x: x + 2), (lambda x: x + 1)
    >>> fingerprint(one) == fingerprint(same), fingerprint(one) == fingerprint(other)
    (True, False)
    """
    walk = _Walk()
    walk.at(function)
    return walk.digest.hexdigest()


class _Walk:
    """One walk through a function and all that it refers to."""

    def __init__(self) -> None:
        self.digest = blake2b(digest_size=16)
        self._met: dict[int, int] = {}
        self._kept: list[Any] = []  # alive, for they are told apart by address

    def note(self, *parts: object) -> None:
        """Add plain values: texts, bytes, numbers."""
        for part in parts:
            data = part if isinstance(part, bytes) else repr(part).encode(errors="backslashreplace")
            self.digest.update(len(data).to_bytes(8, "little"))
            self.digest.update(data)

    def at(self, value: Any) -> None:
        """Add a value."""
        if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
            self.note(type(value).__name__, value)
            return
        if id(value) in self._met:
            self.note("again", self._met[id(value)])
            return
        self._met[id(value)] = len(self._met)
        self._kept.append(value)
        own = getattr(value, "__shoal_fingerprint__", None)
        if own is not None and not isinstance(value, type):
            self.note("own", own())
        elif isinstance(value, types.FunctionType):
            self._function(value)
        elif isinstance(value, types.ModuleType):
            self._module(value)
        elif isinstance(value, type):
            self._class(value)
        elif isinstance(value, types.MethodType):
            self.note("method")
            self.at(value.__func__)
            self.at(value.__self__)
        elif isinstance(value, functools.partial):
            self.note("partial")
            self._all(value.func, *value.args, *sorted(value.keywords.items()))
        elif isinstance(value, _NAMED):
            self._named(value)
        elif type(value) in (tuple, list):
            self.note(type(value).__name__, len(value))
            self._all(*value)
        elif isinstance(value, (classmethod, staticmethod)):
            self.at(value.__func__)
        elif isinstance(value, property):
            self._all(value.fget, value.fset, value.fdel)
        elif callable(value) and hasattr(value, "__wrapped__"):
            self.note("wrapped")
            self.at(value.__wrapped__)
        else:
            self.note("value", token_of(value))

    def _all(self, *values: Any) -> None:
        for value in values:
            self.at(value)

    def _named(self, value: Any) -> None:
        owner = getattr(value, "__self__", None) or getattr(value, "__objclass__", None)
        if isinstance(owner, (type, types.ModuleType)) or owner is None:
            name = getattr(value, "__qualname__", value.__name__)
            self.note("named", getattr(value, "__module__", None), name)
            self.note(_version(getattr(value, "__module__", None) or ""))
        else:  # a method of an object, such as "text".join
            self.note("bound", value.__name__)
            self.at(owner)

    def _function(self, function: types.FunctionType) -> None:
        module = function.__module__ or ""
        if _is_installed(module) and "<locals>" not in function.__qualname__:
            self.note("installed", module, function.__qualname__, _version(module))
            return
        self.note("function")
        self._code(function.__code__)
        self._all(function.__defaults__, *sorted((function.__kwdefaults__ or {}).items()))
        for cell in function.__closure__ or ():
            try:
                self.at(cell.cell_contents)
            except ValueError:  # it is not filled yet
                self.note("empty")
        for name in global_names(function.__code__):
            if name in function.__globals__:
                self.note(name)
                self.at(function.__globals__[name])

    def _code(self, code: types.CodeType) -> None:
        self.note(code.co_code, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        self.note(code.co_argcount, code.co_kwonlyargcount, code.co_posonlyargcount, code.co_flags)
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                self._code(constant)
            elif isinstance(constant, frozenset):
                self.note("frozenset", sorted(map(repr, constant)))
            else:
                self.note(type(constant).__name__, constant)

    def _class(self, kind: type) -> None:
        self.note("class", kind.__module__, kind.__qualname__)
        if _is_installed(kind.__module__):
            self.note(_version(kind.__module__))
            return
        self._all(*kind.__bases__)
        for name, value in sorted(vars(kind).items()):
            if name not in _NOT_CODE and not isinstance(
                value, (types.MemberDescriptorType, types.GetSetDescriptorType)
            ):
                self.note(name)
                self.at(value)

    def _module(self, module: types.ModuleType) -> None:
        """Add a module: of what is not installed, its file, as which part is used is not known."""
        name = module.__name__
        self.note("module", name, _version(name))
        file = getattr(module, "__file__", None)
        if file and not _is_installed(name):
            try:
                with open(file, "rb") as source:
                    self.note(source.read())
            except OSError:
                pass


@functools.lru_cache(maxsize=1000)
def _is_installed(module: str) -> bool:
    top = module.partition(".")[0]
    if top == "__main__":
        return False
    if top in sys.builtin_module_names or top in sys.stdlib_module_names:
        return True
    file = getattr(sys.modules.get(top), "__file__", None)
    return file is not None and os.path.realpath(file).startswith(_FOLDERS)


@functools.lru_cache(maxsize=1000)
def _version(module: str) -> str:
    top = module.partition(".")[0]
    if top in sys.builtin_module_names or top in sys.stdlib_module_names:
        return "{}.{}".format(*sys.version_info)
    return str(getattr(sys.modules.get(top), "__version__", ""))
