"""The folder of a worker's files. Those of workers that were killed are swept by the next one."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import tempfile

import psutil

from shoal import config

__all__ = ["make_directory"]

_PREFIX = "shoal-worker-"


def make_directory(given: str | None = None) -> str:
    """Make a new folder that only this user can enter, and return its path.

    Parameters
    ----------
    given : str, optional
        Where to make it; by default ``distributed.worker.local-directory``, then dask's
        ``temporary-directory``, then the system's.
    """
    base = (
        given
        or config.get_optional_str("distributed.worker.local-directory")
        or config.get_optional_str("temporary-directory")
        or tempfile.gettempdir()
    )
    os.makedirs(base, exist_ok=True)
    _sweep(base)
    # Another host that shares the folder has other processes under the same numbers.
    return tempfile.mkdtemp(prefix=f"{_PREFIX}{_host()}-{os.getpid()}-", dir=base)  # mode 0700


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
