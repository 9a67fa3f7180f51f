"""The modules that stand under the name `distributed`: their names are looked up in the table."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any

import shoal.config  # noqa: F401  (importing `distributed` brings its configuration)
from shoal.compat.table import TABLE

__all__ = ["Facade", "facade", "names_of"]

_facades: dict[str, Facade] = {}
_lock = threading.RLock()


class Facade(ModuleType):
    """One module of the table. There is one object for each path in a process."""

    def __init__(self, path: str) -> None:
        super().__init__(path, f"What shoal offers under the name {path}.")
        self.__file__ = f"<shoal: {path}>"
        if path == "distributed" or any(each.startswith(path + ".") for each in TABLE):
            self.__path__: list[str] = []  # a package: its modules are found by shoal's finder

    def __getattr__(self, name: str) -> Any:
        path = self.__name__
        if name == "__all__":
            if self.__dict__.pop("_skip_star", False):
                return []
            return [each for each in names_of(path) if _is_public(each) and _exists(path, each)]
        if f"{path}.{name}" in TABLE and name not in names_of(path):
            return facade(f"{path}.{name}")
        value = _look_up(path, name)
        self.__dict__[name] = value
        return value

    def skip_star_import(self) -> None:
        """Give no names to the next ``from ... import *``, which would load them all."""
        self.__dict__["_skip_star"] = True

    def __setattr__(self, name: str, value: Any) -> None:
        # Python sets a submodule as attribute of its package when it is imported. Where a function
        # has the same name (`distributed.protocol.serialize`), the function is what people mean.
        if isinstance(value, Facade) and name in names_of(self.__name__):
            return
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        path = self.__name__
        below = {each[len(path) + 1 :] for each in TABLE if each.startswith(path + ".")}
        return sorted({*names_of(path), *(each for each in below if "." not in each)})

    def __repr__(self) -> str:
        return f"<module {self.__name__!r} (shoal)>"

    def __reduce__(self) -> tuple[Callable[[str], Facade], tuple[str]]:
        # Functions that refer to it are pickled; the switch may be off where they are unpickled.
        return facade, (self.__name__,)


def facade(path: str) -> Facade:
    """Return the module that stands at a path of the table.

    Raises
    ------
    ModuleNotFoundError
        When the table has no such path.
    """
    if path not in TABLE:
        raise ModuleNotFoundError(f"No module named {path!r} (shoal has none)", name=path)
    with _lock:
        if path not in _facades:
            _facades[path] = Facade(path)
        return _facades[path]


@cache
def names_of(path: str) -> dict[str, tuple[str, str]]:
    """Return all names at a path, with module and name at home; those of ``*`` come last."""
    found: dict[str, tuple[str, str]] = {}
    starred: list[str] = []
    for home, words in TABLE[path].items():
        for word in words.split():
            if word == "*":
                starred.append(home)
            else:
                new, _, old = word.partition("=")
                found[new] = (home, old or new)
    for home in starred:
        for name in _all_of(home):
            found.setdefault(name, (home, name))
    return found


def _all_of(home: str) -> list[str]:
    try:
        return list(getattr(importlib.import_module(home), "__all__", ()))
    except ModuleNotFoundError as error:
        if error.name is None or not home.startswith(error.name):
            raise
        return []  # its time has not come yet


def _look_up(path: str, name: str) -> Any:
    if name not in names_of(path):
        raise AttributeError(f"module {path!r} (shoal) has no attribute {name!r}")
    home, old = names_of(path)[name]
    try:
        module = importlib.import_module(home)
        return module if old == "." else getattr(module, old)
    except ModuleNotFoundError as error:
        if error.name is None or not home.startswith(error.name):
            raise
    except AttributeError:
        pass
    raise AttributeError(f"{path}.{name} is not offered by this version of shoal")


def _exists(path: str, name: str) -> bool:
    try:
        _look_up(path, name)
    except AttributeError:
        return False
    return True


def _is_public(name: str) -> bool:
    return not name.startswith("_")
