"""Classes that are given by their module and name, as another process needs them."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["class_of"]


def class_of(named: Any) -> Any:
    """Return the class that is named by ``module.name``; a class is returned as it is.

    Examples
    --------
    >>> class_of("collections.OrderedDict")
    <class 'collections.OrderedDict'>
    """
    if not isinstance(named, str):
        return named
    module, _, name = named.rpartition(".")
    return getattr(importlib.import_module(module), name)
