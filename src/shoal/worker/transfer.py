"""Values between workers, and between workers and clients: pickled out, unpickled in.

Between two ends in one process (`inproc`) values are handed over as they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from shoal import config
from shoal.comm.base import Comm
from shoal.comm.inproc import InProc
from shoal.wire.blob import Blob
from shoal.wire.pickling import dumps, loads
from shoal.wire.serialize.wrappers import Serialize, Serialized
from shoal.worker.unreadable import Unreadable

__all__ = ["Packer", "unpack_values"]


class Packer:
    """Makes values ready to leave; long work is done on other threads, of few peers at a time."""

    def __init__(self) -> None:
        self._room = asyncio.Semaphore(
            config.get_int("distributed.worker.connections.incoming", minimum=1)
        )
        self._offload = config.get_bytes("distributed.comm.offload")

    async def pack(self, comm: Comm, values: dict[str, Any], nbytes: int) -> dict[str, Any]:
        """Return values, of so many bytes, as they can be sent over a connection."""
        if isinstance(comm, InProc):
            return {key: Serialize(value) for key, value in values.items()}
        async with self._room:
            if nbytes > self._offload:
                return await asyncio.to_thread(_pack, values)
            return _pack(values)


def _pack(values: dict[str, Any]) -> dict[str, Any]:
    return {key: dumps(value) for key, value in values.items()}


async def unpack_values(data: dict[str, Any]) -> dict[str, Any]:
    """Return the values of an answer; one that cannot be unpickled is an `Unreadable`."""
    size = sum(value.nbytes() for value in data.values() if type(value) is Blob)
    if size > config.get_bytes("distributed.comm.offload"):
        return await asyncio.to_thread(_unpack, data.items())
    return _unpack(data.items())


def _unpack(items: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in items:
        try:
            if type(value) is Blob:
                value = loads(value)
            elif type(value) is Serialized:
                value = value.deserialize()
        except Exception as error:
            value = Unreadable(key, error)
        values[key] = value
    return values
