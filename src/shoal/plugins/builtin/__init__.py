"""Ready-made plugins; each is loaded when somebody asks for it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shoal.plugins.builtin.chaos import KillWorker
    from shoal.plugins.builtin.environ import Environ
    from shoal.plugins.builtin.install import CondaInstall, InstallPlugin, PipInstall
    from shoal.plugins.builtin.output import ForwardOutput
    from shoal.plugins.builtin.upload import SchedulerUploadFile, UploadDirectory, UploadFile

__all__ = [
    "CondaInstall",
    "Environ",
    "ForwardOutput",
    "InstallPlugin",
    "KillWorker",
    "PipInstall",
    "SchedulerUploadFile",
    "UploadDirectory",
    "UploadFile",
]

_WHERE = {
    "CondaInstall": "install",
    "Environ": "environ",
    "ForwardOutput": "output",
    "InstallPlugin": "install",
    "KillWorker": "chaos",
    "PipInstall": "install",
    "SchedulerUploadFile": "upload",
    "UploadDirectory": "upload",
    "UploadFile": "upload",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
    globals()[name] = value
    return value
