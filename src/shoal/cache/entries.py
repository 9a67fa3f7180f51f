"""One result as bytes: what it is, a checksum, and its pickle with large buffers beside.

Layout: a magic line, the length of the header in 4 bytes, the header (msgpack), the parts. A reader
believes nothing that the checksum does not confirm.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from shoal.wire.blob import Blob, Buffer
from shoal.wire.pickling import dumps, loads

__all__ = ["About", "BadEntry", "about", "pack_entry", "unpack_entry", "value_of"]

MAGIC = b"shoal-cache-1\n"
_START = len(MAGIC) + 4


class BadEntry(ValueError):
    """Bytes that are no entry, or not the whole of one."""


class About(msgspec.Struct):
    """The description of an entry, without its value."""

    name: str
    function: str
    created: float  # seconds since the epoch
    version: str
    sizes: list[int]  # of the pickle and of its buffers
    digest: bytes  # of all of these

    @property
    def nbytes(self) -> int:
        """Bytes of the value."""
        return sum(self.sizes)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(About).decode


def pack_entry(name: str, function: str, version: str, created: float, value: Any) -> bytearray:
    """Return a result as bytes; raises what pickling raises."""
    blob = dumps(value)
    parts: list[Any] = [blob.data, *(buffer.data for buffer in blob.buffers)]
    sizes = [memoryview(part).nbytes for part in parts]
    head = _encode(About(name, function, created, version, sizes, _digest(parts)))
    whole = bytearray(MAGIC)
    whole += len(head).to_bytes(4, "little")
    whole += head
    for part in parts:
        whole += memoryview(part).cast("B")
    return whole


def about(data: bytes | memoryview) -> About:
    """Return what an entry says of itself; its value is not looked at.

    Raises
    ------
    BadEntry
        When it is none.
    """
    if bytes(data[: len(MAGIC)]) != MAGIC:
        raise BadEntry("it does not begin as an entry does")
    length = int.from_bytes(data[len(MAGIC) : _START], "little")
    try:
        return _decode(data[_START : _START + length])
    except msgspec.DecodeError as error:
        raise BadEntry(f"its header cannot be read: {error}") from None


def unpack_entry(data: bytes | memoryview, name: str | None = None) -> tuple[About, bytes]:
    """Return what an entry is, and its parts, after a look at the checksum.

    Raises
    ------
    BadEntry
        When it is not whole, or of another name.
    """
    found = about(data)
    if name is not None and found.name != name:
        raise BadEntry(f"it is of {found.name}, not of {name}")
    length = int.from_bytes(data[len(MAGIC) : _START], "little")
    body = data[_START + length :]
    if len(body) != found.nbytes or _digest([body]) != found.digest:
        raise BadEntry("its checksum does not fit: it was cut off, or changed")
    return found, bytes(body)


def value_of(found: About, body: bytes) -> Any:
    """Return the value of an entry; raises what unpickling raises."""
    view = memoryview(body)
    parts, start = [], 0
    for size in found.sizes:
        parts.append(view[start : start + size])
        start += size
    if len(parts) == 1:
        return pickle.loads(parts[0])
    # Buffers of their own: a value may be changed in place, and bytes cannot be.
    own = [Buffer(bytearray(part)) for part in parts[1:]]
    return loads(Blob(bytes(parts[0]), own))


def _digest(parts: Sequence[Any]) -> bytes:
    digest = blake2b(digest_size=16)
    for part in parts:
        digest.update(part)
    return digest.digest()
