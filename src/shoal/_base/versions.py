"""The versions of Python, of the system, and of packages in this process."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

__all__ = ["own_versions"]

_PACKAGES = (
    "shoal",
    "dask",
    "msgspec",
    "cloudpickle",
    "click",
    "tornado",
    "numpy",
    "pandas",
    "lz4",
)


def own_versions(more: Iterable[str] = ()) -> dict[str, Any]:
    """Return the versions of Python, of this system, and of the packages that peers must share.

    Parameters
    ----------
    more : iterable of str
        Other packages.
    """
    packages: dict[str, str | None] = {"python": platform.python_version()}
    for name in (*_PACKAGES, *more):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = None
    host = {
        "python": sys.version,
        "python-bits": 64 if sys.maxsize > 2**32 else 32,
        "OS": platform.system(),
        "OS-release": platform.release(),
        "machine": platform.machine(),
        "byteorder": sys.byteorder,
    }
    return {"host": host, "packages": packages}
