"""Values between workers, and between workers and clients: pickled out, unpickled in.

Between two ends in one process (`inproc`) values are handed over as they are.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

from shoal import config
from shoal.comm.base import Comm
from shoal.comm.inproc import InProc
from shoal.shared_memory import Pool, SharedBlob
from shoal.wire.blob import Blob
from shoal.wire.pickling import dumps, loads
from shoal.wire.serialize.wrappers import Serialize, Serialized
from shoal.wire.unsendable import Unsendable, dumps_or_why
from shoal.worker.imports import IMPORTS
from shoal.worker.unreadable import Unreadable

__all__ = ["Packer", "unpack_values"]

logger = logging.getLogger("shoal.worker")


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

    async def share(self, value: Any, least: int, pool: Pool) -> SharedBlob | None:
        """Copy a value into shared memory; None where fewer bytes than `least` would be shared.

        A value that cannot be copied is None too: it goes the other way, which tells why.
        """
        async with self._room:
            return await asyncio.to_thread(_share, value, least, pool)


def _share(value: Any, least: int, pool: Pool) -> SharedBlob | None:
    try:
        blob = dumps(value)
        if SharedBlob.size(blob) < least:
            return None
        return SharedBlob.write(blob, pool)
    except Exception as error:
        logger.info("a value is not shared, but sent: %s", error)
        return None


def _pack(values: dict[str, Any]) -> dict[str, Any]:
    return {key: dumps_or_why(value) for key, value in values.items()}


async def unpack_values(data: dict[str, Any]) -> dict[str, Any]:
    """Return the values of an answer; one that cannot be unpickled is an `Unreadable`."""
    size = sum(value.nbytes() for value in data.values() if type(value) is Blob)
    if IMPORTS.busy or size > config.get_bytes("distributed.comm.offload"):
        return await asyncio.to_thread(_unpack, data.items())
    return _unpack(data.items())


def _unpack(items: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    with IMPORTS.alone():
        for key, value in items:
            try:
                if type(value) is Blob:
                    value = loads(value)
                elif type(value) is Serialized:
                    value = value.deserialize()
                if type(value) is Unsendable:
                    value = Unreadable(key, value.error(), "be sent by the worker that has it")
            except Exception as error:
                value = Unreadable(key, error)
            values[key] = value
    return values
