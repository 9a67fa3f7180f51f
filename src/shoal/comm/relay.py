"""Connections through the scheduler, for processes that cannot reach each other.

A process that cannot reach a peer asks the scheduler for a passage (`handshake.ask_passage`). The
scheduler opens a connection to the peer, or has the peer open one, and passes bytes from one to the
other from then on (`splice`). On it both ends shake hands as on any connection: they prove to each
other who they are, encrypt for each other, and the one in the middle sees neither keys nor data. It
keeps no more of a passage than `_WINDOW` bytes each way.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from shoal._base.routes import Routes
from shoal.comm.addressing import get_address_host
from shoal.comm.frames import FrameProtocol

__all__ = ["Relay", "reach", "splice"]

logger = logging.getLogger("shoal.comm")

T = TypeVar("T")

_WINDOW = 256 * 1024
_PATIENCE = 3.0  # seconds for the straight way: a host that is up answers, however busy it is


class Relay(Protocol):
    """The way around walls of a process."""

    routes: Routes

    def leads_to(self, address: str) -> bool:
        """Whether the peer can be asked for at all."""

    async def open(self, address: str, make_protocol: Callable[[], FrameProtocol]) -> FrameProtocol:
        """Return a connection on which the peer waits for the first word."""

    def say(self, address: str, problem: BaseException) -> None:
        """Tell people that a peer is reached around a wall from now on."""


async def reach(
    relay: Relay,
    address: str,
    straight: Callable[[], Awaitable[T]],
    around: Callable[[], Awaitable[T]],
) -> T:
    """Connect to a peer by the way that leads to it.

    Parameters
    ----------
    relay : Relay
        Knows the ways.
    address : str
        Of the peer.
    straight, around : callable
        Open a connection by either way.
    """
    routes = relay.routes
    loop = asyncio.get_running_loop()
    problem: OSError | None = None
    if routes.straight(address, loop.time()):
        try:
            async with asyncio.timeout(_PATIENCE):
                opened = await straight()
        except OSError as error:  # a TimeoutError, too
            text = str(error) or f"no answer within {_PATIENCE:g} s"
            problem = type(error)(*(error.args or (text,)))
        else:
            routes.led_there(address)
            return opened
    try:
        opened = await around()
    except OSError as error:
        routes.forget(address)
        if problem is None:
            raise
        raise OSError(f"{problem}; nor through the scheduler: {error}") from None
    if problem is not None and routes.led_around(address, loop.time()):
        relay.say(address, problem)
    return opened


def is_of_other_host(address: str) -> bool:
    """Whether an address may be behind a wall: none of this host's own is."""
    return get_address_host(address) not in ("127.0.0.1", "localhost", "::1")


class _Pipe(asyncio.Protocol):
    """One end of a passage: what arrives here leaves at the other end."""

    def __init__(self, transport: asyncio.Transport, on_closed: Callable[[], None]) -> None:
        self._transport = transport
        self._on_closed = on_closed
        self.other: _Pipe = self
        transport.set_write_buffer_limits(high=_WINDOW)

    def start(self) -> None:
        """Take the connection over."""
        self._transport.set_protocol(self)
        self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        self.other._transport.write(data)

    def pause_writing(self) -> None:
        if not self.other._transport.is_closing():
            self.other._transport.pause_reading()

    def resume_writing(self) -> None:
        if not self.other._transport.is_closing():
            self.other._transport.resume_reading()

    def connection_lost(self, exc: BaseException | None) -> None:
        if exc is None:
            self.other._transport.close()
        else:
            self.other._transport.abort()
        self._on_closed()

    def close(self) -> None:
        """End the passage."""
        self._transport.abort()


def splice(
    one: asyncio.Transport, other: asyncio.Transport, on_closed: Callable[[], None]
) -> Callable[[], None]:
    """Pass bytes between two connections until either ends; return what ends both.

    Parameters
    ----------
    one, other : Transport
        On which nothing has come that was not read.
    on_closed : callable
        Called for each of the two when it has ended.
    """
    first, second = _Pipe(one, on_closed), _Pipe(other, on_closed)
    first.other, second.other = second, first
    first.start()
    second.start()
    return first.close


def transport_of(protocol: FrameProtocol) -> asyncio.Transport:
    """Return the transport of a connection that is open."""
    if protocol.transport is None:
        raise protocol.closed_error()
    return protocol.transport
