"""Calls of a server's operations as if they were methods; pools of connections to do so."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from shoal.comm.addressing import normalize_address
from shoal.comm.base import Comm, connect
from shoal.comm.requests import send_recv
from shoal.errors import CommClosedError

__all__ = ["ConnectionPool", "PooledRPC", "rpc"]


class _Operations:
    """Attributes are coroutine functions that call the peer's operation of that name."""

    async def _call(self, op: str, kwargs: dict[str, Any]) -> Any:
        raise AssertionError

    def __getattr__(self, op: str) -> Callable[..., Awaitable[Any]]:
        if op.startswith("_"):
            raise AttributeError(op)

        async def call(**kwargs: Any) -> Any:
            return await self._call(op, kwargs)

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
        What `Security.get_connection_args` returned.

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
    ) -> None:
        if arg is None and comm is None:
            raise ValueError("rpc needs the address of a server")
        self.address = _address(arg) if arg is not None else comm.peer_address  # type: ignore[union-attr]
        self.timeout = timeout
        self.deserialize = deserialize
        self.connection_args = connection_args or {}
        self.status = "running"
        self._free: deque[Comm] = deque([comm] if comm is not None else [])
        self._busy: set[Comm] = set()

    async def _call(self, op: str, kwargs: dict[str, Any]) -> Any:
        comm = await self._take()
        self._busy.add(comm)
        try:
            return await send_recv(comm, op=op, **kwargs)
        finally:
            self._busy.discard(comm)
            if self.status == "closed":
                comm.abort()
            elif not comm.closed():
                self._free.append(comm)

    async def _take(self) -> Comm:
        if self.status == "closed":
            raise RuntimeError(f"this rpc to {self.address} is closed")
        while self._free:
            comm = self._free.pop()
            if not comm.closed():
                return comm
        return await connect(
            self.address, self.timeout, deserialize=self.deserialize, **self.connection_args
        )

    async def close_rpc(self) -> None:
        """Close all connections."""
        self.status = "closed"
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
        What `Security.get_connection_args` returned.
    timeout : float or str, optional
        Of connecting.
    retry : bool
        False: whoever refuses a connection is not asked again.

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
    ) -> None:
        if limit < 1:
            raise ValueError(f"the limit of connections must be at least 1, got {limit!r}")
        self.limit = limit
        self.deserialize = deserialize
        self.connection_args = connection_args or {}
        self.timeout = timeout
        self.retry = retry
        self.status = "running"
        self._room = asyncio.Semaphore(limit)
        self._free: dict[str, list[Comm]] = {}
        self._busy: dict[str, set[Comm]] = {}
        self._waiting = 0
        self._connecting: dict[asyncio.Timeout, str] = {}  # and where to
        self._reason = "this pool of connections is closed"

    def __call__(self, addr: str | tuple[str, int]) -> PooledRPC:
        """Return an object whose attributes call the operations of the server at an address."""
        return PooledRPC(_address(addr), self)

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
        if self.status == "closed":
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

    async def _make(self, addr: str, timeout: float | str | None, retry: bool) -> Comm:
        """Connect, unless the pool is closed before that is done."""
        scope = asyncio.timeout(None)
        try:
            async with scope:
                if self.status == "closed":
                    raise RuntimeError(self._reason)
                self._connecting[scope] = addr
                comm = await connect(
                    addr,
                    self.timeout if timeout is None else timeout,
                    deserialize=self.deserialize,
                    retry=retry,
                    **self.connection_args,
                )
        except OSError as error:  # the end of the scope's time is one
            if self.status == "closed":
                raise RuntimeError(self._reason) from error
            if scope.expired():
                raise CommClosedError(f"{addr} has gone") from error
            raise
        finally:
            self._connecting.pop(scope, None)
        if self.status == "closed":
            comm.abort()
            raise RuntimeError(self._reason)
        comm.name = "ConnectionPool"
        return comm

    def reuse(self, addr: str, comm: Comm) -> None:
        """Take a connection back."""
        busy = self._busy.get(addr, set())
        if comm not in busy:  # the pool was closed, or the server removed
            comm.abort()
            return
        busy.discard(comm)
        if not busy:
            del self._busy[addr]
        if comm.closed() or self.status == "closed" or self._waiting:
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

    def remove(self, addr: str) -> None:
        """Close all connections to an address, and make none; calls under way fail."""
        now = asyncio.get_running_loop().time()
        for scope, where in self._connecting.items():
            if where == addr:
                scope.reschedule(now)
        for comm in (*self._free.pop(addr, ()), *self._busy.pop(addr, ())):
            comm.abort()
            self._room.release()

    def end(self, reason: str) -> None:
        """Close all connections and make no others; calls under way fail, later ones say why."""
        if self.status == "closed":
            return
        self.status = "closed"
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

    def __init__(self, address: str, pool: ConnectionPool) -> None:
        self.address = address
        self.pool = pool

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
