"""Ready-made plugins."""

from __future__ import annotations

from shoal.plugins.builtin.environ import Environ
from shoal.plugins.builtin.install import CondaInstall, PipInstall
from shoal.plugins.builtin.upload import UploadDirectory, UploadFile

__all__ = ["CondaInstall", "Environ", "PipInstall", "UploadDirectory", "UploadFile"]
