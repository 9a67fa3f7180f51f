"""`Client`: the face of it all. Its methods are short; the work is done in the modules beside it.

More methods come from `collections.face` and from the classes in `verbs`.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import importlib
import logging
import os
import uuid
import weakref
from collections.abc import Callable, Iterable, Mapping
from contextvars import Token
from typing import TYPE_CHECKING, Any

from dask.base import get_annotations
from dask.typing import no_default
from dask.utils import format_bytes, parse_timedelta

from shoal import config, telemetry
from shoal._base.keys import decode_key
from shoal._base.later import later
from shoal._base.loop import LoopRunner, is_inherited
from shoal._base.versions import own_versions
from shoal.actors.connections import ActorConnections
from shoal.client.admin import requests as admin
from shoal.client.admin.data_methods import DataMethods
from shoal.client.admin.debug_methods import DebugMethods
from shoal.client.collections.default import client_as_current, hand_back, take_over
from shoal.client.collections.methods import CollectionMethods
from shoal.client.core.events import CancelRequested, Closed, GaveUp, RetryRequested
from shoal.client.core.state import CANCELLED, Record
from shoal.client.current import (
    current_client,
    enter_client,
    forget_client,
    forget_clients,
    leave_client,
    note_loss,
    remember_client,
)
from shoal.client.futures.actors import close_actor_connections
from shoal.client.futures.executor import ClientExecutor
from shoal.client.futures.future import Future, futures_of
from shoal.client.futures.gather import gather_async, gather_blocking
from shoal.client.observe.event_handlers import TopicHandlers
from shoal.client.observe.methods import InsightMethods
from shoal.client.session.callbacks import Callbacks
from shoal.client.session.connection import Connection
from shoal.client.session.context import ClientContext
from shoal.client.session.forked import leave_to_parent
from shoal.client.session.session import Session
from shoal.client.starting import (
    Target,
    load_security,
    make_local_cluster,
    shares_loop,
    start_preloads,
)
from shoal.client.submission.limits import Retry, for_task, with_cache_of
from shoal.client.submission.scatter import ScatterBatch, drop_spare_memory, scatter_data
from shoal.client.submission.streaming import is_stream, stream, stream_rows
from shoal.client.submission.submit import SubmitOptions, map_calls, submit_call
from shoal.comm.endpoints import with_secret
from shoal.comm.page_tokens import without_token
from shoal.comm.passages import with_relay
from shoal.comm.rpc import ConnectionPool, PooledRPC
from shoal.diagnostics.links import member_link
from shoal.preloading import Preloads
from shoal.security import Security
from shoal.wire.serialize.chosen import needs_choosing

if TYPE_CHECKING:
    from shoal.cache import cached
    from shoal.client.admin import environment as environments
    from shoal.client.admin import plugins as plugin_calls
    from shoal.client.admin import versions
    from shoal.coordination.stream import StreamFuture
    from shoal.diagnostics import reprs
    from shoal.plugins import builtin
else:
    cached = later("shoal.cache.cached")
    environments = later("shoal.client.admin.environment")
    plugin_calls = later("shoal.client.admin.plugins")
    versions = later("shoal.client.admin.versions")
    reprs = later("shoal.diagnostics.reprs")
    builtin = later("shoal.plugins.builtin")

__all__ = ["Client", "TaskClient"]

logger = logging.getLogger("shoal.client")

_UNSET = "__no_default__"
_open_clients: weakref.WeakSet[Client] = weakref.WeakSet()


class Client(CollectionMethods, DataMethods, InsightMethods, DebugMethods):
    """Connect to a cluster and submit work to it.

    It is used like an executor of `concurrent.futures`; futures may be arguments of further calls.

    Parameters
    ----------
    address : str or cluster, optional
        Address of a scheduler, such as ``"127.0.0.1:8786"``, or a cluster object. Without it, and
        without a scheduler file, the client starts a `LocalCluster` and closes it in the end.
    loop : event loop, optional
        Where to live; the process's own loop thread by default.
    timeout : float or str, optional
        Of the first connection; ``distributed.comm.timeouts.connect`` by default.
    set_as_default : bool
        Be the client that is meant where none is named.
    scheduler_file : str, optional
        File that tells the address.
    security : Security, dict or bool, optional
        Certificates and secret. True, with a new local cluster: certificates made for it.
    asynchronous : bool
        For use in coroutines: methods that would block return awaitables.
    name : str, optional
        Part of the client's id, which the scheduler's logs show.
    heartbeat_interval : float or str, optional
        Time between signs of life; a number is in milliseconds.
    serializers : list of str, optional
        Families of serialization for arguments and scattered data that are not plain: `TypeError`
        for what none of them knows. By default ``["dask", "pickle"]``. Functions are pickled.
    deserializers : list of str, optional
        Families that results may have been serialized by; others are a `TypeError`, and nothing of
        them is run. All by default.
    extensions : dict, optional
        Accepted for compatibility.
    direct_to_workers : bool, optional
        Whether to speak to workers directly, or through the scheduler. By default directly where
        they can be reached.
    connection_limit : int
        Connections open at once.
    environment : {"auto"}, optional
        Begin with `upload_environment`: workers import the local project's modules.
    **kwargs
        Arguments of `LocalCluster`.

    Examples
    --------
    >>> client = Client("127.0.0.1:8786")  # doctest: +SKIP
    >>> a = client.submit(add, 1, 2)  # doctest: +SKIP
    >>> b = client.submit(add, a, 20)  # doctest: +SKIP
    >>> b.result()  # doctest: +SKIP
    23
    """

    def __init__(
        self,
        address: Any = None,
        loop: Any = None,
        timeout: float | str | None = _UNSET,
        set_as_default: bool = True,
        scheduler_file: str | None = None,
        security: Security | dict[str, Any] | bool | None = None,
        asynchronous: bool = False,
        name: str | None = None,
        heartbeat_interval: float | str | None = None,
        serializers: Any = None,
        deserializers: Any = None,
        extensions: Any = None,
        direct_to_workers: bool | None = None,
        connection_limit: int = 512,
        environment: str | None = None,
        **kwargs: Any,
    ) -> None:
        if environment not in (None, "auto"):
            raise ValueError(f"environment= is 'auto' or None, got {environment!r}")
        self._environment = environment
        self._status = "newly-created"
        self.name = name
        self.id = f"{name or 'Client'}-{uuid.uuid4().hex}"
        self.direct_to_workers = direct_to_workers
        self.cluster: Any = None
        self.scheduler: PooledRPC = None  # type: ignore[assignment]  # until it is connected
        self.rpc: ConnectionPool = None  # type: ignore[assignment]
        self.connection_args: dict[str, Any] = {}
        self.extensions: dict[str, Any] = dict(extensions or {})
        self.scheduler_file = scheduler_file
        self.preloads: Preloads | None = None  # until it is connected
        self.generation = 0
        self._entered: list[Token[ClientContext | None]] = []
        self._asynchronous = asynchronous
        self._given_security = security
        for sentence in config.unheeded():
            logger.warning("%s", sentence)
        self._connection_limit = connection_limit
        self._timeout = config.get_seconds("distributed.comm.timeouts.connect", _given(timeout))
        self._heartbeat = _heartbeat_seconds(heartbeat_interval)
        self._target = Target(address, scheduler_file, kwargs)
        self._cluster_kwargs = kwargs
        self._set_as_default = set_as_default
        self._connection: Connection | None = None
        self._session = Session(self, self.id, name, own_versions())
        self._sends_code = config.get_int("distributed.diagnostics.computations.nframes") > 0
        self._sends_code |= telemetry.is_on()
        self._session.serializers = _chosen(serializers)
        self._session.deserializers = _chosen(deserializers)
        self._callbacks = Callbacks(self._session)
        self._topics = TopicHandlers(self)
        self._identity: dict[str, Any] = {}
        self._identity_task: asyncio.Task[None] | None = None
        self._unreachable: set[str] = set()
        self._known_workers: set[str] = set()
        self._actor_connections: ActorConnections | None = None
        if self._target.is_own:
            self._make_cluster(loop)
        cluster = self._target.cluster
        if cluster is not None and loop is None and shares_loop(cluster, asynchronous):
            loop = getattr(cluster, "loop", None)
        self._loop_runner = LoopRunner(loop=loop, asynchronous=asynchronous)
        self._starting: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._begin()

    def _make_cluster(self, loop: Any) -> None:
        kwargs = dict(self._cluster_kwargs)
        kwargs.setdefault("security", self._given_security)
        kwargs.setdefault("loop", loop)
        self._target.cluster = self.cluster = make_local_cluster(
            asynchronous=self._asynchronous, **kwargs
        )

    def _begin(self) -> None:
        """Connect; where nobody may wait, in the background."""
        self.cluster = self._target.cluster
        self._loop_runner.start()
        self._session.attach(self.loop.asyncio_loop)
        if self._set_as_default:
            remember_client(self)
            take_over(self)
        _open_clients.add(self)
        self._session.on_workers.append(self._note_workers)
        self._session.on_ended = self._note_end
        if self.asynchronous:
            self._start_soon()
            return
        try:
            self.sync(self._start)
        except BaseException:
            if self._target.is_own:
                self.cluster.close()
            self._loop_runner.stop()
            raise

    def _start_soon(self) -> None:
        self._starting = self.loop.create_task(self._start())
        self._starting.add_done_callback(_look_at)

    async def _start(self) -> None:
        self._status = "connecting"
        try:
            address, secret = await self._target.find(self._timeout)
            security = load_security(self._given_security, self._target, self.cluster)
            self.security = with_secret(security, secret)
            self.connection_args = with_relay(
                self.security.get_connection_args("client"), lambda: address
            )
            self.rpc = ConnectionPool(
                limit=self._connection_limit,
                connection_args=self.connection_args,
                timeout=self._timeout,
            )
            self.rpc.expected[address] = ("scheduler",)
            self.scheduler = self.rpc(address)
            self._session.stores.in_process = address.startswith("inproc:")
            self._connection = Connection(
                self._session,
                address,
                {**self.connection_args, "expected": ("scheduler",)},
                self._heartbeat,
            )
            await self._connection.open(self._timeout)
            self._identity = await self.scheduler.identity()
        except BaseException as error:
            self._status = "closed"
            _open_clients.discard(self)
            hand_back(self)
            self._session.hand(GaveUp(f"the client could not connect: {error}"))
            await self._disconnect()
            raise
        self._status = "running"
        self.preloads = await start_preloads(self)
        if self._environment == "auto":
            await environments.upload_environment(self, None, True)

    # ------------------------------------------------------------------ life

    async def __aenter__(self) -> Client:
        await self
        self._enter()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._leave()
        await self._close()

    def _enter(self) -> None:
        """Be the current client of this context, as `as_current` has it."""
        if self._set_as_default:
            self._entered.append(enter_client(self))

    def _leave(self) -> None:
        if self._entered:
            leave_client(self._entered.pop())

    def __enter__(self) -> Client:
        if self._asynchronous:
            raise RuntimeError("this client is asynchronous: use `async with`")
        self._enter()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._leave()
        self.close()

    def start(self, **kwargs: Any) -> Any:
        """Wait for the connection, which clients make by themselves."""
        return self.sync(self._started)

    def close(self, timeout: float | str | None = _UNSET) -> Any:
        """Close this client; what it wants is released.

        A local cluster that it started is closed too. Open clients close when Python ends.

        Parameters
        ----------
        timeout : float or str, optional
            Seconds to wait for the connections to close.
        """
        seconds = config.get_seconds("distributed.comm.timeouts.connect", _given(timeout))
        if self.asynchronous:
            return self._close(seconds)
        if self._status == "closed" and self._closing is None:
            return None
        try:
            self.sync(self._close, seconds)
        except RuntimeError:  # the loop is gone already
            self._status = "closed"
            _open_clients.discard(self)
            hand_back(self)
        if self._target.is_own and not is_inherited(self.loop.asyncio_loop):
            self.cluster.close()
        self._loop_runner.stop()
        return None

    async def _close(self, timeout: float | None = None) -> None:
        if self._closing is None:
            self._closing = self.loop.create_task(self._close_once(timeout))
        await asyncio.shield(self._closing)

    async def _close_once(self, timeout: float | None) -> None:
        if self._starting is not None and not self._starting.done():
            self._starting.cancel()
            await asyncio.wait([self._starting])
        self._status = "closing"
        if self.preloads is not None:
            await self.preloads.teardown()
        forget_client(self)
        hand_back(self)
        self._session.outbox.drain()
        self._session.hand(Closed())
        try:
            async with asyncio.timeout(timeout):
                await self._disconnect()
        except TimeoutError:
            logger.info("the connections of %s did not close within %s s", self.id, timeout)
        self._callbacks.close()
        _open_clients.discard(self)
        if self._target.is_own and self._asynchronous:
            await self.cluster.close()
        self._status = "closed"

    async def _disconnect(self) -> None:
        close_actor_connections(self)
        if self._identity_task is not None:
            self._identity_task.cancel()
        if self._connection is not None:
            await self._connection.close()
        if self.rpc is not None:
            await self.rpc.close()
        drop_spare_memory(self)

    def shutdown(self) -> Any:
        """Shut down the scheduler and the workers, then close this client."""
        return self.sync(self._shutdown) if self.asynchronous else self._shutdown_blocking()

    def _shutdown_blocking(self) -> None:
        if self.cluster is None:
            # The connection may end before the answer is here.
            with contextlib.suppress(OSError, RuntimeError):
                self.sync(self._terminate)
            self.close()
            return
        self.close()
        self.cluster.close()

    async def _shutdown(self) -> None:
        if self.cluster is None:
            with contextlib.suppress(OSError, RuntimeError):
                await self._terminate()
            await self._close()
            return
        await self._close()
        await self.cluster.close()

    async def _terminate(self) -> None:
        await self
        await self.scheduler.terminate(reason=f"the client {self.id} shut it down")

    # ------------------------------------------------------------------ which client

    @classmethod
    def current(cls, allow_global: bool = True) -> Client:
        """Return the client of the context (`as_current`), else the newest.

        Parameters
        ----------
        allow_global : bool
            False: only the client of the context.

        Raises
        ------
        ValueError
            When there is none.
        """
        found = current_client(allow_global)
        assert isinstance(found, Client)  # as it is remembered by its constructor
        return found

    def as_current(self) -> contextlib.AbstractContextManager[None]:
        """Return a context manager that makes this client the current one of the context.

        Futures that are unpickled inside become this client's.
        """
        return client_as_current(self)

    # ------------------------------------------------------------------ tasks

    def submit(
        self,
        func: Callable[..., Any],
        *args: Any,
        key: Any = None,
        workers: Any = None,
        resources: Mapping[str, float | str] | None = None,
        retries: int | Retry | None = None,
        priority: float = 0,
        fifo_timeout: float | str = "100 ms",
        allow_other_workers: bool = False,
        actor: bool = False,
        actors: bool = False,
        pure: bool | None = None,
        timeout: Any = no_default,
        cache: Any = no_default,
        **kwargs: Any,
    ) -> Future:
        """Have a function called on a worker.

        Parameters
        ----------
        func : callable
            The function; a coroutine function runs on the worker's event loop.
        *args, **kwargs
            Its arguments. Futures among them, also in lists and dicts, become their results.
        key : str or tuple, optional
            Name of the task; made of the function and the arguments by default.
        workers : str or list of str, optional
            Addresses, names or hosts of workers that may run it.
        resources : dict, optional
            The resources of workers that it takes, ``{"GPU": 2}``.
        retries : int or Retry, optional
            How often it is tried again when it fails, and how.
        priority : float
            Higher runs first.
        fifo_timeout : float or str
            Calls within this time have the same priority.
        allow_other_workers : bool
            Whether others than `workers` may run it if none of these is there.
        actor, actors : bool
            Must be False.
        pure : bool, optional
            Whether equal calls give equal results (the default): they share a key and run once.
        timeout : float or str, optional
            How long a run may take on its worker. Then its code is stopped, and it fails with
            `TaskTimeout`. A function that takes a ``timeout`` itself is given it instead: say
            ``with dask.annotate(timeout="30s")`` then.
        cache : str, path or Store, optional
            Where results are kept and looked up, by the function's code and its arguments: a
            folder, or an address that fsspec knows. A function that takes a ``cache`` itself is
            given it instead; decorate it with `shoal.cached` then.

        Returns
        -------
        Future

        Examples
        --------
        >>> c = client.submit(add, a, b)  # doctest: +SKIP
        """
        if self._session.ended is not None:
            self._check_open()
        options: SubmitOptions | None = None
        if timeout is not no_default:
            timeout = for_task(func, "timeout", timeout, kwargs)
        else:
            timeout = None
        if cache is not no_default:
            func = with_cache_of(func, cache, kwargs)
        if (
            workers is not None
            or resources
            or retries
            or priority
            or fifo_timeout != "100 ms"
            or allow_other_workers
            or actor
            or actors
            or pure is False
            or timeout is not None
            or self._sends_code
            or get_annotations()
        ):
            options = SubmitOptions(
                workers=workers,
                resources=resources,
                retries=retries,
                priority=priority,
                fifo_timeout=fifo_timeout,
                allow_other_workers=allow_other_workers,
                actor=actor or actors,
                pure=pure,
                timeout=timeout,
            )
            if options.cache is not None:
                func = cached.with_cache(func, options.cache)
        return submit_call(self._session, func, args, kwargs, key, options)

    def map(
        self,
        func: Callable[..., Any],
        *iterables: Any,
        key: Any = None,
        workers: Any = None,
        retries: int | Retry | None = None,
        resources: Mapping[str, float | str] | None = None,
        priority: float = 0,
        allow_other_workers: bool = False,
        fifo_timeout: float | str = "100 ms",
        actor: bool = False,
        actors: bool = False,
        pure: bool | None = None,
        batch_size: int | None = None,
        timeout: Any = no_default,
        cache: Any = no_default,
        **kwargs: Any,
    ) -> Any:
        """Have a function called on workers with each item of iterables.

        Parameters
        ----------
        func : callable
            The function.
        *iterables
            Its positional arguments, item by item, as with the builtin `map`.
        key : str or list, optional
            First part of the keys, or the keys.
        batch_size : int, optional
            Tasks that are told to the scheduler at once, at most.
        **kwargs
            Keyword arguments of all calls. Large values travel once.
        workers, retries, resources, priority, allow_other_workers, fifo_timeout, pure, timeout,
        cache
            As in `submit`.

        Returns
        -------
        list of Future
            An iterator or a queue of futures when all inputs are iterators or queues.

        Examples
        --------
        >>> futures = client.map(inc, range(10))  # doctest: +SKIP
        """
        self._check_open()
        if timeout is not no_default:
            timeout = for_task(func, "timeout", timeout, kwargs)
        else:
            timeout = None
        if cache is not no_default:
            func = with_cache_of(func, cache, kwargs)
        options = SubmitOptions(
            workers=workers,
            resources=resources,
            retries=retries,
            priority=priority,
            fifo_timeout=fifo_timeout,
            allow_other_workers=allow_other_workers,
            actor=actor or actors,
            pure=pure,
            timeout=timeout,
        )
        if not callable(func):
            raise TypeError(f"the first argument of map() must be a function, got {func!r}")
        if options.cache is not None:
            func = cached.with_cache(func, options.cache)
        if iterables and all(map(is_stream, iterables)):
            if key is not None and not isinstance(key, str):
                raise TypeError("with iterators and queues, key= must be a prefix")

            def one(args: tuple[Any, ...]) -> Future:
                items = [[arg] for arg in args]
                return map_calls(self._session, func, items, kwargs, key, 1, options)[0]

            return stream_rows(self, iterables, one)
        return map_calls(self._session, func, iterables, kwargs, key, batch_size, options)

    def stream(
        self,
        func: Callable[..., Any],
        *args: Any,
        buffer: int = 32,
        resume: str | None = None,
        **kwargs: Any,
    ) -> StreamFuture:
        """Run a generator function on a worker, and get the parts that it yields while it runs.

        Parameters
        ----------
        func : callable
            A generator function, or an asynchronous one.
        *args, **kwargs
            Its arguments, and those of `submit`: `workers`, `retries`, `timeout` and the others.
        buffer : int
            Parts that wait to be taken, at most: while there are so many, the task waits.
        resume : str, optional
            Name of a parameter of the function. When the task is run again, because it failed
            (`retries`) or its worker died, this one says how many parts came already, and the
            function goes on with the next. Without it the function yields from its start, and parts
            that were taken are skipped; so it must yield the same again.

        Returns
        -------
        StreamFuture
            For ``for part in future``, or ``async for``. When it is dropped, or closed, the task is
            stopped.

        Examples
        --------
        >>> for batch in client.stream(read_batches, "data.parquet"):  # doctest: +SKIP
        ...     train(batch)
        """
        self._check_open()
        begin = importlib.import_module("shoal.coordination.stream").begin_stream
        stream: StreamFuture = begin(self, func, args, kwargs, buffer, resume)
        return stream

    def get_executor(self, **kwargs: Any) -> ClientExecutor:
        """Return a `concurrent.futures.Executor` whose calls run on the cluster.

        Parameters
        ----------
        **kwargs
            Of `submit`, for all calls: `workers`, `resources`, `retries`, `priority`,
            `allow_other_workers`, `fifo_timeout`, `pure`.

        Examples
        --------
        >>> with client.get_executor(retries=2) as executor:  # doctest: +SKIP
        ...     list(executor.map(inc, range(10)))
        """
        self._check_open()
        return ClientExecutor(self, **kwargs)

    def cancel(
        self,
        futures: Any,
        asynchronous: bool | None = None,
        force: bool = False,
        reason: str | None = None,
        msg: str | None = None,
    ) -> Any:
        """Cancel tasks, and those that depend on them; results that are there are dropped.

        Parameters
        ----------
        futures : list of Future
            The futures or collections to cancel.
        force : bool
            Also what other clients want, and what runs: its code is stopped as by a ``timeout=``,
            which `get_events("interrupts")` tells of.
        reason, msg : str, optional
            The text of the error that other clients get.
        """
        why = ". ".join(text for text in (reason, msg) if text) or "cancelled by the user"
        return self.sync(self._cancel, futures, force, why, asynchronous=asynchronous)

    async def _cancel(self, futures: Any, force: bool, reason: str) -> None:
        self._session.post(CancelRequested(admin.keys_in(futures) or [], force, reason))
        self._session.outbox.drain()

    def retry(self, futures: Any, asynchronous: bool | None = None) -> Any:
        """Run failed tasks again.

        Parameters
        ----------
        futures : list of Future
            Tasks that did not fail are left alone.
        """
        return self.sync(self._retry, futures, asynchronous=asynchronous)

    async def _retry(self, futures: Any) -> None:
        self._session.post(RetryRequested(admin.keys_in(futures) or []))
        self._session.outbox.drain()

    # ------------------------------------------------------------------ data

    def gather(
        self,
        futures: Any,
        errors: str = "raise",
        direct: bool | None = None,
        asynchronous: bool | None = None,
    ) -> Any:
        """Wait for futures and return their results, in containers of the same kind.

        Parameters
        ----------
        futures : Future, or nested lists, tuples, sets and dicts of futures
            An iterator or a queue gives an iterator or a queue.
        errors : {"raise", "skip"}
            The treatment of tasks that failed: raise the error, or leave them out.
        direct : bool, optional
            Fetch from the workers, or through the scheduler.

        Examples
        --------
        >>> client.gather([x, [x], x])  # doctest: +SKIP
        [3, [3], 3]
        """
        if is_stream(futures):
            return stream(self, futures, lambda item: self.gather(item, errors, direct))
        if self.asynchronous if asynchronous is None else asynchronous:
            return gather_async(self, futures, errors, direct)
        return gather_blocking(self, futures, errors, direct)

    def scatter(
        self,
        data: Any,
        workers: Any = None,
        broadcast: bool | int = False,
        direct: bool | None = None,
        hash: bool = True,
        timeout: float | str | None = _UNSET,
        asynchronous: bool | None = None,
    ) -> Any:
        """Put local data on workers.

        Parameters
        ----------
        data : list, tuple, namedtuple, dict, set, range, iterator, queue, or any other value
            Each item of a container becomes a future; the names in a dict are the keys. A value
            of a type derived from these, such as an `OrderedDict`, is one.
        workers : list of str or (host, port), optional
            Where to put it; by default on all workers in turn, according to their threads.
        broadcast : bool or int
            Put each item on all workers, or on so many.
        direct : bool, optional
            Send it to the workers, or through the scheduler.
        hash : bool
            Make keys from the data, so that equal data is there once. Otherwise keys are random.
        timeout : float or str, optional
            Seconds to wait for workers when there are none.

        Returns
        -------
        list, dict, set, iterator or queue of futures, or a Future
            Like the data; a list for a range.

        Examples
        --------
        >>> [future] = client.scatter([frame], broadcast=True)  # doctest: +SKIP
        """
        self._check_open()
        if is_stream(data):
            return stream(
                self,
                data,
                lambda item: self.scatter([item], workers, broadcast, direct, hash, timeout)[0],
            )
        seconds = config.get_seconds("distributed.comm.timeouts.connect", _given(timeout))
        if self.asynchronous if asynchronous is None else asynchronous:
            return self._scatter(data, hash, workers, broadcast, direct, seconds)
        batch = ScatterBatch(data, hash, self._session.serializers)
        holders = self.sync(
            scatter_data, self, batch, workers, broadcast, direct, seconds, asynchronous=False
        )
        return batch.futures(self, holders)

    async def _scatter(
        self,
        data: Any,
        hash: bool,
        workers: Any,
        broadcast: bool | int,
        direct: bool | None,
        timeout: float,
    ) -> Any:
        await self
        batch = ScatterBatch(data, hash, self._session.serializers)
        holders = await scatter_data(self, batch, workers, broadcast, direct, timeout)
        return batch.futures(self, holders)

    def futures_of(self, futures: Any) -> list[Future]:
        """Return the futures in containers and collections (see `shoal.futures_of`)."""
        return futures_of(futures, client=self)

    @property
    def futures(self) -> dict[Any, Record]:
        """A copy of the record of each key that has a future here, by key."""
        with self._session.lock:
            records = list(self._session.records.values())
        return {decode_key(record.key): record for record in records}

    # ------------------------------------------------------------------ questions

    @property
    def dashboard_link(self) -> str:
        """Web address of the cluster's dashboard; empty where there is none."""
        link = getattr(self.cluster, "dashboard_link", None)
        if isinstance(link, str) and link:
            return link
        return member_link(self._identity, self.security.secret)

    @property
    def refcount(self) -> dict[Any, int]:
        """How many futures there are of each key here: a copy, by key."""
        return {key: record.futures for key, record in self.futures.items()}

    def scheduler_info(self, n_workers: int = -1, **kwargs: Any) -> dict[str, Any]:
        """Return what the scheduler is, and its workers.

        In asynchronous code this is what was known lately, and it is asked for again.

        Parameters
        ----------
        n_workers : int
            How many workers to describe; all by default.
        """
        if self.asynchronous:
            self._note_workers()
        else:
            self._identity = self.sync(self._ask, "identity", **kwargs)
        if n_workers < 0:
            return self._identity
        workers = list(self._identity.get("workers", {}).items())[:n_workers]
        return {**self._identity, "workers": dict(workers)}

    def nthreads(self, workers: Any = None, **kwargs: Any) -> Any:
        """Return the number of threads of each worker.

        Examples
        --------
        >>> client.nthreads()  # doctest: +SKIP
        {'tcp://192.168.1.141:46784': 8}
        """
        return self.sync(admin.ask_by_worker, self, "nthreads", workers, **kwargs)

    ncores = nthreads

    def who_has(self, futures: Any = None, **kwargs: Any) -> Any:
        """Return the workers that hold each result.

        Parameters
        ----------
        futures : list of Future or key, optional
            All by default.
        """
        return self.sync(admin.ask_by_key, self, "who_has", futures, **kwargs)

    def has_what(self, workers: Any = None, **kwargs: Any) -> Any:
        """Return the keys that each worker holds."""
        return self.sync(admin.ask_by_worker, self, "has_what", workers, **kwargs)

    def processing(self, workers: Any = None) -> Any:
        """Return the keys that each worker runs, or is to run next."""
        return self.sync(admin.ask_by_worker, self, "processing", workers)

    def nbytes(self, keys: Any = None, summary: bool = True, **kwargs: Any) -> Any:
        """Return the bytes of each key on the cluster.

        Parameters
        ----------
        keys : list, optional
            All by default.
        summary : bool
            Add up keys that begin with the same name.
        """
        return self.sync(admin.sizes, self, keys, summary, **kwargs)

    def explain(self, future: Any) -> Any:
        """Return, in words, why a task is where it is.

        Parameters
        ----------
        future : Future, key or collection
            Of the task. Of a collection with several futures: one after the other.
        """
        return self.sync(self._explain, admin.keys_in(future) or [""])

    async def _explain(self, keys: list[str]) -> str:
        return "\n".join([await self._ask("explain", key=key) for key in keys])

    def story(self, *keys_or_stimuli: Any, on_error: str = "raise") -> Any:
        """Return the remembered transitions of tasks: (key, start, finish, stimulus, time).

        Parameters
        ----------
        *keys_or_stimuli
            Futures, collections or keys.
        on_error : {"raise", "ignore"}
            Accepted for compatibility: the scheduler alone is asked.
        """
        return self.sync(self._story, admin.keys_in(list(keys_or_stimuli)))

    async def _story(self, keys: list[str]) -> list[tuple[Any, ...]]:
        entries = await self._ask("story", keys=keys)
        return [(decode_key(key), *rest) for key, *rest in entries]

    def get_scheduler_logs(self, n: int | None = None) -> Any:
        """Return the last `n` log records of the scheduler, newest first: (level, text)."""
        return self.sync(self._ask, "logs", n=n)

    def get_worker_logs(
        self, n: int | None = None, workers: Any = None, nanny: bool = False
    ) -> Any:
        """Return the last `n` log records of workers, or of their nannies, by worker."""
        request = {"op": "logs", "n": n}
        return self.sync(admin.ask_workers, self, request, workers, nanny)

    def get_versions(self, check: bool = False, packages: Iterable[str] = ()) -> Any:
        """Return versions of Python and packages at the scheduler, the workers and here.

        Parameters
        ----------
        check : bool
            Raise `ValueError` when they differ; its text is a table of what does.
        packages : list of str
            Further packages.
        """
        return self.sync(versions.get_versions, self, check, packages)

    def write_scheduler_file(self, scheduler_file: str) -> Any:
        """Write a file with which others, of this user, connect to the same scheduler."""
        return self.sync(admin.write_scheduler_file, self, scheduler_file)

    # ------------------------------------------------------------------ users' functions

    def run(
        self,
        function: Callable[..., Any],
        *args: Any,
        workers: Any = None,
        wait: bool = True,
        nanny: bool = False,
        on_error: str = "raise",
        **kwargs: Any,
    ) -> Any:
        """Call a function on all workers, now, outside of tasks.

        Parameters
        ----------
        function : callable
            The function; a coroutine function is awaited. An argument `dask_worker` of it is the
            worker.
        *args, **kwargs
            Its arguments.
        workers : list of str, optional
            All by default.
        wait : bool
            False: start it and do not wait for its result.
        nanny : bool
            Run it on the nannies of the workers.
        on_error : {"raise", "return", "ignore"}
            The treatment of workers where it fails.

        Returns
        -------
        dict
            Results by worker; `None` without `wait`.
        """
        return self.sync(
            admin.run_on_workers,
            self,
            function,
            args,
            kwargs,
            workers=workers,
            wait=wait,
            nanny=nanny,
            on_error=on_error,
        )

    def run_coroutine(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run a coroutine function on all workers (see `run`)."""
        return self.run(function, *args, **kwargs)

    def run_on_scheduler(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function in the scheduler's process.

        An argument `dask_scheduler` of it is the scheduler. With ``wait=False`` a coroutine
        function is started only.
        """
        wait = kwargs.pop("wait", True)
        return self.sync(admin.run_on_scheduler, self, function, args, kwargs, wait)

    # ------------------------------------------------------------------ plugins

    def register_plugin(
        self, plugin: Any, name: str | None = None, idempotent: bool | None = None, **kwargs: Any
    ) -> Any:
        """Register a plugin of the scheduler, of workers or of nannies.

        Parameters
        ----------
        plugin : SchedulerPlugin, WorkerPlugin or NannyPlugin
            The plugin, which is pickled; or its class.
        name : str, optional
            By default the plugin's own `name`, or a random one. A plugin replaces an older one of
            the same name.
        idempotent : bool, optional
            Keep an older one instead; by default what the plugin says.
        **kwargs
            Of the class, where that was given.

        Returns
        -------
        dict or None
            For plugins of workers and nannies: ``{"status": "OK"}`` by worker.
        """
        return self.sync(plugin_calls.register_any, self, plugin, name, idempotent, kwargs=kwargs)

    def register_scheduler_plugin(
        self, plugin: Any, name: str | None = None, idempotent: bool | None = None, **kwargs: Any
    ) -> Any:
        """Register a plugin of the scheduler (see `register_plugin`)."""
        return self.sync(
            plugin_calls.register_any, self, plugin, name, idempotent, "scheduler", kwargs
        )

    def unregister_scheduler_plugin(self, name: str) -> Any:
        """Close and forget a plugin of the scheduler."""
        return self.sync(plugin_calls.unregister, self, name, "scheduler")

    def register_worker_plugin(
        self, plugin: Any = None, name: str | None = None, nanny: bool | None = None, **kwargs: Any
    ) -> Any:
        """Register a plugin of all workers, those that come later too (see `register_plugin`).

        Parameters
        ----------
        nanny : bool, optional
            Register it with the nannies instead; by default what the plugin's class says.

        Examples
        --------
        >>> client.register_worker_plugin(MyPlugin(1, 2), name="mine")  # doctest: +SKIP
        >>> client.run(lambda dask_worker: dask_worker.plugins["mine"])  # doctest: +SKIP
        """
        where = "nanny" if nanny else "worker"
        return self.sync(plugin_calls.register_any, self, plugin, name, None, where, kwargs)

    def unregister_worker_plugin(self, name: str, nanny: bool | None = None) -> Any:
        """Tear down a plugin of workers, or of nannies."""
        return self.sync(plugin_calls.unregister, self, name, "nanny" if nanny else "worker")

    def register_worker_callbacks(self, setup: Callable[..., Any] | None = None) -> Any:
        """Have a function called on all workers now, and on those that come later.

        Parameters
        ----------
        setup : callable
            It gets the worker where it takes an argument ``dask_worker``.
        """
        return self.sync(plugin_calls.register_here, self, setup)

    def upload_file(self, filename: str, load: bool = True) -> Any:
        """Put a file on all workers, and make it importable there (``.py``, ``.egg``, ``.zip``).

        Workers that come later get it too.

        Parameters
        ----------
        filename : str
            The file.
        load : bool
            Whether the workers import it at once.

        Examples
        --------
        >>> client.upload_file("mylibrary.egg")  # doctest: +SKIP
        >>> from mylibrary import myfunc  # doctest: +SKIP
        >>> futures = client.map(myfunc, seq)  # doctest: +SKIP
        """
        return self.sync(plugin_calls.register_any, self, builtin.UploadFile(filename, load=load))

    def upload_environment(
        self, folder: str | os.PathLike[str] | None = None, locked: bool = True
    ) -> Any:
        """Make the local project's own modules importable on all workers, as they are here now.

        These are the modules beside the program or notebook, those of editable installs, and what
        this process has imported from outside of installed packages. They are unpacked once per
        host; workers that come later have them too. Packages whose versions differ are named in a
        warning.

        Parameters
        ----------
        folder : path, optional
            Of the program or notebook; by default that of the running one.
        locked : bool
            Whether packages that the project locks with uv (``uv.lock``) are installed on workers
            that lack them, or have other versions of them.

        Returns
        -------
        dict
            ``modules``, their ``digest``, and ``differ``: by worker, packages with the version here
            and there.

        Examples
        --------
        >>> client.upload_environment()["modules"]  # doctest: +SKIP
        ['mylibrary', 'settings']
        """
        return self.sync(environments.upload_environment, self, folder, locked)

    # ------------------------------------------------------------------ workers

    def wait_for_workers(self, n_workers: int = 0, timeout: float | str | None = None) -> Any:
        """Wait until there are at least so many workers; for none, it returns at once.

        Raises
        ------
        TimeoutError
            When they did not come in time.
        """
        seconds = None if timeout is None else float(parse_timedelta(timeout, default="s"))
        return self.sync(admin.wait_for_workers, self, n_workers, seconds)

    def retire_workers(self, workers: Any = None, close_workers: bool = True, **kwargs: Any) -> Any:
        """Move data away from workers, then close them.

        Parameters
        ----------
        workers : list of str, optional
            Addresses; those that can be spared by default.
        close_workers : bool
            False: only take them out of the cluster.
        **kwargs
            Of the scheduler: `names`, `n`.
        """
        return self.sync(
            self._ask, "retire_workers", workers=workers, close_workers=close_workers, **kwargs
        )

    def restart(self, timeout: float | str = "60s", wait_for_workers: bool = True) -> Any:
        """Forget all tasks and restart the worker processes.

        Parameters
        ----------
        timeout : float or str
            Seconds to wait for the workers to be back.
        wait_for_workers : bool
            Whether to wait for them.
        """
        seconds = float(parse_timedelta(timeout, default="s"))
        return self.sync(self._restart, seconds, wait_for_workers)

    async def _restart(self, timeout: float, wait_for_workers: bool) -> Client:
        await self
        self._session.outbox.drain()
        records = list(self._session.records.values())
        await self.scheduler.restart(timeout=timeout, wait_for_workers=wait_for_workers)
        # The news is on the stream, and the answer came on another connection.
        deadline = self.loop.time() + 5
        while any(r.status != CANCELLED for r in records) and self.loop.time() < deadline:
            await asyncio.sleep(0.005)
        return self

    def restart_workers(
        self, workers: Any, timeout: float | str = "60s", raise_for_error: bool = True
    ) -> Any:
        """Have the nannies of workers start their processes anew.

        Parameters
        ----------
        workers : list of str
            Addresses, names or hosts.
        timeout : float or str
            Seconds that each may take.
        raise_for_error : bool
            Raise what went wrong with one; False: return it in its place.

        Returns
        -------
        dict
            ``"OK"`` or what went wrong, by worker.
        """
        seconds = float(parse_timedelta(timeout, default="s"))
        return self.sync(
            self._ask,
            "restart_workers",
            workers=workers,
            timeout=seconds,
            on_error="raise" if raise_for_error else "return",
        )

    def _note_workers(self) -> None:
        """Workers came or went: keep what is shown of the cluster up to date."""
        state = self._session.machine.state
        self._unreachable.intersection_update(state.workers)
        known = {*state.workers, *state.known_workers}
        gone, self._known_workers = self._known_workers - known, known
        for address in gone:  # a host that is cut off, or a process that hangs, breaks nothing off
            self.rpc.remove(address, reason="its worker has gone")
        if self.status == "running" and self._identity_task is None:
            self._identity_task = self.loop.create_task(self._refresh_identity())

    def _note_end(self, reason: str) -> None:
        """The scheduler is gone for good: requests to it fail at once."""
        if self._is_left:
            note_loss(reason)
        if self.rpc is not None:
            self.rpc.end(f"this client cannot be used any more: {reason}")

    async def _refresh_identity(self) -> None:
        try:
            await asyncio.sleep(0.05)  # they often come in crowds
            self._identity = await self.scheduler.identity()
        except (OSError, RuntimeError):  # it is known what was known
            pass
        finally:
            self._identity_task = None

    # ------------------------------------------------------------------ for people

    def __reduce__(self) -> Any:
        raise TypeError(
            f"there is a {type(self).__name__} in it, and that cannot be pickled: a task gets one "
            "by get_client() or worker_client(), and objects that hold one can leave it out in "
            "__getstate__"
        )

    def __repr__(self) -> str:
        if self.status != "running":
            return f"<Client: {self.status}, to {self._target}>"
        workers = self._identity.get("workers", {}).values()
        threads = sum(worker["nthreads"] for worker in workers)
        memory = [worker["memory_limit"] for worker in workers]
        shown = f", memory={format_bytes(sum(memory))}" if memory and all(memory) else ""
        if self.dashboard_link:
            shown += f", dashboard={without_token(self.dashboard_link)}"
        return (
            f"<Client: {self.scheduler.address!r} "
            f"processes={len(workers)} threads={threads}{shown}>"
        )

    def _repr_html_(self) -> str:
        if self.status != "running":
            return reprs.card("Client", {"Id": self.id, "Status": self.status, "To": self._target})
        workers = self._identity.get("workers", {})
        facts = {
            "Id": self.id,
            "Scheduler": self.scheduler.address,
            "Dashboard": self.dashboard_link or None,
            **reprs.facts_of_workers(workers),
        }
        return reprs.card("Client", facts, reprs.workers_table(workers))


class TaskClient(Client):
    """The client of a worker's tasks (see `get_client`); it connects in the background."""

    def _begin(self) -> None:
        self._loop_runner.start()
        self._session.attach(self.loop.asyncio_loop)
        take_over(self)  # tasks that compute collections find it
        _open_clients.add(self)
        if self.asynchronous:
            self._start_soon()
        else:
            self.loop.call_soon_threadsafe(self._start_soon)


def _chosen(families: Iterable[str] | None) -> list[str] | None:
    """Return families that something else than the usual pickle must serve, if that is so."""
    names = None if families is None else list(families)
    return names if needs_choosing(names) else None


def _given(timeout: float | str | None) -> float | str | None:
    return None if timeout == _UNSET else timeout


def _heartbeat_seconds(given: float | str | None) -> float:
    if given is None:
        return config.get_seconds("distributed.client.heartbeat")
    return float(parse_timedelta(given, default="ms"))


def _look_at(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()  # the futures tell; nobody has to await the client


def _close_all() -> None:
    """Python ends: say goodbye, and end the clusters that clients started."""
    for client in list(_open_clients):
        if client._asynchronous:
            continue  # its loop is over
        with contextlib.suppress(Exception):
            client.close(timeout=2)


def _forget_all() -> None:
    # A forked child has neither the loop's thread nor a connection of its own.
    for client in list(_open_clients):
        leave_to_parent(client._session)
    _open_clients.clear()
    forget_clients()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
