"""The interface of every transport: Comm, Connector, Listener; and the functions `connect` and
`listen`.
"""

from __future__ import annotations

import asyncio
import inspect
import random
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from typing import Any

from shoal import config
from shoal.comm.addressing import parse_address
from shoal.comm.registry import get_backend
from shoal.comm.unread import MOST_UNREAD
from shoal.errors import FatalCommClosedError, InterruptedHandshakeError

__all__ = ["Comm", "Connector", "Listener", "connect", "listen"]

# So many times in a row a peer may hang up during the handshake before that is its answer.
_HANG_UPS = 5


class Comm(ABC):
    """An established connection between two endpoints that carries Python objects.

    Attributes
    ----------
    name : str or None
        Shown in errors and logs.
    deserialize : bool
        False: objects that were pickled are read as `Serialized`.
    """

    _instances: weakref.WeakSet[Comm] = weakref.WeakSet()

    def __init__(self, deserialize: bool = True) -> None:
        self._instances.add(self)
        self.name: str | None = None
        self.deserialize = deserialize
        self.allow_offload = True
        self.most_unread = MOST_UNREAD  # bytes that may wait for the peer while it is behind
        # The role that the peer has proven, None for one that may be anything. And a digest of its
        # certificate, the same for all connections of one process.
        self.peer_role: str | None = None
        self.peer_identity: str | None = None

    @abstractmethod
    async def read(self, deserializers: Sequence[str] | None = None) -> Any:
        """Read and return the next message.

        Parameters
        ----------
        deserializers : sequence of str, optional
            Families that may be used; without ``"pickle"`` nothing is unpickled.

        Raises
        ------
        CommClosedError
            When the connection is closed.
        """

    @abstractmethod
    async def write(
        self, msg: Any, serializers: Sequence[str] | None = None, on_error: str = "message"
    ) -> int:
        """Write a message, and wait while the peer does not take it.

        Parameters
        ----------
        msg : object
            Any Python object.
        serializers : sequence of str, optional
            Families that may be used for what msgpack does not know; all of them by default.
        on_error : {"message", "raise"}
            Whether what cannot be serialized is replaced by the error, or the error raised here.

        Returns
        -------
        int
            Bytes written.
        """

    @abstractmethod
    async def close(self) -> None:
        """Send what is to be sent, then close the connection."""

    @abstractmethod
    def abort(self) -> None:
        """Close the connection at once; may be called from a destructor."""

    @abstractmethod
    def closed(self) -> bool:
        """Return whether the connection is closed."""

    @property
    @abstractmethod
    def local_address(self) -> str:
        """The address of this end."""

    @property
    @abstractmethod
    def peer_address(self) -> str:
        """The address of the other end."""

    @property
    def extra_info(self) -> dict[str, Any]:
        """Backend-specific facts, such as the peer's certificate."""
        return {}

    @property
    def same_host(self) -> bool:
        """Whether both ends are on this host, as far as the addresses tell."""
        return False

    def __repr__(self) -> str:
        state = "(closed) " if self.closed() else ""
        return (
            f"<{type(self).__name__} {state}{self.name or ''} "
            f"local={self.local_address} remote={self.peer_address}>"
        )


class Listener(ABC):
    """Listens for connections and hands each to a coroutine function."""

    @abstractmethod
    async def start(self) -> None:
        """Begin to accept connections."""

    @abstractmethod
    def stop(self) -> None:
        """Accept no more connections. Open connections stay open."""

    @property
    @abstractmethod
    def listen_address(self) -> str:
        """The address as it was asked for, with the port that was given."""

    @property
    @abstractmethod
    def contact_address(self) -> str:
        """An address that others can connect to."""

    async def __aenter__(self) -> Listener:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        result: Any = self.stop()
        if inspect.isawaitable(result):  # some third-party listeners
            await result

    def __await__(self) -> Generator[Any, None, Listener]:
        async def started() -> Listener:
            await self.start()
            return self

        return started().__await__()


class Connector(ABC):
    """Connects to addresses of one scheme."""

    @abstractmethod
    async def connect(self, address: str, deserialize: bool = True, **connection_args: Any) -> Comm:
        """Connect to a location (an address without its scheme)."""


async def connect(
    addr: str,
    timeout: float | str | None = None,
    deserialize: bool = True,
    handshake_overrides: dict[str, Any] | None = None,
    retry: bool = True,
    **connection_args: Any,
) -> Comm:
    """Connect to an address; what refuses for now is tried again until the time is over.

    Parameters
    ----------
    addr : str
        Where to.
    timeout : float or str, optional
        Seconds, or text such as ``"3s"``; ``distributed.comm.timeouts.connect`` by default.
    deserialize : bool
        False: pickled parts of messages are read as `Serialized`.
    retry : bool
        False: whoever refuses is not asked again; it is known that nobody is about to listen there.
    **connection_args
        The result of `Security.get_connection_args`: `secret`, `ssl_context`, ...

    Raises
    ------
    OSError
        When nobody answered in time; the text names the address, the time and the last failure.
    HandshakeError
        When the peer answered and refused: at once, as trying again does not help.
    """
    seconds = config.get_seconds("distributed.comm.timeouts.connect", timeout)
    scheme, loc = parse_address(addr)
    connector = get_backend(scheme).get_connector()
    deadline = asyncio.get_running_loop().time() + seconds
    pause = 0.01
    failure: BaseException | None = None
    hung_up = 0
    while True:
        left = deadline - asyncio.get_running_loop().time()
        if left <= 0:
            break
        try:
            # Not `wait_for`: in Python 3.11 it can swallow that this is cancelled.
            async with asyncio.timeout(left):
                comm = await connector.connect(loc, deserialize=deserialize, **connection_args)
        except InterruptedHandshakeError as error:
            # A peer that is being killed does this once; one that expects TLS does it every time.
            failure = error
            hung_up += 1
            if not retry or hung_up == _HANG_UPS:
                raise type(error)(f"cannot connect to {addr}: {error}") from error.__cause__
        except FatalCommClosedError as error:
            raise type(error)(f"cannot connect to {addr}: {error}") from error.__cause__
        except (TimeoutError, OSError) as error:
            failure = error
            if not retry:
                raise OSError(f"cannot connect to {addr}: {error or 'no answer'}") from error
        else:
            return comm
        await asyncio.sleep(min(pause * random.uniform(0.8, 1.2), max(0.0, left)))
        pause = min(pause * 1.5, 1.0)
    because = f": {failure}" if failure is not None and str(failure) else ""
    raise OSError(
        f"Timed out trying to connect to {addr} after {seconds:g} s{because}"
    ) from failure


def listen(
    addr: str,
    handle_comm: Callable[[Comm], Any],
    deserialize: bool = True,
    **connection_args: Any,
) -> Listener:
    """Return a listener at an address; start it with ``await``, ``async with`` or `Listener.start`.

    Parameters
    ----------
    addr : str
        Where; ``tcp://`` means all addresses of this host and a port of the system's choice.
    handle_comm : callable
        Called with each new `Comm`; may be a coroutine function.
    deserialize : bool
        False: pickled parts of messages are read as `Serialized`.
    **connection_args
        The result of `Security.get_listen_args`.

    Examples
    --------
    >>> async def handle(comm):
    ...     await comm.write(await comm.read())
    >>> listener = listen("tcp://127.0.0.1:0", handle)
    """
    scheme, loc = parse_address(addr)
    return get_backend(scheme).get_listener(loc, handle_comm, deserialize, **connection_args)
