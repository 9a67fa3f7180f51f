"""The folders of workers' and schedulers' files. Folders of workers that were killed are swept by
the next one.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import tempfile

import psutil

from shoal import config
from shoal._base.private_folder import fresh_folder, own_space

__all__ = ["make_directory", "scratch_space"]

_SPACE = "dask-scratch-space"
_PREFIX = "worker-"


def scratch_space(given: str | None = None) -> str:
    """Return the folder for all files of this user's clusters; it is made where it is not there.

    Parameters
    ----------
    given : str, optional
        Where to make it; by default ``distributed.worker.local-directory``, then dask's
        ``temporary-directory``, then the system's. A folder of that name itself is used as it is.
    """
    base = (
        given
        or config.get_optional_str("distributed.worker.local-directory")
        or config.get_optional_str("temporary-directory")
    )
    if base is None:
        owner = f"-{os.getuid()}" if hasattr(os, "getuid") else ""
        return own_space(tempfile.gettempdir(), f"{_SPACE}{owner}")
    base = os.path.abspath(base)
    if os.path.basename(base) == _SPACE:
        base = os.path.dirname(base)
    return own_space(base, _SPACE)


def make_directory(given: str | None = None) -> str:
    """Make a new folder that only this user can enter, in the scratch space; return its path.

    Parameters
    ----------
    given : str, optional
        Where the scratch space is.
    """
    base = scratch_space(given)
    _sweep(base)
    # Another host that shares the folder has other processes under the same numbers.
    return fresh_folder(base, f"{_PREFIX}{_host()}-{os.getpid()}-")


def _sweep(base: str) -> None:
    """Remove the folders of workers of this host and user that are no more."""
    name = re.compile(rf"{_PREFIX}{re.escape(_host())}-(\d+)-\w+\Z")
    with contextlib.suppress(OSError):
        for entry in os.scandir(base):
            found = name.match(entry.name)
            if found is None or psutil.pid_exists(int(found.group(1))):
                continue
            with contextlib.suppress(OSError):
                if not hasattr(os, "getuid") or entry.stat().st_uid == os.getuid():
                    shutil.rmtree(entry.path, ignore_errors=True)


def _host() -> str:
    return re.sub(r"\W", "_", socket.gethostname())
