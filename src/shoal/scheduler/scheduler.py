"""The scheduler's shell: sockets, timers and calls around the core of `scheduler.core`.

Messages become events, effects become messages. No decision about tasks is made here, and nothing
that users sent is unpickled, but what `operations.functions` says.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from shoal import config
from shoal._base.alarm import Alarm
from shoal._base.logs import LogBuffer
from shoal._base.within import within
from shoal.comm.base import Comm
from shoal.comm.endpoints import listening_addresses
from shoal.comm.secret import cluster_secret
from shoal.comm.status import Status
from shoal.comm.strangers import clean
from shoal.comm.stream_messages import Outboxes
from shoal.diagnostics.links import member_link
from shoal.diagnostics.reprs import SchedulerRepr
from shoal.plugins.hooks import name_of
from shoal.preloading import Preloads
from shoal.scheduler.applier import SchedulerApplier, Send
from shoal.scheduler.calls import ShellCalls
from shoal.scheduler.claims import dispute
from shoal.scheduler.copying import Copying
from shoal.scheduler.core import (
    ClientLost,
    Continue,
    FromClient,
    FromWorker,
    Machine,
    Tick,
    WorkerLost,
)
from shoal.scheduler.core.events import Event
from shoal.scheduler.core.state import WorkerState
from shoal.scheduler.deaths import post_mortem, replace_hanging
from shoal.scheduler.faults import close_client, close_worker
from shoal.scheduler.file import remove_scheduler_file, write_scheduler_file
from shoal.scheduler.journal.opening import journal_for
from shoal.scheduler.memory_manager import MemoryManager
from shoal.scheduler.observe.history import History
from shoal.scheduler.observe.identity import (
    describe_scheduler,
    describe_worker,
    open_pages,
    place_of_pages,
)
from shoal.scheduler.observe.profiling import LoopProfile
from shoal.scheduler.observe.seen import Seen
from shoal.scheduler.observe.task_stream import StreamRecord
from shoal.scheduler.observe.topics import Topics
from shoal.scheduler.operations import OPERATIONS
from shoal.scheduler.operations.plugins import restore_plugins
from shoal.scheduler.passages import Passages
from shoal.scheduler.permissions import check_request
from shoal.scheduler.plugins.own import SchedulerPlugins
from shoal.scheduler.plugins.registry import PluginRegistry
from shoal.scheduler.settings import read_settings
from shoal.scheduler.streams import Streams
from shoal.scheduler.views.data_methods import DataMethods
from shoal.scheduler.views.information_methods import InformationMethods
from shoal.scheduler.views.plugin_methods import PluginMethods
from shoal.scheduler.views.worker_methods import WorkerMethods
from shoal.security import Security
from shoal.wire import messages as m

__all__ = ["Scheduler"]

logger = logging.getLogger("shoal.scheduler")

_FAREWELL = 2.0


class Scheduler(
    SchedulerRepr,
    WorkerMethods,
    DataMethods,
    InformationMethods,
    PluginMethods,
):
    """The center of a cluster: knows tasks, workers and clients, and tells workers what to run.

    Parameters
    ----------
    host : str, optional
        Name or address to listen on, or a whole address; every address of this host by default.
    port : int or str, optional
        Port, or a range such as ``"8786:8790"``; 0, the default, is any.
    interface : str, optional
        Network interface to listen on, instead of `host`.
    protocol : str, optional
        Scheme: ``tcp``, ``tls``, ``ipc`` or ``inproc``.
    security : Security, optional
        Certificates and secret.
    scheduler_file : str, optional
        A file to write address and secret to, for workers and clients to find.
    idle_timeout, no_client_timeout : float or str, optional
        Close when nothing was asked for this long, or no client was there for it and nothing to do.
    worker_ttl : float or str, optional
        A worker silent for this long is dead.
    allowed_failures : int, optional
        Workers that may die while they run a task before it fails.
    preload, preload_argv : sequence of str, optional
        Users' modules to run at the start, and their arguments.
    plugins : sequence of SchedulerPlugin, optional
        Plugins, which start with the scheduler.
    extensions : dict, optional
        Functions that are called with the scheduler when it is made: what they return is kept in
        `extensions` under their names.
    validate : bool, optional
        Check the whole state after every event.
    sockets : sequence of socket, optional
        Sockets that listen already, handed down by a parent process.
    contact_address : str, optional
        The address to give to others, where it is not the one listened on.
    blocked_handlers : sequence of str, optional
        Operations that are refused.
    dashboard_address : str or int, optional
        Where pages of numbers are shown over HTTP, such as ``":8787"``: to this machine only unless
        a host is named, and at another port when that one is taken. Nowhere by default.
    dashboard : bool, optional
        True: at ``":8787"`` unless there is another address; False: nowhere.
    http_prefix : str, optional
        The prefix of the pages' paths.
    service_kwargs : dict, optional
        ``{"dashboard": {"use_xheaders": True}}``: a proxy in front of the pages says who asks.
    name, id : str, optional
        For people; and to be told from others.
    journal : str or bool, optional
        A folder for the journal of what no peer can repeat, from which a scheduler that starts anew
        begins; True: beside the scheduler file, and gone with it when the scheduler is closed.
    journal_sync : {"always", "turn", "never"}, optional
        When the journal must be on disk: before anybody is answered, soon, or as the system likes.
    standby : bool
        Wait until no other scheduler writes this journal, then go on from it.

    Examples
    --------
    >>> async def main():
    ...     async with Scheduler(port=0) as scheduler:
    ...         return len(scheduler.workers)
    >>> asyncio.run(main())
    0
    """

    default_port = 8786

    def __init__(
        self,
        loop: Any = None,
        *,
        host: str | None = None,
        port: int | str | Sequence[int] | None = 0,
        interface: str | None = None,
        protocol: str | None = None,
        security: Security | dict[str, Any] | None = None,
        scheduler_file: str | None = None,
        idle_timeout: float | str | None = None,
        no_client_timeout: float | str | None = None,
        worker_ttl: float | str | None = None,
        allowed_failures: int | None = None,
        preload: str | Sequence[str] | None = None,
        preload_argv: Sequence[str] | Sequence[Sequence[str]] = (),
        plugins: Sequence[Any] = (),
        extensions: Mapping[str, Callable[[Scheduler], Any]] | None = None,
        validate: bool | None = None,
        sockets: Sequence[Any] = (),
        contact_address: str | None = None,
        blocked_handlers: Iterable[str] | None = None,
        connection_limit: int = 512,
        name: str | None = None,
        id: str | None = None,
        dashboard: bool | None = None,
        dashboard_address: str | int | None = None,
        http_prefix: str | None = None,
        services: dict[Any, Any] | None = None,
        service_kwargs: dict[str, Any] | None = None,
        journal: str | bool | None = None,
        journal_sync: str | None = None,
        standby: bool = False,
    ) -> None:
        self.security = Security.of(security)
        if protocol is None and self.security.encrypted and "://" not in (host or ""):
            protocol = "tls"
        default = f"{config.get_str('distributed.comm.default-scheme')}://"
        self._places = [f"{(protocol or default).removesuffix('://')}://"]
        if not sockets:
            self._places = listening_addresses(default, protocol, host or "", interface, port)
        self._sockets = list(sockets)
        self._contact_address = contact_address or config.get_optional_str(
            "distributed.scheduler.contact-address"
        )
        self.scheduler_file = scheduler_file
        given = idle_timeout, worker_ttl, validate, allowed_failures, no_client_timeout
        self.settings = read_settings(*given)
        if blocked_handlers is None:
            blocked_handlers = config.get_list("distributed.scheduler.blocked-handlers")
        super().__init__(
            {"stream": self._stream},
            blocked_handlers=blocked_handlers,
            connection_limit=connection_limit,
            deserialize=False,
            connection_args=self.security.get_connection_args("scheduler"),
            name=name,
        )
        self.id = id or self.id
        self.journal = journal_for(self, scheduler_file, journal, journal_sync, standby)
        place = place_of_pages(dashboard, dashboard_address)
        service = (service_kwargs or {}).get("dashboard") or {}
        self._pages = (place, http_prefix or "", bool(service.get("use_xheaders")))
        modules = config.get_list("distributed.scheduler.preload", preload)
        argv = preload_argv or config.get_list("distributed.scheduler.preload-argv")
        self._preloads = Preloads(self, modules, argv)
        self._prepare()
        self._given_plugins = list(plugins)
        for extension, make in (extensions or {}).items():
            self.extensions[extension] = make(self)

    def _prepare(self) -> None:
        """Set up what depends on no argument."""
        self._http_server: Any = None  # of `shoal.http`
        for op, function in OPERATIONS.items():
            self.handlers.setdefault(op, partial(function, self))
        # For others to put their objects in: optuna keeps its storages here.
        self.extensions: dict[str, Any] = {}
        self.started_at = time.time()
        self._make_counters()
        self.outbox = Outboxes(self)
        self.log_buffer = LogBuffer(config.get_int("distributed.admin.log-length"))
        self.worker_streams = Streams(
            "worker",
            self._from_worker,
            self._worker_replaced,
            self._worker_closed,
            partial(close_worker, self),
            partial(dispute, self),
        )
        self.passages = Passages(self.worker_streams, self.rpc)
        self.client_streams = Streams(
            "client",
            self._from_client,
            self._client_replaced,
            self._client_closed,
            partial(close_client, self),
        )
        self.own_plugins = SchedulerPlugins(self)
        self._worker_plugins = PluginRegistry(self, "worker")
        self._nanny_plugins = PluginRegistry(self, "nanny")
        self.topics = Topics(self)
        self.copying = Copying(self)
        self.stream_record = StreamRecord(self)
        self.history = History(lambda: self.state)
        self.seen = Seen(self)
        self.memory_manager = MemoryManager(self)
        self.extensions["amm"] = self.memory_manager
        self._heeding = False  # whether a plugin wants to know what happens in the core
        self._alarm = Alarm(self._tick)
        self._calls = ShellCalls(
            on_continue=self._continue,
            on_idle=self._idle,
            on_worker_closed=self._worker_dropped,
            on_client_gone=self.topics.forget,
        )
        self._closing_workers: set[str] = set()
        self._changed = asyncio.Event()
        self._last_words: asyncio.Task[None] | None = None
        self._machine: Machine | None = None
        self._applier: SchedulerApplier | None = None

    # -- life --------------------------------------------------------------------

    async def start_unsafe(self) -> None:
        self.log_buffer.attach()
        loop = self._loop = asyncio.get_running_loop()
        self._clock = loop.time
        recorded = None if self.journal is None else await self.journal.open()
        # Runs grow over restarts of the scheduler: late words about older ones are recognised.
        now, epoch = loop.time(), time.time()
        times: dict[str, Any] = {"now": now, "first_run": int(epoch * 1e6), "wall": epoch - now}
        self._machine = Machine(self.settings, self.id, journal=recorded, **times)
        self._applier = SchedulerApplier(
            self._machine,
            self._clock,
            workers=self.worker_streams,
            clients=self.client_streams,
            timer=self._alarm,
            calls=self._calls,
            journal=None if self.journal is None else self.journal.begin(self._machine.snapshot),
        )
        self._worker_plugins.restore()
        self._nanny_plugins.restore()
        self.listen_to_core()
        self.profiler = LoopProfile()
        self.profiler.start()
        if config.get_bool("distributed.scheduler.active-memory-manager.start"):
            self.memory_manager.start()
        args = {**self.security.get_listen_args("scheduler"), "passages": self.passages}
        args |= {"sockets": self._sockets} if self._sockets else {}
        await self.listen_on_first(self._places, **args)
        await self._preloads.start()
        for plugin in self._given_plugins:
            await self.own_plugins.add(plugin, name_of(plugin))
        await restore_plugins(self)
        if self.scheduler_file:
            write_scheduler_file(self.scheduler_file, self.identity(), self._secret())
        logger.info("Scheduler at: %s", self.address)
        self._http_server = open_pages(self, *self._pages)
        if self._http_server is not None:
            self.history.start()
        self._alarm.set(loop.time() + 1.0)

    def _secret(self) -> str:
        return cluster_secret(self.security.secret).reveal()

    async def close(self, reason: str = "", close_workers: bool = True) -> None:
        """Tell all peers, then stop.

        Parameters
        ----------
        reason : str
            For the logs of the others.
        close_workers : bool
            False: workers look for another scheduler at this address.
        """
        if self.status in (Status.closing, Status.closed):
            await self.finished()
            return
        started = self._machine is not None
        self.status = Status.closing
        logger.info("Closing scheduler%s", f": {clean(reason)}" if reason else "")
        await self.own_plugins.call_and_wait("before_close")
        await self._preloads.teardown()
        self._alarm.off()
        self._calls.stop()
        self.memory_manager.stop()
        self._stop_monitor()
        self.history.stop()
        if self._http_server is not None:
            await self._http_server.close()
        if started:
            await self._farewell(reason or "the scheduler was closed", close_workers)
        await self.own_plugins.call_and_wait("close")
        if started:
            self.profiler.stop()
            self.seen.stop()
        if self.scheduler_file:
            remove_scheduler_file(self.scheduler_file, self.id)
        self.log_buffer.detach()
        self.passages.close()
        await self.rpc.close()
        if self.journal is not None:
            self.journal.close(over=close_workers)
        self._remove_directory()
        self._end()

    async def _farewell(self, reason: str, close_workers: bool) -> None:
        for client in self.client_streams:
            self.client_streams.send(client, [m.SchedulerClosing(reason)])
        if close_workers:
            for worker in self.worker_streams:
                self.worker_streams.send(worker, [m.CloseWorker(reason)])
        goodbyes = [self.client_streams.dismiss(client) for client in self.client_streams]
        goodbyes += [self.worker_streams.dismiss(worker) for worker in self.worker_streams]
        if goodbyes:
            try:
                await within(asyncio.gather(*goodbyes, return_exceptions=True), _FAREWELL)
            except TimeoutError:
                logger.info("some peers did not take the goodbye in time")

    # -- attributes ----------------------------------------------------------------

    @property
    def address(self) -> str:
        """The address at which others reach this scheduler."""
        return self._contact_address or super().address

    @property
    def dashboard_link(self) -> str:
        """Web address of the pages about this scheduler; empty where there are none."""
        if self._http_server is None:
            return ""
        return member_link(self.identity(0), self.security.secret)

    def identity(self, n_workers: int = -1) -> dict[str, Any]:
        """Return what this scheduler is, and its workers."""
        return describe_scheduler(self, n_workers, self._http_server)

    def describe_worker(self, ws: WorkerState) -> dict[str, Any]:
        """Return what is known of a worker, for people."""
        return describe_worker(self, ws)

    # -- events and effects --------------------------------------------------------

    def feed(self, event: Event, send: Send | None = None) -> None:
        """Give the core an event and carry out what follows from it.

        Parameters
        ----------
        event : Event
            The event.
        send : callable, optional
            How clients are told of it; otherwise they are at the end of the loop's turn.
        """
        if self._applier is None:
            raise RuntimeError("the scheduler is not started")
        self._applier.feed(event, send)
        if self._heeding or self.core.state.notes.heard:
            try:
                self._tell_what_happened()
            except Exception:  # it is not of the peer whose message led to the event
                logger.exception("what happened could not be told")

    def carry_on(self) -> None:
        """Carry out what waited for the journal."""
        if self._applier is not None:
            self._applier.carry_on()

    def retired(self, address: str) -> asyncio.Future[None]:
        """Return a future that is done when a worker that is being retired is empty."""
        return self._calls.retirement(address)

    def _tick(self) -> None:
        if self.status is not Status.closing:
            self.feed(Tick())

    def _continue(self) -> None:
        """Go on with a large change, now that the loop has looked at its sockets."""
        if self.status is not Status.closing:
            self.feed(Continue())

    def _idle(self) -> None:
        if self.status is Status.running:
            self.background(self.close(reason=self.core.why_idle()))

    def _worker_dropped(self, address: str) -> None:
        self._closing_workers.discard(address)
        self.rpc.remove(address)
        ws = self.state.workers.get(address)
        if ws is not None and ws.info.nanny is not None:
            self.background(replace_hanging(self, ws))
        self._loop.call_soon(self._notify)  # the core hears of it in this turn

    # -- plugins and subscribers ----------------------------------------------------

    def plugin_registry(self, nanny: bool) -> PluginRegistry:
        """Return the plugins for workers, or for nannies."""
        return self._nanny_plugins if nanny else self._worker_plugins

    def tell_plugins(self, hook: str, **kwargs: Any) -> None:
        """Call a hook of all plugins of the scheduler."""
        self.own_plugins.call(hook, **kwargs)

    def listen_to_core(self) -> None:
        """Have the core note what somebody wants to hear of, and nothing else."""
        if self._machine is None:
            return
        state = self._machine.state
        plugins = self.own_plugins
        state.watch = plugins.note_move if plugins.wants_transitions else None
        news = plugins.wants_news or bool(self.topics.subscribers)
        state.notes.heard = (state.notes.heard or []) if news else None
        # Prints of tasks are for all clients: news of topics are there or not, and rarely are.
        self._heeding = state.watch is not None or plugins.wants_news or plugins.wants_graphs

    def _tell_what_happened(self) -> None:
        state = self.core.state
        heard: list[tuple[str, float, Any]] = []
        if state.notes.heard:
            heard, state.notes.heard = state.notes.heard, heard
        for topic, when, message in heard:
            self.topics.tell(topic, when, message)
        self.own_plugins.tell_all(heard)

    # -- peers -----------------------------------------------------------------------

    def authorize(self, comm: Comm, op: str, arguments: dict[str, Any]) -> None:
        check_request(comm, op, arguments, self.client_streams.owners)

    def _stream(self, comm: Comm, edge: str, token: bytes = b"") -> Status:
        if self._machine is None or self.status not in (Status.starting, Status.running):
            raise RuntimeError(f"this scheduler is {self.status.value}")
        if edge not in ("worker", "client"):
            raise ValueError(f"a stream is for a 'worker' or a 'client', not {edge!r}")
        (self.worker_streams if edge == "worker" else self.client_streams).accept(comm, token)
        return Status.dont_reply

    def _from_worker(self, address: str, messages: list[Any]) -> None:
        new = address not in self.state.workers
        if self._heeding and self.own_plugins.wants_transitions:
            self.own_plugins.note_outcomes(messages)
        self.feed(FromWorker(address, messages))
        if self.stream_record.on:
            self.stream_record.note(address, messages)
        if self.copying.waiting:
            self.copying.look()
        if new and address in self.state.workers:
            self.seen.worker_joined(address)
            self._worker_plugins.worker_joined(self.state.workers[address])
            self._nanny_plugins.worker_joined(self.state.workers[address])
            self._notify()
        if type(messages[-1]) is m.WorkerGoodbye and address in self.state.workers:
            # It waits for this end of the connection: then it knows that the goodbye was heard.
            self.lose_worker(address, messages[-1].reason)

    def _from_client(self, client: str, messages: list[Any]) -> None:
        new = client not in self.state.clients
        if self._heeding and self.own_plugins.wants_graphs:
            self.own_plugins.note_graphs(client, messages)
        streams = self.client_streams
        send = streams.send
        if len(messages) == 1:
            # A client that says one thing at a time waits for the answer, and goes on asking.
            send = streams.answer if type(messages[0]) is m.Ask else streams.send_now
        self.feed(FromClient(client, messages), send)
        if new:
            self.seen.client_joined(client)

    def _worker_replaced(self, address: str) -> None:
        if address in self.state.workers:
            self.feed(WorkerLost(address, "it connected again", expected=True))

    def _client_replaced(self, client: str) -> None:
        if client in self.state.clients:
            self.seen.client_left(client, "it connected again")
            self.topics.forget(client)
            self.feed(ClientLost(client, "it connected again"))

    def _client_closed(self, client: str, reason: str) -> None:
        if client in self.state.clients and self.status is not Status.closing:
            self.seen.client_left(client, reason)
            self.topics.forget(client)
            self.feed(ClientLost(client, reason))

    def _worker_closed(self, address: str, reason: str) -> None:
        ws = self.state.workers.get(address)
        if ws is None or self.status is Status.closing:
            return
        if address in self.core.state.departures.leaving or ws.info.nanny is None:
            self.lose_worker(address, reason)
        else:
            self.background(post_mortem(self, ws, reason))

    def lose_worker(
        self,
        address: str,
        reason: str,
        dead: bool = False,
        running: list[int] | None = None,
        overdue: Sequence[int] = (),
    ) -> None:
        """Take a worker as gone; for good when it is `dead`, in the midst of the runs `running`."""
        expected = address in self.core.state.departures.leaving or address in self._closing_workers
        self._closing_workers.discard(address)
        self.seen.worker_left(address, reason, expected)
        self.worker_streams.drop(address)
        self.rpc.remove(address)
        self.outbox.drop(address)
        runs = None if running is None else tuple(running)
        self.feed(WorkerLost(address, reason, expected, dead or expected, runs, tuple(overdue)))
        self._notify()

    def close_worker(
        self, worker: str, reason: str = "asked to close", restart: bool = False
    ) -> None:
        """Tell a worker to close; what it did is done elsewhere, and no task is blamed for it."""
        address = self.coerce_address(worker)
        if address in self.state.workers:
            self.expect_close(address)
            self.worker_streams.send(address, [m.CloseWorker(reason, restart)])

    def expect_close(self, address: str) -> None:
        """Take the coming end of a worker's connection as meant."""
        self._closing_workers.add(address)

    def close_soon(self, reason: str) -> None:
        """Close, once what was answered so far is on its way."""
        self._last_words = self._loop.create_task(self.close(reason))

    def _notify(self) -> None:
        self.copying.look()
        self._changed.set()
        self._changed = asyncio.Event()

    async def workers_changed(self) -> None:
        """Wait until a worker came or went."""
        await self._changed.wait()
