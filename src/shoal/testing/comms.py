"""Checks for authors of transports."""

from __future__ import annotations

import asyncio
from typing import Any

from shoal._base.within import within
from shoal.comm.base import Comm, connect, listen
from shoal.wire.serialize import Serialized, to_serialize

__all__ = ["check_deserialize"]

_SIZE = 300_000  # so large that it travels in a frame of its own


async def check_deserialize(addr: str) -> None:
    """Check that a transport opens marked parts of messages where it shall, and only there.

    Parameters
    ----------
    addr : str
        An address to listen on, with which scheme it is.
    """
    value = {"x": [bytes(_SIZE), {"y": 1}]}
    for side in ("reader opens", "reader keeps"):
        opens = side == "reader opens"
        received = await within(_send(addr, to_serialize(value), opens), 10)
        if opens:
            assert received == value, f"the {side}: got {type(received)}"
        else:
            assert isinstance(received, Serialized), f"the {side}: got {type(received)}"
            assert received.deserialize() == value
            # A value that was kept pickled can be handed on to a reader that unpickles it.
            again = await within(_send(addr, received, True), 10)
            assert again == value


async def _send(addr: str, value: Any, opens: bool) -> Any:
    """Send a value through a connection, and return what a reader gets."""
    arrived: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def handle(comm: Comm) -> None:
        try:
            message = await comm.read()
            arrived.set_result(message["value"])
        finally:
            await comm.close()

    async with listen(addr, handle, deserialize=opens) as listener:
        comm = await connect(listener.contact_address, deserialize=opens)
        try:
            await comm.write({"op": "take", "value": value})
            return await arrived
        finally:
            await comm.close()
