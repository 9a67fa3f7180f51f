"""The ends of connections through the scheduler: how members ask for one, and come back for one.

How bytes are passed on is in `relay`; which way is taken is decided in `routes`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from shoal._base.routes import Routes
from shoal.comm.addressing import parse_address, parse_host_port
from shoal.comm.frames import FrameProtocol
from shoal.comm.handshake import UnknownSecretError, ask_passage, call_back
from shoal.comm.relay import is_of_other_host
from shoal.comm.sockets import SocketListener, new_protocol, terms_of
from shoal.comm.tcp import protection, tune

__all__ = ["MemberRelay", "answer_call", "with_relay"]

logger = logging.getLogger("shoal.comm")


class MemberRelay:
    """The way around a wall, of a client or a worker.

    Parameters
    ----------
    scheduler : callable
        Returns the scheduler's address as it is now.
    connection_args : dict
        The result of `Security.get_connection_args`.
    """

    def __init__(self, scheduler: Callable[[], str], connection_args: dict[str, Any]) -> None:
        self.routes = Routes()
        self._scheduler = scheduler
        self._arguments = connection_args
        self._said = False

    def leads_to(self, address: str) -> bool:
        """Whether the scheduler can be asked for a passage to a peer."""
        scheduler = self._scheduler()
        ours = address != scheduler and parse_address(scheduler)[0] == "tcp"
        return ours and is_of_other_host(address)

    async def open(self, address: str, make_protocol: Callable[[], FrameProtocol]) -> FrameProtocol:
        """Return a connection on which the peer waits for the first word."""
        terms = terms_of(protection(), True, self._arguments)
        for keys in terms.keys:
            protocol = await _dial(self._scheduler(), make_protocol)
            try:
                await ask_passage(protocol, terms, keys, address)
            except UnknownSecretError:
                protocol.abort()
                if keys is terms.keys[-1]:
                    raise
            except BaseException:
                protocol.abort()
                raise
            else:
                return protocol
        raise AssertionError

    def say(self, address: str, problem: BaseException) -> None:
        """Tell people, once: what is slower should not be a riddle."""
        level = logging.DEBUG if self._said else logging.WARNING
        self._said = True
        logger.log(
            level,
            "%s cannot be reached from here (%s): what it has comes through the scheduler, which "
            "is slower; so it is with others behind the same wall. Open ports between workers "
            "(--worker-port), or tell where a worker can be reached (--contact-address)",
            address,
            problem,
        )


def with_relay(connection_args: dict[str, Any], scheduler: Callable[[], str]) -> dict[str, Any]:
    """Return arguments of `shoal.comm.connect` with which walls are gone around.

    Parameters
    ----------
    connection_args : dict
        The result of `Security.get_connection_args`.
    scheduler : callable
        Returns the scheduler's address as it is now.
    """
    return {**connection_args, "relay": MemberRelay(scheduler, connection_args)}


async def answer_call(
    scheduler: str,
    address: str,
    token: str,
    listener: SocketListener,
    connection_args: dict[str, Any],
) -> None:
    """Open a connection to the scheduler, and answer on it as if a peer had opened it.

    Parameters
    ----------
    scheduler : str
        Its address.
    address : str
        Of this process, as the scheduler knows it.
    token : str
        Of the call.
    listener : SocketListener
        Which answers.
    connection_args : dict
        The result of `Security.get_connection_args`.
    """
    terms = terms_of(protection(), True, connection_args)
    protocol = await _dial(scheduler, new_protocol())
    call_back(protocol, terms, terms.keys[0], address, token)
    listener.take(protocol)


async def _dial(address: str, make_protocol: Callable[[], FrameProtocol]) -> FrameProtocol:
    host, port = parse_host_port(address)
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_connection(make_protocol, host, port)
    tune(transport)
    return protocol
