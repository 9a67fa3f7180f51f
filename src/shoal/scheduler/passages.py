"""Connections that the scheduler passes on, and those that it has workers open to itself.

A worker that nothing can connect to still has its stream: over that it is called (`CallBack`), and
opens a connection. So a passage, or a request of the scheduler's own, reaches it.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING

from shoal._base.routes import Routes
from shoal.comm.addressing import parse_address, parse_host_port
from shoal.comm.frames import FrameProtocol
from shoal.comm.handshake import Passage, refuse, say_passed
from shoal.comm.relay import is_of_other_host, reach, splice, transport_of
from shoal.comm.strangers import clean
from shoal.comm.tcp import tune
from shoal.errors import CommClosedError, HandshakeError
from shoal.wire.messages import CallBack

if TYPE_CHECKING:
    from shoal.comm.rpc import ConnectionPool
    from shoal.scheduler.streams import Streams

__all__ = ["Passages"]

logger = logging.getLogger("shoal.scheduler")

_CALLED = 10.0  # seconds for a worker to call back
_TOKEN = 16


class Passages:
    """The scheduler's `shoal.comm.relay.Relay`, and what passes connections on for others.

    Parameters
    ----------
    streams : Streams
        Of workers.
    pool : ConnectionPool
        The scheduler's own connections, which go around walls from now on.
    """

    def __init__(self, streams: Streams, pool: ConnectionPool) -> None:
        self.routes = Routes()
        pool.connection_args = {**pool.connection_args, "relay": self}
        self._streams = streams
        self._calls: dict[str, tuple[str, asyncio.Future[FrameProtocol]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ends: set[Callable[[], None]] = set()
        self._said = False
        self.count = 0  # of connections that were passed on so far

    # -- for the scheduler's own connections ----------------------------------------

    def leads_to(self, address: str) -> bool:
        """Whether a worker can be called."""
        return address in self._streams and is_of_other_host(address)

    async def open(self, address: str, make_protocol: Callable[[], FrameProtocol]) -> FrameProtocol:
        """Have a worker open a connection to this scheduler."""
        token = secrets.token_hex(_TOKEN)
        coming: asyncio.Future[FrameProtocol] = asyncio.get_running_loop().create_future()
        self._calls[token] = address, coming
        self._streams.send_now(address, [CallBack(token)])
        try:
            async with asyncio.timeout(_CALLED):
                return await coming
        except TimeoutError:
            raise OSError(
                f"the worker at {address} was called over its stream, and did not call back within "
                f"{_CALLED:g} s"
            ) from None
        finally:
            del self._calls[token]

    def say(self, address: str, problem: BaseException) -> None:
        """Tell people, once."""
        level = logging.DEBUG if self._said else logging.WARNING
        self._said = True
        logger.log(
            level,
            "the worker at %s cannot be reached from the scheduler (%s): it is called over its "
            "stream, and opens connections itself; so it is with others behind the same wall",
            address,
            problem,
        )

    # -- for others -------------------------------------------------------------------

    def come(self, protocol: FrameProtocol, passage: Passage) -> None:
        """Take a connection on which a member asked for a passage, or called back."""
        if not passage.token:
            task = protocol.loop.create_task(self._pass_on(protocol, passage.address))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        address, coming = self._calls.get(passage.token, ("", None))
        if coming is None or coming.done() or address != passage.address:
            raise HandshakeError("nobody waits for this connection any more")
        coming.set_result(protocol)

    async def _pass_on(self, protocol: FrameProtocol, address: str) -> None:
        """Open a connection to a worker and pass bytes on between the two."""
        try:
            there = await self._to_worker(address)
        except OSError as error:
            _refuse(protocol, error)
            return
        if protocol.transport is None:
            there.abort()
            return
        say_passed(protocol)
        ends: list[Callable[[], None]] = []

        def closed() -> None:
            self._ends.difference_update(ends)

        ends.append(splice(transport_of(protocol), there, closed))
        self._ends.update(ends)
        self.count += 1

    async def _to_worker(self, address: str) -> asyncio.Transport:
        if address not in self._streams or parse_address(address)[0] != "tcp":
            raise HandshakeError(f"there is no worker at {clean(address)}")
        host, port = parse_host_port(address)
        loop = asyncio.get_running_loop()

        async def straight() -> asyncio.Transport:
            transport, _ = await loop.create_connection(asyncio.Protocol, host, port)
            tune(transport)
            return transport

        async def around() -> asyncio.Transport:
            return transport_of(await self.open(address, _none))

        if not is_of_other_host(address):
            return await straight()
        return await reach(self, address, straight, around)

    def close(self) -> None:
        """End all that is passed on."""
        for task in self._tasks:
            task.cancel()
        for end in list(self._ends):
            end()
        for _, coming in self._calls.values():
            if not coming.done():
                coming.set_exception(CommClosedError("the scheduler is closing"))
                coming.exception()


def _none() -> FrameProtocol:
    raise AssertionError("who calls back has made it")


def _refuse(protocol: FrameProtocol, error: OSError) -> None:
    transport = protocol.transport
    if transport is not None and not protocol.closed:
        refuse(protocol, HandshakeError(str(error)))
        transport.close()
