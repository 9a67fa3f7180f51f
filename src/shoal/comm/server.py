"""A server of the open protocol: operations by name, called for each request of each connection.

Scheduler, workers and nannies are such servers; so is anything that a user makes of `Server`. A
handler is a function or coroutine function that takes the fields of the message as keyword
arguments. Is its first parameter called `comm`, it gets the connection too, and may send and
receive on it.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import uuid
import warnings
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Sequence
from typing import Any, TypeVar

from dask.utils import parse_timedelta

from shoal._base.both_loops import BothLoops, both_loops
from shoal._base.within import within
from shoal.comm.addressing import get_address_host_port
from shoal.comm.argument_types import Checks, checks_of
from shoal.comm.base import Comm, Listener, listen
from shoal.comm.lateness import watch_loop
from shoal.comm.requests import error_message
from shoal.comm.rpc import ConnectionPool
from shoal.comm.status import Status
from shoal.comm.strangers import clean
from shoal.errors import CommClosedError, ProtocolError, UnknownOperationError

__all__ = ["Handler", "Server"]

logger = logging.getLogger("shoal.core")

Handler = Callable[..., Any]
T = TypeVar("T")
S = TypeVar("S", bound="Server")


class Server:
    """Serves requests of the form ``{"op": name, **arguments}``.

    Parameters
    ----------
    handlers : dict
        Functions or coroutine functions by the name of their operation.
    blocked_handlers : list of str, optional
        Operations that are refused.
    stream_handlers : dict, optional
        Functions for the messages of streams; see `handle_stream`.
    connection_limit : int
        Of the connections that the server itself opens with `rpc`.
    deserialize : bool
        False: pickled parts of messages reach handlers as `Serialized`.
    serializers, deserializers : list of str, optional
        Families for what msgpack does not know, in answers and in calls of `rpc`; a request may
        name others.
    connection_args : dict, optional
        For connections that the server opens; what `Security.get_connection_args` returned.
    timeout : float or str, optional
        Seconds that starting may take.
    name : str, optional
        For people.

    Examples
    --------
    >>> def add(comm, x=None, y=None):
    ...     return x + y
    >>> async def main():
    ...     async with Server({"add": add}) as server:
    ...         await server.listen("tcp://127.0.0.1:0")
    ...         return await server.rpc(server.address).add(x=1, y=2)
    >>> asyncio.run(main())
    3
    """

    default_ip = ""
    default_port = 0

    def __init__(
        self,
        handlers: dict[str, Handler],
        blocked_handlers: Iterable[str] | None = None,
        stream_handlers: dict[str, Handler] | None = None,
        connection_limit: int = 512,
        deserialize: bool = True,
        serializers: Sequence[str] | None = None,
        deserializers: Sequence[str] | None = None,
        connection_args: dict[str, Any] | None = None,
        timeout: float | str | None = None,
        *,
        name: str | None = None,
    ) -> None:
        self.handlers: dict[str, Handler] = {
            "identity": self.identity,
            "echo": self.echo,
            "connection_stream": self.handle_stream,
            **handlers,
        }
        self.stream_handlers: dict[str, Handler] = dict(stream_handlers or {})
        self.blocked_handlers = list(blocked_handlers or ())
        self.id = f"{type(self).__name__}-{uuid.uuid4()}"
        self.name: Any = name
        self.status = Status.init
        self.deserialize = deserialize
        self.listeners: list[Listener] = []
        self.connection_args = connection_args or {}
        self.serializers = serializers
        self.deserializers = deserializers
        self.rpc = ConnectionPool(
            connection_limit,
            deserialize,
            connection_args,
            serializers=serializers,
            deserializers=deserializers,
            server=self,
        )
        self.start_timeout = None if timeout is None else float(parse_timedelta(timeout, "s"))
        self.periodic_callbacks: dict[str, Any] = {}
        self._signatures: dict[Handler, tuple[inspect.Signature, bool, Checks]] = {}
        self._comms: weakref.WeakSet[Comm] = weakref.WeakSet()
        self._serving = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._finished = asyncio.Event()
        self._start_lock = asyncio.Lock()

    # -- life --------------------------------------------------------------------

    def __await__(self: S) -> Generator[Any, None, S]:
        return self.start().__await__()

    async def start(self: S) -> S:
        """Start, once; a server that cannot start closes and says why."""
        async with self._start_lock:
            if self.status is not Status.init:
                if self.status in (Status.closing, Status.closed, Status.failed):
                    raise RuntimeError(f"this {type(self).__name__} is {self.status.value}")
                return self
            self.status = Status.starting
            self._loop = asyncio.get_running_loop()
            try:
                await within(self.start_unsafe(), self.start_timeout)
            except BaseException as error:
                self.status = Status.failed
                await self._abandon()
                if isinstance(error, asyncio.TimeoutError) and self.start_timeout is not None:
                    raise TimeoutError(
                        f"{type(self).__name__} did not start within {self.start_timeout:g} s"
                    ) from error
                raise
            if self.status is Status.starting:
                self.status = Status.running
                self.background(watch_loop(type(self).__name__))
        return self

    async def start_unsafe(self) -> None:
        """Start this kind of server; to be overridden."""

    async def _abandon(self) -> None:
        try:
            await self.close()
        except Exception:
            logger.debug("closing after a failed start", exc_info=True)
        self._end()
        self.status = Status.failed

    async def __aenter__(self: S) -> S:
        return await self.start()

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def finished(self) -> None:
        """Wait until the server has closed."""
        await self._finished.wait()

    async def close(self, reason: str = "") -> None:
        """Stop listening, close all connections, end what still runs."""
        if self.status in (Status.closed, Status.closing) or self._finished.is_set():
            await self.finished()
            return
        self.status = Status.closing
        self._end()
        await self.rpc.close()

    def stop(self) -> None:
        """Accept no more connections; open connections stay open, and so does the server."""
        for listener in self.listeners:
            result: Any = listener.stop()
            if inspect.isawaitable(result):  # some third-party listeners
                self.background(_awaited(result))

    def _end(self) -> None:
        """The last step of closing."""
        self.stop()
        for callback in self.periodic_callbacks.values():
            callback.stop()
        current = _current_task()
        for task in list(self._tasks):
            if task is not current:
                task.cancel()
        for comm in list(self._comms):
            comm.abort()
        self._comms.clear()
        self.status = Status.closed
        self._finished.set()

    @property
    def loop(self) -> BothLoops:
        """The event loop that this server runs on, with asyncio's and tornado's methods."""
        return both_loops(self._loop)

    io_loop = loop

    def start_periodic_callbacks(self) -> None:
        """Start those of `periodic_callbacks` (tornado's) that do not run; closing stops all."""
        for callback in self.periodic_callbacks.values():
            if not callback.is_running():
                callback.start()

    # -- connections, counted ------------------------------------------------------

    @property
    def incoming_comms_open(self) -> int:
        """Connections that others have to this server."""
        return len(self._comms)

    @property
    def incoming_comms_active(self) -> int:
        """Requests of others that are being answered."""
        return self._serving

    @property
    def outgoing_comms_open(self) -> int:
        """Connections that `rpc` has to others."""
        return self.rpc.open

    @property
    def outgoing_comms_active(self) -> int:
        """Connections of `rpc` that are in use."""
        return self.rpc.active

    def get_connection_counters(self) -> dict[str, int]:
        """Return the four numbers of connections by their names."""
        return {
            "incoming_comms_open": self.incoming_comms_open,
            "incoming_comms_active": self.incoming_comms_active,
            "outgoing_comms_open": self.outgoing_comms_open,
            "outgoing_comms_active": self.outgoing_comms_active,
        }

    def background(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a coroutine beside; it is cancelled when the server closes."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._background_done)
        return task

    def _background_done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or self.status in (Status.closing, Status.closed):
            return
        error = task.exception()
        if error is not None and not isinstance(error, CommClosedError):
            logger.error("%r: a background task failed", self, exc_info=error)

    # -- listening ---------------------------------------------------------------

    def listen(
        self, port_or_addr: str | int | None = None, allow_offload: bool = True, **listen_args: Any
    ) -> Awaitable[None]:
        """Begin to listen; awaiting the result makes sure that it has begun.

        Parameters
        ----------
        port_or_addr : str or int, optional
            An address, or a port on all addresses of this host; any port by default.
        allow_offload : bool
            Whether large messages may be written and read on another thread.
        **listen_args
            The result of `Security.get_listen_args`.
        """
        if port_or_addr is None:
            port_or_addr = self.default_port
        if isinstance(port_or_addr, int):
            port_or_addr = f"{self.default_ip}:{port_or_addr}"
        handle = self.handle_comm if allow_offload else self._handle_without_offload
        listener = listen(port_or_addr, handle, deserialize=self.deserialize, **listen_args)
        try:
            asyncio.get_running_loop()
        except RuntimeError:  # a script that runs the loop afterwards
            loop = _own_loop()
            loop.run_until_complete(self._listen(listener))
            return _done()
        return asyncio.ensure_future(self._listen(listener))

    async def listen_on_first(self, places: Iterable[str], **listen_args: Any) -> None:
        """Listen on the first of some addresses that is free.

        Raises
        ------
        OSError
            When none is; that of the last one.
        """
        failure: OSError | None = None
        for place in places:
            try:
                await self.listen(place, **listen_args)
                return
            except OSError as error:
                failure = error
        assert failure is not None
        raise failure

    async def _listen(self, listener: Listener) -> None:
        await listener.start()
        self.listeners.append(listener)
        if self._finished.is_set():
            listener.stop()

    @property
    def listener(self) -> Listener | None:
        """The server's listener; the first one where there are several."""
        return self.listeners[0] if self.listeners else None

    @property
    def address(self) -> str:
        """The address at which others reach this server."""
        if not self.listeners:
            raise ValueError(f"this {type(self).__name__} does not listen yet: it has no address")
        return self.listeners[0].contact_address

    @property
    def address_safe(self) -> str:
        """The address, or a text that says that there is none."""
        return self.address if self.listeners else "not-running"

    @property
    def listen_address(self) -> str:
        """The address as it was asked for."""
        if not self.listeners:
            raise ValueError(f"this {type(self).__name__} does not listen yet: it has no address")
        return self.listeners[0].listen_address

    @property
    def port(self) -> int:
        """The port that the server listens on."""
        return get_address_host_port(self.address)[1]

    def identity(self) -> dict[str, Any]:
        """Return what this server is."""
        return {"type": type(self).__name__, "id": self.id, "address": self.address_safe}

    def echo(self, data: Any = None) -> Any:
        """Return what was sent."""
        return data

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.address_safe!r} ({self.status.value})>"

    # -- requests ----------------------------------------------------------------

    async def _handle_without_offload(self, comm: Comm) -> None:
        comm.allow_offload = False
        await self.handle_comm(comm)

    async def handle_comm(self, comm: Comm) -> None:
        """Answer the requests of one connection until it ends."""
        task = asyncio.current_task()
        assert task is not None
        self._comms.add(comm)
        self._tasks.add(task)
        keep = False
        try:
            while not keep and not comm.closed() and self.status is not Status.closed:
                keep = await self._serve_one(comm)
        except CommClosedError:
            pass
        finally:
            self._tasks.discard(task)
            if not keep:
                self._comms.discard(comm)
                comm.abort()

    async def _serve_one(self, comm: Comm) -> bool:
        """Answer one request; return whether the connection belongs to its handler from now on."""
        try:
            message = await comm.read()
        except CommClosedError:
            raise
        except Exception as error:  # a pickle that cannot be opened, not a message at all
            logger.warning("%r: a request of %s: %s", self, comm.peer_address, clean(error))
            await comm.write(error_message(error))
            return False
        close = False
        reply = True
        serializers = self.serializers
        self._serving += 1
        try:
            if not isinstance(message, dict) or not isinstance(message.get("op"), str):
                raise ProtocolError(
                    "a request is a dict with the name of an operation in 'op', "
                    f"not {clean(repr(message))}"
                )
            message = dict(message)
            close = bool(message.pop("close", False))
            reply = bool(message.pop("reply", True))
            op = message.pop("op")
            if "serializers" in message and not self._takes(op, "serializers"):
                serializers = message.pop("serializers") or serializers
            self.authorize(comm, op, message)
            result = self._call(comm, op, message)
            if inspect.isawaitable(result):
                result = await result
        except CommClosedError as error:
            if comm.closed():
                raise
            result = error_message(error)
        except Exception as error:
            logger.debug("%r: a handler failed", self, exc_info=True)
            result = error_message(error)
        finally:
            self._serving -= 1
        if result is Status.dont_reply:
            return True
        if reply and not comm.closed():
            await comm.write(result, serializers=serializers)
        if close:
            await comm.close()
        return False

    def authorize(self, comm: Comm, op: str, arguments: dict[str, Any]) -> None:
        """Refuse what a peer may not ask for, with a `PermissionError`; to be overridden."""

    def _call(self, comm: Comm, op: str, arguments: dict[str, Any]) -> Any:
        handler = self.handlers.get(op)
        if handler is None:
            known = ", ".join(sorted(self.handlers))
            raise UnknownOperationError(
                f"{type(self).__name__} has no operation {op!r}; it has: {known}"
            )
        if op in self.blocked_handlers:
            raise ValueError(f"the operation {op!r} is blocked by configuration on {self!r}")
        signature, takes_comm, checks = self._signature(handler)
        first = (comm,) if takes_comm else ()
        try:
            signature.bind(*first, **arguments)
        except TypeError as error:
            raise TypeError(f"operation {op!r}{signature}: {error}") from None
        for name, (check, kind) in checks.items():
            if name in arguments and not check(arguments[name]):
                raise TypeError(
                    f"operation {op!r}: {name} is to be {kind}, not {clean(repr(arguments[name]))}"
                )
        return handler(*first, **arguments)

    def _signature(self, handler: Handler) -> tuple[inspect.Signature, bool, Checks]:
        known = self._signatures.get(handler)
        if known is None:
            signature = inspect.signature(handler)
            first = next(iter(signature.parameters), None)
            known = signature, first == "comm", checks_of(handler)
            self._signatures[handler] = known
        return known

    def _takes(self, op: str, name: str) -> bool:
        handler = self.handlers.get(op)
        return handler is not None and name in self._signature(handler)[0].parameters

    # -- streams -----------------------------------------------------------------

    async def handle_stream(self, comm: Comm, extra: dict[str, Any] | None = None) -> None:
        """Call a stream handler for each message that comes, until the stream ends.

        Call it from a handler that takes `comm`. Each message is a dict with the name of a stream
        handler in `op`, or a list of such; ``{"op": "close-stream"}`` ends the stream. Nothing is
        answered, and an error in a handler is logged and ends the stream.
        """
        extra = extra or {}
        try:
            while True:
                messages = await comm.read()
                for message in messages if isinstance(messages, (list, tuple)) else [messages]:
                    arguments = dict(message)
                    op = arguments.pop("op")
                    if op == "close-stream":
                        return
                    handler = self.stream_handlers.get(op)
                    if handler is None:
                        known = ", ".join(sorted(self.stream_handlers))
                        raise UnknownOperationError(
                            f"no stream operation {op!r}; there are: {known}"
                        )
                    result = handler(**arguments, **extra)
                    if inspect.isawaitable(result):
                        await result
        except CommClosedError:
            pass
        except Exception:
            logger.exception("%r: the stream with %s failed", self, comm.peer_address)
            raise
        finally:
            await comm.close()


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # no loop runs
        return None


def _own_loop() -> asyncio.AbstractEventLoop:
    """The loop that the main thread will run; made where Python does not any more."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return asyncio.get_event_loop()
    except RuntimeError:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        return loop


async def _awaited(result: Awaitable[Any]) -> None:
    await result


class _Done:
    def __await__(self) -> Generator[Any, None, None]:
        return
        yield


def _done() -> Awaitable[None]:
    return _Done()
