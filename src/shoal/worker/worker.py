"""The worker's shell: sockets, threads, files and timers around the core of `worker.core`.

Messages become events, effects become calls of the executor, the store, the transfer and the link
to the scheduler. The meaning of a task is not known here.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Any

import psutil

from shoal import config
from shoal._base.alarm import Alarm
from shoal._base.logs import LogBuffer
from shoal._base.running_board import RunningBoard
from shoal._base.system import CPU_COUNT, parse_memory_limit
from shoal.comm.addressing import contact_of
from shoal.comm.endpoints import listen_args, listening_addresses, scheduler_of, with_secret
from shoal.comm.passages import with_relay
from shoal.comm.retiring import hand_over
from shoal.comm.rpc import ConnectionPool
from shoal.comm.status import Status
from shoal.comm.stream_messages import Outboxes
from shoal.diagnostics.reprs import WorkerRepr
from shoal.preloading import Preloads
from shoal.security import Security
from shoal.wire import messages as m
from shoal.wire.plain import plain
from shoal.worker import core
from shoal.worker.actors import Actors
from shoal.worker.applier import WorkerApplier
from shoal.worker.calls import ShellCalls
from shoal.worker.directory import make_directory
from shoal.worker.exchange import Exchange
from shoal.worker.executor.functions import FunctionCache
from shoal.worker.executor.pool import ThreadPool
from shoal.worker.link import SchedulerLink
from shoal.worker.memory_watch import MemoryWatch
from shoal.worker.operations import OPERATIONS
from shoal.worker.pages import WorkerPages
from shoal.worker.plugins import WorkerPlugins
from shoal.worker.profiling import Profiler
from shoal.worker.report import Report
from shoal.worker.settings import (
    Given,
    Lifetime,
    all_executors,
    positive,
    profile_cycle,
    read_resources,
    read_settings,
)
from shoal.worker.store import data_of, make_store
from shoal.worker.telemetry import make_spans
from shoal.worker.transfers import Transfers
from shoal.worker.views.methods import WorkerMethods

__all__ = ["Worker"]

logger = logging.getLogger("shoal.worker")

_FAREWELL = 2.0


class Worker(WorkerRepr, WorkerMethods):
    """Runs tasks on threads, keeps their results, and gives them to the peers that need them.

    Parameters
    ----------
    scheduler_ip : str, optional
        Address of the scheduler, or its host when `scheduler_port` is given too.
    scheduler_port : int, optional
        Its port.
    scheduler_file : str, optional
        Instead of an address, a file that the scheduler wrote.
    nthreads : int, optional
        Number of threads that run tasks; all cores by default.
    name : object, optional
        Unique in the cluster; the address by default.
    resources : dict, optional
        Abstract resources, such as ``{"GPU": 2}``, that tasks may ask for.
    memory_limit : str, float or int
        ``"auto"``, ``"4 GiB"``, bytes, a fraction of the memory, or 0 for none.
    memory_target_fraction, memory_spill_fraction, memory_pause_fraction : float or False, optional
        Parts of the limit from which values go to disk, and no new task is begun.
    local_directory : str, optional
        Where files may be written; a folder of its own in there is removed at the end.
    lifetime, lifetime_stagger, lifetime_restart : float or str, bool, optional
        Retire after that time, plus or minus up to that much; whether another is started then.
    preload, preload_argv : sequence of str, optional
        Users' modules to run at the start, and their arguments.
    contact_address : str, optional
        The address to give to others, where it is not the one listened on.
    executor : concurrent.futures.Executor, str or dict, optional
        Instead of the worker's own threads; ``"offload"`` stands for them. A dict: as `executors`.
    executors : dict, optional
        Others by name; tasks choose with ``dask.annotate(executor=name)``.
    data : MutableMapping, callable, or (callable, dict), optional
        Where values are kept instead of the worker's own store, or what makes it.
    plugins : sequence of WorkerPlugin, optional
        Plugins of this worker.
    extensions : dict, optional
        Functions that are called with the worker when it is made: what they return is kept in
        `extensions` under their names.
    metrics, startup_information : dict, optional
        Functions that are called with the worker, before each heartbeat and when it joins: what
        they return is in the scheduler's `WorkerState`, in `metrics` and `extra`.
    serializers, deserializers : list of str, optional
        Families for what msgpack does not know, in requests to and of this worker.
    timeout : float or str, optional
        Seconds that starting may take.
    reconnect : bool
        Whether to look for the scheduler when the connection to it was lost.
    death_timeout : float or str, optional
        Close when no scheduler was found for this long.
    nanny, security : str, Security, optional
        The address of the nanny that keeps this worker; certificates and secret.
    host, interface, port, protocol
        Where to listen.
    dashboard_address, http_prefix : str, optional
        Where `/health` and `/metrics` are shown over HTTP: ``":8788"``, to this machine only unless
        a host is named. Nowhere by default. And the prefix of their paths.
    profile_cycle_interval : float or str, optional
        Samples of stacks are summed up over so long; not of C's (`low_level_profiler`).
    validate : bool, optional
        Check the core's state after every event.

    Examples
    --------
    >>> from shoal.scheduler.scheduler import Scheduler
    >>> async def main():
    ...     async with Scheduler() as scheduler, Worker(scheduler.address, nthreads=2):
    ...         return scheduler.total_nthreads
    >>> asyncio.run(main())
    2
    """

    def __init__(
        self,
        scheduler_ip: str | None = None,
        scheduler_port: int | None = None,
        *,
        scheduler_file: str | None = None,
        nthreads: int | None = None,
        name: Any = None,
        resources: Mapping[str, float] | None = None,
        memory_limit: str | float | None = "auto",
        memory_target_fraction: float | bool | None = None,
        memory_spill_fraction: float | bool | None = None,
        memory_pause_fraction: float | bool | None = None,
        local_directory: str | None = None,
        lifetime: float | str | None = None,
        lifetime_stagger: float | str | None = None,
        lifetime_restart: bool | None = None,
        preload: str | Sequence[str] | None = None,
        preload_argv: Sequence[str] | Sequence[Sequence[str]] = (),
        contact_address: str | None = None,
        executor: Executor | str | Mapping[str, Executor] | None = None,
        executors: Mapping[str, Executor] | None = None,
        data: Any = None,
        plugins: Sequence[Any] = (),
        extensions: Mapping[str, Callable[[Worker], Any]] | None = None,
        metrics: Mapping[str, Callable[[Worker], Any]] | None = None,
        startup_information: Mapping[str, Callable[[Worker], Any]] | None = None,
        serializers: Sequence[str] | None = None,
        deserializers: Sequence[str] | None = None,
        timeout: float | str | None = None,
        reconnect: bool = True,
        death_timeout: float | str | None = None,
        nanny: str | None = None,
        security: Security | dict[str, Any] | None = None,
        host: str | None = None,
        interface: str | None = None,
        port: int | str | Sequence[int] | None = None,
        protocol: str | None = None,
        validate: bool | None = None,
        services: dict[Any, Any] | None = None,
        heartbeat_interval: float | str | None = None,
        loop: Any = None,
        silence_logs: Any = None,
        dashboard: bool | None = None,
        dashboard_address: str | int | None = None,
        http_prefix: str | None = None,
        low_level_profiler: bool | None = None,
        profile_cycle_interval: float | str | None = None,
    ) -> None:
        self._profile_cycle = profile_cycle(profile_cycle_interval, low_level_profiler)
        self._preloads = Preloads.configured(self, "worker", preload, preload_argv)  # first of all
        self.scheduler_address, secret = scheduler_of(scheduler_ip, scheduler_port, scheduler_file)
        self.security = with_secret(Security.of(security), secret)
        self.nthreads = positive("nthreads", nthreads, CPU_COUNT)
        self.resources = read_resources(resources)
        self.memory_limit = parse_memory_limit(memory_limit, self.nthreads) or 0
        self._places = listening_addresses(self.scheduler_address, protocol, host, interface, port)
        self.nanny, self._contact_address = nanny, contact_address
        families: dict[str, Any] = {"serializers": serializers, "deserializers": deserializers}
        super().__init__({}, **families, **self._who_may_ask(), timeout=timeout, name=name)
        self.pages = WorkerPages(self, dashboard_address, http_prefix)
        self._given = Given(local_directory, data, list(plugins), scheduler_file)
        self._lifetime = Lifetime.read(lifetime, lifetime_stagger, lifetime_restart)
        self._read_durations(reconnect, death_timeout, heartbeat_interval)
        fractions = memory_target_fraction, memory_spill_fraction, memory_pause_fraction
        self._make_core(fractions, validate, Report(self, metrics, startup_information))
        self._prepare(extensions or {}, all_executors(executor, executors))

    def _who_may_ask(self) -> dict[str, Any]:
        args = self.security.get_connection_args("worker")
        return {
            "blocked_handlers": config.get_list("distributed.worker.blocked-handlers"),
            "connection_args": with_relay(args, lambda: self.scheduler_address),
        }

    def _read_durations(self, reconnect: bool, death_timeout: Any, heartbeat_interval: Any) -> None:
        self._reconnect = config.get_seconds("shoal.recovery.reconnect") if reconnect else 0.0
        self._death_timeout = config.parse_optional_seconds("death_timeout", death_timeout)
        self._heartbeat_every = config.parse_optional_seconds("heartbeat", heartbeat_interval)

    def _make_core(
        self, fractions: tuple[Any, Any, Any], validate: bool | None, report: Report
    ) -> None:
        self.report = report
        self.machine = core.Machine(
            read_settings(
                self.resources,
                self.memory_limit,
                self.nthreads,
                validate=validate,
                fractions=fractions,
            )
        )
        self.rpc.expected[self.scheduler_address] = ("scheduler",)
        # Peers listen as long as they live: one that refuses is gone.
        self.peers = ConnectionPool(connection_args=self.rpc.connection_args, retry=False)

    def _prepare(
        self, extensions: Mapping[str, Callable[[Worker], Any]], executors: dict[str, Executor]
    ) -> None:
        """Set up what depends on few arguments."""
        self._executors = executors
        for op, function in OPERATIONS.items():
            self.handlers.setdefault(op, partial(function, self))
        self.local_directory, self.dashboard_link = "", ""  # the link to the scheduler's pages
        self.running_board: RunningBoard | None = None  # where a nanny reads what runs
        self.close_reason, self.close_restart = "", False
        self.log_buffer = LogBuffer(config.get_int("distributed.admin.log-length"))
        self._make_counters()
        self.transfers = Transfers()
        self.outbox = Outboxes(self)
        self._functions = FunctionCache()
        self.plugin_host = WorkerPlugins(self)
        self._equipping: asyncio.Task[None] | None = None
        self.introduction: dict[str, Any] = {}  # of users, for the scheduler, told when it joins
        # Made by `shoal.client.in_task.task_client` for the first task that asks for a client.
        self.client_of_tasks: Any = None
        self._process = psutil.Process()
        self._alarm = Alarm(self._tick)
        self._link: SchedulerLink | None = None
        self._last_words: asyncio.Task[None] | None = None
        self.extensions = {name: make(self) for name, make in extensions.items()}

    # -- life --------------------------------------------------------------------

    def _make_pool(self) -> ThreadPool:
        return ThreadPool(
            self.nthreads,
            functions=self._functions,
            store=self.store,
            loop=self._loop,
            on_outcomes=self._outcomes,
            on_seceded=lambda *run: self.feed(core.Seceded(*run)),
            on_started=lambda *run: self.feed(core.Started(*run)),
            worker=self,
            executors=self._executors,
            name=f"Dask-Default-Threads-{os.getpid()}",
            inline_result=config.get_bytes("shoal.inline-result"),
            board=self.running_board,
            grace=self.machine.state.settings.interrupt_grace,
        )

    async def start_unsafe(self) -> None:
        self.log_buffer.attach()
        self._loop = asyncio.get_running_loop()
        self._clock = self._loop.time
        self._started = self._loop.time()
        self._welcome: asyncio.Future[None] = self._loop.create_future()
        self.local_directory = make_directory(self._given.local_directory)
        self.store = make_store(
            self._given.data,
            self.local_directory,
            max_spill=config.get_optional_bytes("distributed.worker.memory.max-spill"),
            on_lost=self._data_lost,
            memory_limit=self.memory_limit,
        )
        self.data = data_of(self.store)
        self.pool = self._make_pool()
        self.exchange = Exchange(self)
        make_spans(self)
        self.profiler = Profiler(self.pool, self._profile_cycle)
        self.profiler.start()
        self.actors = Actors(self)
        self.memory_watch = MemoryWatch(self)
        self._link = SchedulerLink(
            self.scheduler_address,
            self.security.get_connection_args("worker", "scheduler"),
            on_up=self._connected,
            on_down=lambda reason: self.feed(core.Disconnected(reason)),
            on_messages=self._from_scheduler,
            patience=self._death_timeout,
            reconnect=self._reconnect,
            look_up=partial(self._given.look_up, self),
        )
        self._calls = ShellCalls(
            self,
            fetch=self.exchange.fetch,
            close=self._told_to_close,
            lifetime_left=self._lifetime_left,
        )
        self._applier = WorkerApplier(
            self.machine,
            self._clock,
            link=self._link,
            store=self.store,
            functions=self._functions,
            executor=self.pool,
            timer=self._alarm,
            calls=self._calls,
        )
        self.listen_to_core()
        await self.listen_on_first(
            self._places, **listen_args(self.security, self._contact_address)
        )
        self.exchange.announce()
        self.pages.open()
        if self.name is None:
            self.name = self.address
        logger.debug("Listening at %s, files in %s", self.address, self.local_directory)
        await self._preloads.start()
        for plugin in self._given.plugins:
            await self.plugin_host.add(plugin)
        await self._join(self._link)
        self.background(self.memory_watch.run())
        # Programs that start workers by job scripts wait for these words in their logs.
        logger.info("Registered to: %s as %s, %s", self.scheduler_address, self.name, self.address)

    async def _join(self, link: SchedulerLink) -> None:
        """Wait until the scheduler has welcomed this worker, or nothing comes of it."""
        linking = self.background(self._keep_link(link))
        futures: list[asyncio.Future[Any]] = [linking, self._welcome]
        await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
        if not self._welcome.done():
            raise OSError(f"this worker could not join: {self.close_reason or linking.result()}")
        self._welcome.result()

    @property
    def address(self) -> str:
        """The address at which others reach this worker."""
        return contact_of(self._contact_address, super().address)

    async def _keep_link(self, link: SchedulerLink) -> str:
        why = await link.run()
        if self.status not in (Status.closing, Status.closed):
            self.close_reason = self.close_reason or why
            if self._welcome.done():
                logger.warning("%s; closing", why)
                self.close_soon(why)
        return why

    def close_soon(self, reason: str, restart: bool = False) -> None:
        """Close, once what was answered so far is on its way."""
        if self.status in (Status.closing, Status.closed):
            return
        self.close_reason, self.close_restart = reason, restart
        if self._link is not None:
            self._link.last()
        self._last_words = self._loop.create_task(self.close(reason=reason))

    async def close(  # type: ignore[override]  # the documented order of arguments
        self,
        timeout: float | str = 30,
        executor_wait: bool = True,
        nanny: bool = True,
        reason: str = "asked to close",
    ) -> None:
        """Say goodbye and stop; what runs now is not waited for longer than `timeout` seconds."""
        # A start that failed comes through here too, and still has everything to end.
        if self.status in (Status.closing, Status.closed) or self._finished.is_set():
            await self.finished()
            return
        link = self._link
        self.status = Status.closing
        self.close_reason = self.close_reason or reason
        logger.info("Closing worker %s: %s", self.name, self.close_reason)
        await self.plugin_host.close()
        await self._preloads.teardown()
        if self.client_of_tasks is not None:
            await self.client_of_tasks.close(timeout=_FAREWELL)
        if link is not None:
            await link.say_goodbye(self.close_reason, _FAREWELL)
        self._alarm.off()
        self._stop_monitor()
        await self.pages.close()
        self._shut_executors()
        if hasattr(self, "pool"):
            self.profiler.stop()
            self.memory_watch.stop()
            seconds = config.get_seconds("distributed.comm.timeouts.connect", timeout)
            wait = min(seconds, 1.0) if executor_wait else 0.0
            try:
                await self._loop.run_in_executor(None, self.pool.close, wait)
            except RuntimeError:  # the interpreter exits: there are no new threads any more
                self.pool.close(0.0)
            self.store.close()
            self.actors.close()
        shutil.rmtree(self.local_directory, ignore_errors=True)
        self.log_buffer.detach()
        await self.rpc.close()
        await self.peers.close()
        self._end()

    async def close_gracefully(self, restart: bool | None = None, reason: str = "retired") -> None:
        """Have the scheduler move the data away, then close."""
        if self.status in (Status.closing, Status.closed):
            await self.finished()
            return
        self.close_restart = self._lifetime.restart if restart is None else restart
        self.close_reason = reason
        if self._link is not None and self._link.up:
            await hand_over(self.rpc(self.scheduler_address), self.address)
        await self.close(reason=reason)

    async def leave(self, reason: str, restart: bool = False) -> None:
        """Close as a signal wants it: data first, in a time that is left to those who get one.

        Parameters
        ----------
        restart : bool
            Whether the nanny is to start another worker.
        """
        self.close_restart, self.close_reason = restart, reason
        if self.status is Status.running and self._link is not None and self._link.up:
            within = config.get_seconds("shoal.retire.at-signal")
            await hand_over(self.rpc(self.scheduler_address), self.address, within)
        await self.close(reason=reason)

    # -- the core ------------------------------------------------------------------

    def feed(self, event: core.events.Event, values: Mapping[str, Any] | None = None) -> None:
        """Give the core an event and carry out what follows from it.

        Parameters
        ----------
        event : Event
            The event.
        values : mapping, optional
            The values that came with it; those that the core wants are stored.
        """
        self._applier.feed(event, values)

    def listen_to_core(self) -> None:
        """Have plugins told of what happens in the core if one of them listens, and only then."""
        if hasattr(self, "_applier"):
            plugins = self.plugin_host
            self._applier.watch = plugins.tell if plugins.watching else None

    def _say(self, messages: list[Any]) -> None:
        if self._link is not None:
            self._link.send(messages)

    def _told_to_close(self, reason: str, restart: bool) -> None:
        if not self._welcome.done():
            self._welcome.set_exception(
                RuntimeError(f"the scheduler refused this worker: {reason}")
            )
            return
        if reason == "retired" and self._lifetime.seconds is not None:
            restart = restart or self._lifetime.restart
        self.close_soon(reason, restart)

    def _tick(self) -> None:
        self.feed(core.Tick())

    # -- the scheduler ---------------------------------------------------------------

    def _connected(self) -> None:
        if self._calls.registered_once:
            self.feed(core.Connected())
            self.background(self.pages.find_those_of_scheduler())
        elif self._equipping is None or self._equipping.done():
            self._equipping = self.background(self._equip())

    async def _equip(self) -> None:
        """Get the plugins that workers are to have, before the first task comes."""
        started = self._clock()
        try:
            known = await self.rpc(self.scheduler_address).worker_plugins()
        except Exception as error:  # the stream will tell if the scheduler is gone
            logger.debug("The scheduler does not say which plugins workers have: %s", error)
        else:
            self.report.latency = self._clock() - started
            await self.plugin_host.sync(known["plugins"], known["change"])
            await self.pages.find_those_of_scheduler()
        self.introduction = await self.report.introduce()
        if self._link is not None and self._link.up:
            self.feed(core.Connected())

    def _from_scheduler(self, messages: list[Any]) -> None:
        first = messages[0]
        if type(first) is m.WorkerWelcome:
            self.scheduler_id = first.scheduler
            if not self._welcome.done():
                self._welcome.set_result(None)
                self.background(self._heartbeat(first.heartbeat_interval))
        self.feed(core.FromScheduler(messages))
        if self.machine.state.guard is not None:
            self.memory_watch.measure()

    def _lifetime_left(self) -> float | None:
        seconds = self._lifetime.seconds
        return seconds and max(0.0, seconds - (self._clock() - self._started))

    async def _heartbeat(self, interval: float) -> None:
        self.report.interval = self._heartbeat_every or interval
        while True:
            await self.say_how_it_is()
            await asyncio.sleep(self.report.interval)

    async def say_how_it_is(self) -> None:
        """Send a heartbeat."""
        metrics = await self.report.measure()
        self._say([m.WorkerHeartbeat(metrics, self.pool.long_running_tasks())])

    # -- plugins and events ------------------------------------------------------------

    @property
    def plugins(self) -> dict[str, Any]:
        """The plugins on this worker by name."""
        return self.plugin_host.plugins

    def log_event(self, topic: str | list[str], msg: Any) -> None:
        """Have the scheduler remember an event, and tell those who subscribed to its topic.

        May be called on any thread. An event is told before the end of the task that logged it.

        Parameters
        ----------
        topic : str or list of str
            Under which name, or names.
        msg : object
            Texts, numbers, lists, dicts.
        """
        message = m.EventLogged([topic] if isinstance(topic, str) else list(topic), plain(msg))
        self._loop.call_soon_threadsafe(self._say, [message])

    # -- the executor -----------------------------------------------------------------

    def _outcomes(self, outcomes: list[core.Outcome]) -> None:
        self.memory_watch.look()
        self.feed(core.Outcomes(outcomes))

    def _data_lost(self, keys: list[str], reason: str) -> None:  # on any thread
        self._loop.call_soon_threadsafe(self.feed, core.DataLost(keys, reason))

    # -- for people ----------------------------------------------------------------------

    def memory(self) -> dict[str, int]:
        """Return how much memory is in use, in bytes."""
        return {
            "process": self.memory_watch.in_use(),
            "managed_in_memory": self.store.memory_bytes,
            "managed_spilled": self.store.disk_bytes,
            "limit": self.memory_limit,
        }

    def identity(self) -> dict[str, Any]:
        """Return what this worker is."""
        return {
            **super().identity(),
            "name": self.name,
            "nthreads": self.nthreads,
            "memory_limit": self.memory_limit,
            "scheduler": self.scheduler_address,
            "nanny": self.nanny,
            "local_directory": self.local_directory,
            "status": self.status.value,
        }
