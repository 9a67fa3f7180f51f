"""How large values are: `dask.sizeof`, made safe, and the bytes of buffers."""

from __future__ import annotations

import logging
from typing import Any

from dask.sizeof import sizeof

__all__ = ["nbytes", "safe_sizeof", "sizeof"]

logger = logging.getLogger("shoal.compat")


def safe_sizeof(obj: Any, default_size: float = 1e6) -> int:
    """Return the size of a value in bytes, or a default when finding it out fails."""
    try:
        return int(sizeof(obj))
    except Exception:
        logger.warning("Sizeof calculation failed; %s bytes are assumed", default_size)
        logger.debug("of a %s", type(obj).__name__, exc_info=True)
        return int(default_size)


def nbytes(frame: Any) -> int:
    """Return the number of bytes in a buffer.

    Examples
    --------
    >>> nbytes(memoryview(b"12345678").cast("I"))
    8
    """
    if isinstance(frame, (bytes, bytearray)):
        return len(frame)
    try:
        return int(frame.nbytes)
    except AttributeError:
        return len(frame)
