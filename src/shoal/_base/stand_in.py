"""The name `distributed` where nothing of that name is installed: it is there while shoal computes.

dask looks for it there: for locks between processes, for what `await x` waits for, for a shuffle.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["ask_dask_again", "is_given_the_name", "stand_in", "step_back"]

_TOP = "distributed"
# Clients know nothing of the name `distributed`: what answers to it builds upon them. So it is
# loaded, by its name, when somebody asks for it.
_SWITCH = "shoal.compat.switch"


class _StandIn(MetaPathFinder):
    """The last of all finders: an installed `distributed` is found before."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        top, _, below = fullname.partition(".")
        if top != _TOP:
            return None
        switch: Any = importlib.import_module(_SWITCH)
        if below and not switch.is_ours(sys.modules.get(_TOP)):
            return None  # a module that the installed one does not have
        spec: ModuleSpec | None = switch.find_module(fullname)
        return spec


_finder = _StandIn()


def is_given_the_name() -> bool:
    """Whether shoal answers to `distributed` here because somebody said so: see the switch."""
    ending = os.path.join("shoal", "compat", "shim")
    return any(folder.endswith(ending) for folder in sys.path)


def stand_in() -> None:
    """Have ``import distributed`` find shoal where it would find nothing."""
    if _finder not in sys.meta_path:
        sys.meta_path.append(_finder)
        ask_dask_again()


def step_back() -> None:
    """Undo `stand_in`; what was imported meanwhile can be used on."""
    if _finder not in sys.meta_path:
        return
    sys.meta_path.remove(_finder)
    switch = sys.modules.get(_SWITCH)
    # A thread that imports it just now has not put anything under the name yet.
    importing = getattr(getattr(switch, "__spec__", None), "_initializing", False)
    if switch is not None and not importing and not switch.is_installed():
        switch.forget_modules()
    ask_dask_again()


def ask_dask_again() -> None:
    """Have dask forget whether there is a `distributed`, which it looks up once."""
    base = sys.modules.get("dask.base")
    if base is not None and hasattr(base, "_DISTRIBUTED_AVAILABLE"):
        setattr(base, "_DISTRIBUTED_AVAILABLE", None)  # noqa: B010  (dask is not annotated)
