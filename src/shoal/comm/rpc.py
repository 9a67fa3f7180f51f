"""Calls of a server's operations as if they were methods; pools of connections to do so."""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Generator, Sequence
from typing import Any

from shoal.comm.addressing import normalize_address
from shoal.comm.base import Comm, connect
from shoal.comm.requests import send_recv
from shoal.comm.status import Status
from shoal.errors import CommClosedError, RPCClosed

__all__ = ["ConnectionPool", "PooledRPC", "rpc"]

logger = logging.getLogger("shoal.core")


class _Operations:
    """Attributes are coroutine functions that call the peer's operation of that name.

    Besides the operation's own arguments they take `reply` (False: wait for no answer), `close`
    (True: the connection ends with the answer), `serializers` and `deserializers`.
    """

    serializers: Sequence[str] | None = None
    deserializers: Sequence[str] | None = None

    def _families(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of a call, with the families of this object where it names none."""
        for name in ("serializers", "deserializers"):
            if kwargs.get(name) is None:
                kwargs[name] = getattr(self, name)
        return kwargs

    async def _call(self, op: str, kwargs: dict[str, Any]) -> Any:
        raise AssertionError

    def __getattr__(self, op: str) -> Callable[..., Awaitable[Any]]:
        if op.startswith("_"):
            raise AttributeError(op)

        async def call(**kwargs: Any) -> Any:
            return await self._call(op, self._families(kwargs))

        call.__name__ = op
        return call


class rpc(_Operations):
    """Conveniently interact with a remote server.

    Parameters
    ----------
    arg : str or (str, int)
        The server's address.
    comm : Comm, optional
        A connection to begin with.
    deserialize : bool
        False: pickled parts of answers are returned as `Serialized`.
    timeout : float or str, optional
        Of connecting.
    connection_args : dict, optional
        The result of `Security.get_connection_args`.
    serializers, deserializers : list of str, optional
        Families for what msgpack does not know; see `shoal.comm.Comm`.

    Examples
    --------
    >>> async with rpc("tcp://127.0.0.1:8888") as remote:  # doctest: +SKIP
    ...     await remote.add(x=1, y=2)
    """

    def __init__(
        self,
        arg: str | tuple[str, int] | None = None,
        comm: Comm | None = None,
        deserialize: bool = True,
        timeout: float | str | None = None,
        connection_args: dict[str, Any] | None = None,
        serializers: Sequence[str] | None = None,
        deserializers: Sequence[str] | None = None,
    ) -> None:
        if arg is None and comm is None:
            raise ValueError("rpc needs the address of a server")
        self.address = _address(arg) if arg is not None else comm.peer_address  # type: ignore[union-attr]
        self.timeout = timeout
        self.deserialize = deserialize
        self.connection_args = connection_args or {}
        self.serializers = serializers
        self.deserializers = deserializers
        self.status = Status.running
        self._free: deque[Comm] = deque([comm] if comm is not None else [])
        self._busy: set[Comm] = set()

    async def _call(self, op: str, kwargs: dict[str, Any]) -> Any:
        comm = await self._take()
        self._busy.add(comm)
        try:
            return await send_recv(comm, op=op, **kwargs)
        finally:
            self._busy.discard(comm)
            if self.status is Status.closed:
                comm.abort()
            elif not comm.closed():
                self._free.append(comm)

    async def _take(self) -> Comm:
        if self.status is Status.closed:
            raise RPCClosed(f"this rpc to {self.address} is closed")
        while self._free:
            comm = self._free.pop()
            if not comm.closed():
                return comm
        return await connect(
            self.address, self.timeout, deserialize=self.deserialize, **self.connection_args
        )

    def close_comms(self) -> None:
        """Close the connections that are not in use; the next call makes another."""
        free, self._free = list(self._free), deque()
        for comm in free:
            comm.abort()

    async def close_rpc(self) -> None:
        """Close all connections."""
        self.status = Status.closed
        free, self._free = list(self._free), deque()
        await asyncio.gather(*(comm.close() for comm in free))
        for comm in list(self._busy):
            comm.abort()

    async def __aenter__(self) -> rpc:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close_rpc()

    def __repr__(self) -> str:
        return f"<rpc to {self.address!r}, {len(self._free) + len(self._busy)} connections>"


class ConnectionPool:
    """A limited number of connections to many servers, kept open for the next call.

    Parameters
    ----------
    limit : int
        Connections open at once; those that are not in use are closed when others are needed.
    deserialize : bool
        False: pickled parts of answers are returned as `Serialized`.
    connection_args : dict, optional
        The result of `Security.get_connection_args`.
    timeout : float or str, optional
        Of connecting.
    retry : bool
        False: whoever refuses a connection is not asked again.
    serializers, deserializers : list of str, optional
        Families for what msgpack does not know; see `shoal.comm.Comm`.
    allow_offload : bool
        Whether large messages may be written and read on another thread.
    server : Server, optional
        Whose pool it is.

    Examples
    --------
    >>> pool = ConnectionPool(limit=10)
    >>> remote = pool("tcp://127.0.0.1:8888")
    """

    def __init__(
        self,
        limit: int = 512,
        deserialize: bool = True,
        connection_args: dict[str, Any] | None = None,
        timeout: float | str | None = None,
        retry: bool = True,
        serializers: Sequence[str] | None = None,
        deserializers: Sequence[str] | None = None,
        allow_offload: bool = True,
        server: Any = None,
    ) -> None:
        if limit < 1:
            raise ValueError(f"the limit of connections must be at least 1, got {limit!r}")
        self.limit = limit
        self.deserialize = deserialize
        self.connection_args = connection_args or {}
        self.timeout = timeout
        self.retry = retry
        self.serializers = serializers
        self.deserializers = deserializers
        self.allow_offload = allow_offload
        self.server = weakref.ref(server) if server is not None else None
        self.status = Status.init
        self._room = asyncio.Semaphore(limit)
        self.expected: dict[str, Collection[str]] = {}  # address -> roles that may answer there
        self._free: dict[str, list[Comm]] = {}
        self._busy: dict[str, set[Comm]] = {}
        self._waiting = 0
        self._connecting: dict[asyncio.Timeout, str] = {}  # and where to
        self._reason = "this pool of connections is closed"

    def __call__(self, addr: str | tuple[str, int]) -> PooledRPC:
        """Return an object whose attributes call the operations of the server at an address."""
        return PooledRPC(_address(addr), self, self.serializers, self.deserializers)

    def __await__(self) -> Generator[Any, None, ConnectionPool]:
        async def started() -> ConnectionPool:
            await self.start()
            return self

        return started().__await__()

    async def __aenter__(self) -> ConnectionPool:
        return await self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def start(self) -> None:
        """Say that the pool is in use; it makes connections without that too."""
        if self._closed():
            raise RuntimeError(self._reason)
        self.status = Status.running

    @property
    def active(self) -> int:
        """Connections in use."""
        return sum(map(len, self._busy.values()))

    @property
    def open(self) -> int:
        """Connections open."""
        return self.active + sum(map(len, self._free.values()))

    async def connect(
        self, addr: str, timeout: float | str | None = None, retry: bool | None = None
    ) -> Comm:
        """Return a connection; give it back with `reuse`."""
        if self._closed():
            raise RuntimeError(self._reason)
        free = self._free.get(addr)
        while free:
            comm = free.pop()
            if not comm.closed():
                self._busy.setdefault(addr, set()).add(comm)
                return comm
            self._room.release()
        if self._room.locked():
            self.collect()
        self._waiting += 1
        try:
            await self._room.acquire()
        finally:
            self._waiting -= 1
        try:
            comm = await self._make(addr, timeout, self.retry if retry is None else retry)
        except BaseException:
            self._room.release()
            raise
        self._busy.setdefault(addr, set()).add(comm)
        return comm

    def _closed(self) -> bool:
        return self.status is Status.closed

    async def _make(self, addr: str, timeout: float | str | None, retry: bool) -> Comm:
        """Connect, unless the pool is closed before that is done."""
        scope = asyncio.timeout(None)
        try:
            async with scope:
                if self._closed():
                    raise RuntimeError(self._reason)
                self._connecting[scope] = addr
                comm = await connect(
                    addr,
                    self.timeout if timeout is None else timeout,
                    deserialize=self.deserialize,
                    retry=retry,
                    **{**self.connection_args, **self._expectation(addr)},
                )
        except OSError as error:  # the end of the scope's time is one
            if self._closed():
                raise RuntimeError(self._reason) from error
            if scope.expired():
                raise CommClosedError(f"{addr} has gone") from error
            raise
        finally:
            self._connecting.pop(scope, None)
        if self._closed():
            comm.abort()
            raise RuntimeError(self._reason)
        comm.name = "ConnectionPool"
        comm.allow_offload = self.allow_offload
        return comm

    def _expectation(self, addr: str) -> dict[str, Any]:
        expected = self.expected.get(addr)
        return {} if expected is None else {"expected": expected}

    def reuse(self, addr: str, comm: Comm) -> None:
        """Take a connection back."""
        busy = self._busy.get(addr, set())
        if comm not in busy:  # the pool was closed, or the server removed
            comm.abort()
            return
        busy.discard(comm)
        if not busy:
            del self._busy[addr]
        if comm.closed() or self._closed() or self._waiting:
            comm.abort()
            self._room.release()
        else:
            self._free.setdefault(addr, []).append(comm)

    def collect(self) -> None:
        """Close the connections that are not in use."""
        for comms in self._free.values():
            for comm in comms:
                comm.abort()
                self._room.release()
        self._free.clear()

    def remove(self, addr: str, *, reason: str = "") -> None:
        """Close all connections to an address, and make none; calls under way fail.

        Parameters
        ----------
        addr : str
            The address.
        reason : str
            For the logs.
        """
        if reason:
            logger.debug("connections to %s are closed: %s", addr, reason)
        now = asyncio.get_running_loop().time()
        for scope, where in self._connecting.items():
            if where == addr:
                scope.reschedule(now)
        for comm in (*self._free.pop(addr, ()), *self._busy.pop(addr, ())):
            comm.abort()
            self._room.release()

    def end(self, reason: str) -> None:
        """Close all connections and make no others; calls under way fail, later ones say why."""
        if self._closed():
            return
        self.status = Status.closed
        self._reason = reason
        for addr in {*self._free, *self._busy, *self._connecting.values()}:
            self.remove(addr)

    async def close(self) -> None:
        """Close all connections; calls under way fail."""
        self.end(self._reason)


class PooledRPC(_Operations):
    """Calls operations over connections borrowed from a pool; made by calling a
    `ConnectionPool`.
    """

    def __init__(
        self,
        address: str,
        pool: ConnectionPool,
        serializers: Sequence[str] | None = None,
        deserializers: Sequence[str] | None = None,
    ) -> None:
        self.address = address
        self.pool = pool
        self.serializers = serializers
        self.deserializers = deserializers

    async def _call(self, op: str, kwargs: dict[str, Any]) -> Any:
        comm = await self.pool.connect(self.address)
        try:
            return await send_recv(comm, op=op, **kwargs)
        finally:
            self.pool.reuse(self.address, comm)

    async def close_rpc(self) -> None:
        """Nothing to do: the connections are the pool's."""

    async def __aenter__(self) -> PooledRPC:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        pass

    def __repr__(self) -> str:
        return f"<pooled rpc to {self.address!r}>"


def _address(arg: str | tuple[str, int]) -> str:
    if isinstance(arg, tuple):
        host, port = arg
        return normalize_address(f"{host}:{port}")
    return normalize_address(arg)
