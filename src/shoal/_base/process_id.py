"""A name for this process that no other has, on this host or another."""

from __future__ import annotations

import os
import uuid

__all__ = ["process_id"]

_PROCESS = uuid.uuid4().hex


def process_id() -> str:
    """Return the name of this process."""
    return f"{_PROCESS}-{os.getpid()}"  # children that are forks share the first part
