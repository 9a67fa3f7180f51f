"""Which processes can open each other's memory: those whose `host_identity` is the same.

An IP address does not tell: containers of one host have their own, and two hosts may have the same
private one.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from hashlib import blake2b

from shoal import config

__all__ = ["AVAILABLE", "host_identity", "share_from"]

AVAILABLE = sys.platform == "linux" and hasattr(os, "memfd_create")
"""Whether this system has what is needed."""

_BOOT_ID = "/proc/sys/kernel/random/boot_id"


def share_from() -> int | None:
    """Return the size in bytes from which values are shared; None when none are."""
    return config.get_optional_bytes("shoal.shared-memory.from") if AVAILABLE else None


def host_identity() -> str | None:
    """Return what is equal in all processes that can open each other's memory.

    It says which boot of which kernel this is, which processes and users are seen, and as whom.
    None when nothing is shared: by configuration, or because the system does not have it.
    """
    return None if share_from() is None else _identity(os.getpid())


@cache
def _identity(pid: int) -> str | None:  # asked anew in a forked child: it may have moved
    try:
        with open(_BOOT_ID, "rb") as file:
            boot = file.read()
        spaces = [os.readlink(f"/proc/self/ns/{kind}") for kind in ("pid", "user")]
        # Another /proc than that of our own processes would name others by the same numbers.
        if os.readlink("/proc/self") != str(pid):
            return None
    except OSError:
        return None
    text = f"{boot!r} {spaces} {os.geteuid()} {os.getegid()}"
    return blake2b(text.encode(), digest_size=12).hexdigest()
