"""Modules that are imported when something of them is first used.

For what a client or worker can do but seldom does: each module that is loaded at the start costs a
quarter of a millisecond of every program's first result. Type checkers and the tests of the layers
see an import as usual:

    if TYPE_CHECKING:
        from shoal.client.admin import recreate
    else:
        recreate = later("shoal.client.admin.recreate")
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

__all__ = ["later"]


class _Later(ModuleType):
    """Stands for a module until one of its names is looked up."""

    def __getattr__(self, name: str) -> Any:
        value = getattr(importlib.import_module(self.__name__), name)
        setattr(self, name, value)  # found without this from now on
        return value


def later(name: str) -> Any:
    """Return what imports a module when it is first used.

    Examples
    --------
    >>> json = later("json")
    >>> json.dumps([1])
    '[1]'
    """
    return _Later(name)
