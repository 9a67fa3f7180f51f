"""The scheme ``inproc``: two ends in one process. Objects are handed over by reference, never
encoded.

A location is ``host/pid/number``; an empty one is made up when listening.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from shoal import config
from shoal._base.network import get_ip
from shoal.comm.base import Comm, Connector, Listener
from shoal.comm.registry import Backend
from shoal.comm.weights import weight_of
from shoal.errors import CommClosedError
from shoal.wire.serialize.wrappers import Serialize, Serialized

__all__ = ["InProc", "InProcBackend", "new_address"]

_numbers = count(1)
_listeners: weakref.WeakValueDictionary[str, InProcListener] = weakref.WeakValueDictionary()
_lock = threading.Lock()


def new_address() -> str:
    """Return an inproc address that nobody has."""
    return f"inproc://{get_ip()}/{os.getpid()}/{next(_numbers)}"


class InProc(Comm):
    """One end. The other end's writes are put in here, from any thread."""

    def __init__(self, local_address: str, peer_address: str, deserialize: bool = True) -> None:
        super().__init__(deserialize)
        self._local_address = local_address
        self._peer_address = peer_address
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._peer: InProc | None = None
        self._inbox: deque[Any] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._on_objects: Callable[[list[Any]], None] | None = None
        self._on_closed: Callable[[BaseException | None], None] | None = None
        self._scheduled = False
        self._closed = False
        self._ended = False  # the other end will say no more
        self.most_unread = config.get_bytes("shoal.comm.most-unread")
        self._unread = config.get_seconds("shoal.comm.unread")
        self._behind = 0  # bytes of what came while something else waited already
        self._took_at = time.monotonic()  # when the inbox was empty last

    # -- towards the other end -------------------------------------------------

    def put(self, obj: Any) -> None:
        """Hand an object to the other end without waiting."""
        peer = self._peer
        if self._closed or peer is None or peer._closed:
            raise CommClosedError(f"{self!r} is closed")
        if peer._inbox:
            peer._behind += weight_of(obj if type(obj) is list else (obj,))
            self._drop_deaf(peer)
        else:
            peer._took_at = time.monotonic()
            peer._behind = 0
        peer._inbox.append(obj)
        peer._wake()

    def _drop_deaf(self, peer: InProc) -> None:
        """Close the connection to one that takes nothing, or too little, of what waits for it."""
        silent = time.monotonic() - peer._took_at
        if peer._behind <= self.most_unread and silent < self._unread:
            return
        error = CommClosedError(
            f"the peer does not read: {peer._behind >> 20} MiB wait for it, the first for "
            f"{silent:.0f} s; at most {self.most_unread >> 20} MiB may, and {self._unread:g} s "
            "('shoal.comm.most-unread', 'shoal.comm.unread')"
        )
        self._finish(error)
        raise error

    def _wake(self) -> None:
        if self._scheduled:
            return
        self._scheduled = True
        if threading.get_ident() == self._thread:
            self._loop.call_soon(self._deliver)
        else:
            try:
                self._loop.call_soon_threadsafe(self._deliver)
            except RuntimeError:  # its loop is closed
                self._closed = True

    def _deliver(self) -> None:
        self._scheduled = False
        if self._on_objects is not None:
            batch = list(self._inbox)
            for _ in batch:
                self._inbox.popleft()
            self._took_at = time.monotonic()
            if batch and not self._closed:
                self._on_objects(batch)
            if self._ended and not self._inbox:
                self._finish()
        elif self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # -- reading ---------------------------------------------------------------

    async def read(self, deserializers: Sequence[str] | None = None) -> Any:
        while not self._inbox:
            if self._closed or self._ended:
                self._closed = True
                raise CommClosedError(f"{self!r} is closed")
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        self._took_at = time.monotonic()
        self._behind -= self._behind // len(self._inbox)
        return _unwrap(self._inbox.popleft(), self.deserialize)

    def set_callbacks(
        self,
        on_objects: Callable[[list[Any]], None],
        on_closed: Callable[[BaseException | None], None],
    ) -> None:
        """Call back with lists of objects from now on, instead of being read."""
        self._on_objects = on_objects
        self._on_closed = on_closed
        if self._inbox or self._ended:
            self._wake()

    async def write(
        self, msg: Any, serializers: Sequence[str] | None = None, on_error: str = "message"
    ) -> int:
        self.put(msg)
        return 1

    # -- closing ---------------------------------------------------------------

    async def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        if self._closed:
            return
        self._finish()

    def _finish(self, error: CommClosedError | None = None) -> None:
        if self._closed:
            return
        self._closed = True
        peer, self._peer = self._peer, None
        if peer is not None and not peer._closed:
            peer._ended = True
            peer._wake()
        if self._waiter is not None and not self._waiter.done():
            self._loop.call_soon_threadsafe(self._wake_reader)
        if self._on_closed is not None:
            callback, self._on_closed = self._on_closed, None
            self._on_objects = None
            callback(error or CommClosedError(f"{self!r} is closed"))

    def _wake_reader(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def closed(self) -> bool:
        return self._closed

    @property
    def local_address(self) -> str:
        return self._local_address

    @property
    def peer_address(self) -> str:
        return self._peer_address

    @property
    def same_host(self) -> bool:
        return True


def _unwrap(obj: Any, deserialize: bool) -> Any:
    """Do to marks in a message what sending it would have done."""
    if type(obj) is Serialize:
        return obj.data if deserialize else Serialized.of(obj.data)
    if type(obj) is Serialized:
        return obj.deserialize() if deserialize else obj
    if type(obj) is dict:
        return {key: _unwrap(value, deserialize) for key, value in obj.items()}
    if type(obj) in (list, tuple):
        return type(obj)(_unwrap(item, deserialize) for item in obj)
    return obj


class InProcListener(Listener):
    """Waits for connections from this process."""

    def __init__(self, loc: str, handle_comm: Callable[[Comm], Any], deserialize: bool) -> None:
        self._loc = loc or new_address().removeprefix("inproc://")
        self._handle_comm = handle_comm
        self._deserialize = deserialize
        self._tasks: set[asyncio.Future[Any]] = set()

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        with _lock:
            if self._loc in _listeners:
                raise OSError(f"cannot listen on inproc://{self._loc}: it is taken")
            _listeners[self._loc] = self

    def stop(self) -> None:
        with _lock:
            if _listeners.get(self._loc) is self:
                del _listeners[self._loc]

    async def _accept(self, theirs: InProc) -> None:
        mine = InProc(self.contact_address, theirs.local_address, self._deserialize)
        mine._peer = theirs
        theirs._peer = mine
        result = self._handle_comm(mine)
        if asyncio.iscoroutine(result):
            task = asyncio.ensure_future(result)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    @property
    def listen_address(self) -> str:
        return f"inproc://{self._loc}"

    @property
    def contact_address(self) -> str:
        return f"inproc://{self._loc}"


class InProcConnector(Connector):
    """Connects within this process."""

    async def connect(self, address: str, deserialize: bool = True, **connection_args: Any) -> Comm:
        with _lock:
            listener = _listeners.get(address)
        if listener is None:
            raise OSError(f"nobody in this process listens on inproc://{address}")
        comm = InProc(new_address(), f"inproc://{address}", deserialize)
        accepting = listener._accept(comm)
        if listener._loop is asyncio.get_running_loop():
            await accepting
        else:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(accepting, listener._loop))
        return comm


class InProcBackend(Backend):
    """The scheme ``inproc``."""

    def get_connector(self) -> Connector:
        return InProcConnector()

    def get_listener(
        self, loc: str, handle_comm: Any, deserialize: bool, **connection_args: Any
    ) -> Listener:
        return InProcListener(loc, handle_comm, deserialize)

    def get_address_host(self, loc: str) -> str:
        return loc.split("/")[0]

    def resolve_address(self, loc: str) -> str:
        return loc

    def get_local_address_for(self, loc: str) -> str:
        return new_address().removeprefix("inproc://")
