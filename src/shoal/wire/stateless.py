"""Functions that cannot carry state from one call to the next, recognised by their parts.

A worker unpickles such a function once and calls that one object for all its tasks, on all its
threads. Of everything else each task has a copy of its own: a bound method may count, a closure may
collect, a generator of random numbers goes on from where it stood.

An object that is not recognised is taken to carry state. That costs an unpickling for each task,
no more.
"""

from __future__ import annotations

import collections
import datetime
import decimal
import dis
import enum
import functools
import operator
import pathlib
import re
import sys
import types
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any

__all__ = [
    "global_names",
    "is_importable",
    "is_stateless",
    "parts_of_partial",
    "register_parts",
    "values_in_use",
]

_IMMUTABLE: set[type] = {
    *(int, float, complex, bool, str, bytes, type(None), type(...), type(NotImplemented)),
    *(range, re.Pattern, uuid.UUID, decimal.Decimal, datetime.timedelta),
    *(datetime.date, datetime.time, datetime.datetime, datetime.timezone),
    *(pathlib.PurePosixPath, pathlib.PureWindowsPath, pathlib.PosixPath, pathlib.WindowsPath),
    *(types.WrapperDescriptorType, types.MethodDescriptorType, types.MemberDescriptorType),
    *(types.GetSetDescriptorType, types.ClassMethodDescriptorType),
    *(types.GenericAlias, types.UnionType),
}
# Of packages that are perhaps not there; by module and name.
_IMMUTABLE_NAMES = {
    ("fractions", "Fraction"),
    ("dask.utils", "methodcaller"),
    ("pandas._libs.tslibs.timestamps", "Timestamp"),
    ("pandas._libs.tslibs.timedeltas", "Timedelta"),
    ("pandas._libs.tslibs.nattype", "NaTType"),
}
_GETTERS = (operator.itemgetter, operator.attrgetter, operator.methodcaller)

# Code that reaches for one of these names may change what belongs to it in ways not seen here.
_SUSPICIOUS = frozenset(
    (
        *("globals", "exec", "eval", "setattr", "delattr", "vars", "keywords"),
        *("cell_contents", "currentframe", "_getframe", "f_back", "f_globals", "f_locals"),
        *("__dict__", "__setattr__", "__delattr__", "__globals__", "__closure__"),
        *("__code__", "__defaults__", "__kwdefaults__", "__annotations__", "__builtins__"),
        *("__wrapped__", "__func__", "__subclasses__", "__mro__", "__bases__"),
    )
)
_OF_CLASS = frozenset(("type", "__class__"))  # how code of an instance gets at its class

# Entries in the dictionary of every class; its methods do not work with them.
_CLASS_NAMES = frozenset(
    (
        *("__module__", "__doc__", "__dict__", "__weakref__", "__annotations__"),
        *("__annotate__", "__annotate_func__", "__annotations_cache__", "__qualname__"),
        *("__slots__", "__slotnames__", "__match_args__", "__parameters__"),
        *("__orig_bases__", "__abstractmethods__", "_abc_impl", "__dataclass_fields__"),
        *("__dataclass_params__", "__static_attributes__", "__firstlineno__"),
        *("__type_params__", "_field_defaults"),
    )
)

# The methods that `collections.namedtuple` makes; a class with fields may look different.
_NAMED_TUPLE = frozenset(
    ("_make", "_replace", "_asdict", "__new__", "__getnewargs__", "__replace__")
)
_FIELD = type(vars(collections.namedtuple("_Named", "field"))["field"])

_OP = dis.opmap
_STORES = frozenset(_OP[name] for name in ("STORE_ATTR", "DELETE_ATTR"))
_REBINDS = frozenset(_OP[name] for name in ("STORE_GLOBAL", "DELETE_GLOBAL"))
_CELLS = frozenset(_OP[name] for name in ("STORE_DEREF", "DELETE_DEREF"))


def is_stateless(value: Any) -> bool:
    """Whether no call can leave anything behind in a value that a later call would find.

    True for what other processes find by its name (what a module holds belongs to the process), for
    immutable values and containers of such, and for functions by value whose closure, defaults and
    globals hold nothing else, and which neither rebind those nor change functions or classes that
    travel with them.

    Examples
    --------
    >>> is_stateless(sum), is_stateless((1, "two")), is_stateless([].append)
    (True, True, False)
    """
    look = _Look()
    try:
        return look.at(value) and not (look.changes and look.by_value)
    except Exception:  # users' objects may do anything when they are looked at
        return False


