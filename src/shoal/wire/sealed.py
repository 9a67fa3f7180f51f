"""Values that stay pickled until they are used: each use opens a copy of its own."""

from __future__ import annotations

import mmap
import pickle
from typing import Any

from shoal.wire.blob import Blob, Buffer
from shoal.wire.pickling import dumps, loads

__all__ = ["Sealed", "loads_own", "loads_received"]


class Sealed:
    """A value that each user gets a copy of, as it was when it was pickled.

    Parameters
    ----------
    value : object
        Pickled when this is: errors come from there.

    Examples
    --------
    >>> sealed = pickle.loads(pickle.dumps(Sealed([1, 2])))
    >>> sealed.open().append(3)
    >>> sealed.open()
    [1, 2]
    """

    __slots__ = ("_blob", "_value")

    def __init__(self, value: Any) -> None:
        self._value = value
        self._blob: Blob | None = None

    def open(self) -> Any:
        """Return a copy of the value that nobody else has."""
        return loads_own(self._sealed())

    def _sealed(self) -> Blob:
        blob = self._blob
        if blob is None:
            blob = self._blob = dumps(self._value)
            self._value = None
        return blob

    def __reduce__(self) -> Any:
        blob = self._sealed()
        buffers = [pickle.PickleBuffer(buffer.data) for buffer in blob.buffers]
        return _restore, (bytes(blob.data), buffers)

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + (0 if self._blob is None else self._blob.nbytes())

    def __repr__(self) -> str:
        return "<Sealed value>" if self._blob is None else f"<Sealed {self._blob!r}>"


def _restore(data: bytes, buffers: list[Any]) -> Sealed:
    sealed = Sealed(None)
    sealed._blob = Blob(data, [Buffer(buffer) for buffer in buffers])
    return sealed


def loads_own(blob: Blob) -> Any:
    """Unpickle a value that shares no memory with the blob: it may be opened again."""
    buffers = blob.buffers
    if not buffers:
        return loads(blob)
    kept = 0 if len(blob.data) else 1  # the pickle itself is not changed
    return loads(Blob(blob.data, [*buffers[:kept], *map(_copy, buffers[kept:])]))


def loads_received(blob: Blob) -> Any:
    """Unpickle a value for the only user of a message.

    Bytes that came through a socket are in memory of their own. Between two ends in one process
    buffers are those of the sender's arrays: they are copied.
    """
    buffers = blob.buffers
    if all(type(memoryview(buffer.data).obj) in _RECEIVED for buffer in buffers):
        return loads(blob)
    return loads_own(blob)


_RECEIVED = (bytearray, mmap.mmap)  # into which connections read


def _copy(buffer: Buffer) -> Buffer:
    return Buffer(bytearray(buffer.data))
