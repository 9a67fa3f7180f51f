"""Pickling as `shoal.wire.pickling` does it, with the arguments of the standard library's."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Collection
from typing import Any

from shoal.wire import pickling

__all__ = ["HIGHEST_PROTOCOL", "dumps", "loads"]

HIGHEST_PROTOCOL = pickle.HIGHEST_PROTOCOL


def dumps(
    x: Any,
    *,
    buffer_callback: Callable[[pickle.PickleBuffer], Any] | None = None,
    protocol: int = HIGHEST_PROTOCOL,
) -> bytes:
    """Pickle a value; lambdas and what the main module defines are pickled by value.

    Parameters
    ----------
    x : object
        The value.
    buffer_callback : callable, optional
        Called with each buffer, which is then not in the pickle; as for `pickle.dumps`.
    protocol : int
        Of at least 5, so that there are buffers.

    Examples
    --------
    >>> loads(dumps(lambda x: x + 1))(2)
    3
    """
    if protocol < 5:
        raise ValueError(f"protocol={protocol} has no buffers; the lowest that does is 5")
    if buffer_callback is None:
        return pickling.dumps_bytes(x)
    blob = pickling.dumps(x, small=0)
    # Every size counts as large here, so the pickle itself is the first of the buffers.
    data, *frames = [buffer.data for buffer in blob.buffers]
    for frame in frames:
        buffer_callback(pickle.PickleBuffer(frame))
    return bytes(data)


def loads(x: Any, *, buffers: Collection[Any] = ()) -> Any:
    """Unpickle what `dumps` made, with the buffers that it gave away."""
    return pickle.loads(x, buffers=buffers)
