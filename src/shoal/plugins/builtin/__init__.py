"""Ready-made plugins."""

from __future__ import annotations

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