def register_parts(cls: type, parts: Callable[[Any], Iterable[Any]]) -> None:
    """Have objects of a class told by their parts: they carry state if one of these does."""
    _parts_of[cls] = parts


def is_importable(value: Any) -> bool:
    """Whether other processes find this very object by its module and name."""
    module = getattr(value, "__module__", None)
    if type(module) is not str or module == "__main__":
        return False
    found: Any = sys.modules.get(module)
    for part in value.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is value


@functools.lru_cache(maxsize=1000)
def global_names(code: types.CodeType) -> tuple[str, ...]:
    """Names that code, and code nested in it, may look up; some are only attributes."""
    names = dict.fromkeys(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names.update(dict.fromkeys(global_names(constant)))
    return tuple(names)


class _Look:
    """One look at a value and at all that it refers to."""

    __slots__ = ("_met", "by_value", "changes")

    def __init__(self) -> None:
        self._met: dict[int, Any] = {}  # kept alive: told apart by address
        self.changes = False  # some code sets attributes of what may not be its own
        self.by_value = False  # there are functions or classes by value that code can get hold of

    def at(self, value: Any, held: bool = False) -> bool:
        """Whether a value cannot carry state; `held` when code refers to it by a name."""
        kind = type(value)
        if kind in _IMMUTABLE:
            return True
        if id(value) in self._met:
            self.by_value |= held and kind is types.FunctionType and not is_importable(value)
            return True  # if it is not so, that is found where it was met first
        self._met[id(value)] = value
        if kind is types.FunctionType:
            return self._function(value, held)
        if isinstance(value, type):
            return is_importable(value) or self._class(value)
        parts = _parts_of.get(kind)
        if parts is not None:
            return self._all(parts(value), held)
        if kind in (types.BuiltinFunctionType, types.MethodWrapperType):
            owner = getattr(value, "__self__", None)
            return type(owner) is types.ModuleType or self.at(owner)
        if kind is types.ModuleType:
            return sys.modules.get(value.__name__) is value
        return _is_immutable(kind, value) or _is_pickled_as_its_name(value)

    def _all(self, values: Iterable[Any], held: bool = True) -> bool:
        return all(self.at(value, held) for value in values)

    def _function(self, func: types.FunctionType, held: bool, of_class: bool = False) -> bool:
        if is_importable(func):
            return True
        self.by_value |= held
        code = func.__code__
        if not _SUSPICIOUS.isdisjoint(global_names(code)) or _rebinds(code, code.co_freevars):
            return False
        self.changes = self.changes or _changes(code, of_class)
        return self._all(_referred(func))

    def _class(self, cls: type) -> bool:
        self.by_value = True
        if issubclass(cls, type):
            return False
        named_tuple = cls.__bases__ == (tuple,) and "_make" in vars(cls)
        for name, value in vars(cls).items():
            kind = type(value)
            if name in _CLASS_NAMES or (named_tuple and (name in _NAMED_TUPLE or kind is _FIELD)):
                continue
            if name == "__repr__" and "__dataclass_params__" in vars(cls):
                continue  # it keeps the ids of objects that are being shown, and nothing else
            if kind is types.FunctionType:
                if id(value) not in self._met:
                    self._met[id(value)] = value
                    if not self._function(value, held=False, of_class=True):
                        return False
            elif kind in (classmethod, staticmethod):
                if not self.at(value.__func__):
                    return False
            elif kind is property:
                for part in (value.fget, value.fset, value.fdel):
                    if type(part) is types.FunctionType and not self._function(part, False, True):
                        return False
            elif not self.at(value):
                return False
        return self._all(cls.__bases__)


def values_in_use(func: types.FunctionType) -> Iterator[Any]:
    """Values of the globals, the variables of enclosing functions, and the defaults in use."""
    variables = func.__globals__
    for name in global_names(func.__code__):
        if name in variables:
            yield variables[name]
    for cell in func.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not assigned yet
            yield None
    yield from func.__defaults__ or ()
    yield from (func.__kwdefaults__ or {}).values()


def _referred(func: types.FunctionType) -> Iterator[Any]:
    """`values_in_use`, and the values of a function's attributes."""
    yield from values_in_use(func)
    yield from func.__dict__.values()


def _has(code: types.CodeType, operations: frozenset[int]) -> bool:
    return not operations.isdisjoint(code.co_code[::2])


def _nested(code: types.CodeType) -> Iterator[types.CodeType]:
    return (constant for constant in code.co_consts if isinstance(constant, types.CodeType))


def _rebinds(code: types.CodeType, free: Iterable[str]) -> bool:
    """Whether code assigns to globals, or to these variables of enclosing functions."""
    if _has(code, _REBINDS):
        return True
    if free and _has(code, _CELLS):
        for step in dis.get_instructions(code):
            if step.opcode in _CELLS and step.argval in free:
                return True
    return any(
        _rebinds(inner, [name for name in free if name in inner.co_freevars])
        for inner in _nested(code)
    )


def _changes(code: types.CodeType, of_class: bool) -> bool:
    """Whether code sets attributes of what may be a function or a class.

    Methods that set those of the instance do not: it was made by the task, or is state of its own.
    """
    if _has(code, _STORES) and not (of_class and _only_its_own(code)):
        return True
    return any(_changes(inner, False) for inner in _nested(code))


def _only_its_own(code: types.CodeType) -> bool:
    """Whether code sets attributes of its first argument only, which it does not rebind."""
    if not code.co_argcount or not _OF_CLASS.isdisjoint(code.co_names):
        return False
    own = code.co_varnames[0]
    steps = [step for step in dis.get_instructions(code) if step.opname != "CACHE"]
    for i, step in enumerate(steps):
        if step.opname.startswith(("STORE_FAST", "DELETE_FAST")) and _last(step) == own:
            return False
        if step.opcode in _STORES and _owner(steps, i) != own:
            return False
    return True


def _owner(steps: list[dis.Instruction], i: int) -> str | None:
    """Return the local variable whose attribute instruction `i` sets; None when not sure."""
    before = steps[i - 1]
    if before.opname.startswith("LOAD_FAST"):
        return _last(before)
    if before.opname == "SWAP":  # `own.name += value` loads the owner, copies it, loads the name
        for j in range(i - 2, 1, -1):
            if steps[j].opname == "LOAD_ATTR" and steps[j].argval == steps[i].argval:
                if steps[j - 1].opname == "COPY" and steps[j - 2].opname.startswith("LOAD_FAST"):
                    return _last(steps[j - 2])
                return None
    return None


def _last(step: dis.Instruction) -> str | None:
    """Return the variable that is on top of the stack after an instruction for fast variables."""
    name = step.argval
    if isinstance(name, tuple):  # two in one
        name = name[-1]
    return name if isinstance(name, str) else None


def _is_immutable(kind: type, value: Any) -> bool:
    if isinstance(value, enum.Enum):
        return is_importable(kind)
    if (kind.__module__, kind.__name__) in _IMMUTABLE_NAMES:
        return True
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return False
    if isinstance(value, numpy.generic):
        return not isinstance(value, (numpy.void, numpy.object_))
    if isinstance(value, numpy.dtype):
        return not value.hasobject
    return isinstance(value, numpy.ufunc) and getattr(numpy, value.__name__, None) is value


def _is_pickled_as_its_name(value: Any) -> bool:
    return (
        hasattr(value, "__qualname__")
        and is_importable(value)
        and isinstance(value.__reduce_ex__(4), str)
    )


def parts_of_partial(value: functools.partial[Any]) -> Iterator[Any]:
    """Return the parts of a partial."""
    yield value.func
    yield from value.args
    yield from value.keywords.values()
    yield from value.__dict__.values()


def _of_method(value: types.MethodType) -> Iterator[Any]:
    yield value.__func__
    yield value.__self__


def _of_slice(value: slice) -> Iterator[Any]:
    return iter((value.start, value.stop, value.step))


def _of_reduced(value: Any) -> Any:
    """Parts of getters and callers of `operator`: what they are made from again."""
    made = value.__reduce__()
    return made[1] if isinstance(made[0], type) else (made[0], *made[1])


def _of_lru_cache(value: Any) -> Iterator[Any]:
    # It remembers results: the user who wrapped the function takes it to be pure.
    yield value.__wrapped__


_parts_of: dict[type, Callable[[Any], Iterable[Any]]] = {
    tuple: iter,
    frozenset: iter,
    slice: _of_slice,
    functools.partial: parts_of_partial,
    types.MethodType: _of_method,
    functools._lru_cache_wrapper: _of_lru_cache,
    **dict.fromkeys(_GETTERS, _of_reduced),
}
