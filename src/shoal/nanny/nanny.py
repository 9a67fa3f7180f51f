"""The nanny: a server that keeps one worker's process alive, and knows how each one died.

The process's own code is in `run_worker`, one life of it is `server_process`, and whether another
life follows is decided by the restart policy in `core`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shoal import config
from shoal._base.logs import LogBuffer
from shoal._base.running_board import BoardFile
from shoal._base.system import CPU_COUNT, parse_memory_limit
from shoal._base.within import within
from shoal.comm.endpoints import listening_addresses, scheduler_of, with_secret
from shoal.comm.function_calls import run_on
from shoal.comm.retiring import hand_over
from shoal.comm.secret import explicit_secret
from shoal.comm.strangers import clean
from shoal.core import Status
from shoal.errors import StartError
from shoal.nanny.core import Close, Decision, End, MemoryLimit, RestartPolicy
from shoal.nanny.options import modules_of, worker_config, worker_environment
from shoal.nanny.plugins import NannyPlugins
from shoal.nanny.server_process import ServerProcess
from shoal.nanny.templates import Template
from shoal.nanny.views import NannyAttributes, with_ours
from shoal.preloading import Preloads
from shoal.security import Security
from shoal.wire.blob import Blob

__all__ = ["Nanny"]

logger = logging.getLogger("shoal.nanny")

_TARGET = "shoal.nanny.run_worker:main"
_WORKER_CLASS = "shoal.worker.worker.Worker"
# Seconds that `death` waits for a process whose connections broke already.
_DEATH_WAIT = 3.0
_KEPT_DEATHS = 100


class Nanny(NannyAttributes):
    """Starts a worker in a process of its own, watches it, and starts it again when it dies.

    Parameters
    ----------
    scheduler_ip : str, optional
        Address of the scheduler, or its host when `scheduler_port` is given too.
    scheduler_port : int, optional
        Its port.
    scheduler_file : str, optional
        Instead of an address, a file that the scheduler wrote.
    worker_port : int or str
        Port of the worker; a range ``"3000:3026"`` tries one after the other.
    nthreads : int, optional
        Threads of the worker; default all cores.
    local_directory : str, optional
        Where the worker may write files.
    name : object, optional
        Name of the worker.
    memory_limit : str, float or int
        Of the worker: ``"auto"``, ``"4 GiB"``, bytes, a fraction of the memory, or 0 for none.
    resources : dict, optional
        Abstract resources of the worker, such as ``{"GPU": 2}``.
    silence_logs : int or str, optional
        Level below which the worker's process logs nothing.
    death_timeout : float or str, optional
        Time after which a worker that finds no scheduler closes.
    preload, preload_argv
        Preloads of the worker and their arguments.
    preload_nanny, preload_nanny_argv
        Preloads of the nanny itself.
    security : Security, optional
        Certificates.
    contact_address : str, optional
        Address of the worker that others are told.
    listen_address : str, optional
        Where the nanny itself listens; made from the arguments below by default.
    worker_class : type or str, optional
        A class to use for `Worker`, or its ``module.name``.
    env : dict, optional
        Variables for the environment of the worker's process.
    interface, host, port, protocol
        Network interface, host name, port of the nanny, and scheme, of nanny and worker.
    config : dict, optional
        Values of the configuration of the worker's process that differ from this process's.
    restart : bool
        Whether a process that dies is replaced.
    orphan_folders : sequence of str
        Folders that the worker's process removes should this process be killed.
    template : Template, optional
        A process to fork the worker's from, where that is as good as a new one.
    **worker_kwargs
        More arguments of the worker.
    """

    def __init__(
        self,
        scheduler_ip: str | None = None,
        scheduler_port: int | None = None,
        *,
        scheduler_file: str | None = None,
        worker_port: int | str | Sequence[int] | None = 0,
        nthreads: int | None = None,
        loop: Any = None,
        local_directory: str | None = None,
        name: Any = None,
        memory_limit: str | float | None = "auto",
        resources: Mapping[str, float] | None = None,
        silence_logs: int | str | None = None,
        death_timeout: float | str | None = None,
        preload: Sequence[str] | str | None = None,
        preload_argv: Sequence[Any] | None = None,
        preload_nanny: Sequence[str] | str | None = None,
        preload_nanny_argv: Sequence[Any] | None = None,
        security: Security | None = None,
        contact_address: str | None = None,
        listen_address: str | None = None,
        worker_class: type | str | None = None,
        env: Mapping[str, Any] | None = None,
        interface: str | None = None,
        host: str | None = None,
        port: int | str | Sequence[int] | None = None,
        protocol: str | None = None,
        config: dict[str, Any] | None = None,
        restart: bool = True,
        orphan_folders: Sequence[str] = (),
        template: Template | None = None,
        **worker_kwargs: Any,
    ) -> None:
        self._preloads = _preloads_of(self, preload_nanny, preload_nanny_argv)
        self.scheduler_addr, secret = scheduler_of(scheduler_ip, scheduler_port, scheduler_file)
        self.security = with_secret(security or Security(), secret or explicit_secret())
        self.nthreads = int(nthreads or CPU_COUNT)
        self.memory_limit = parse_memory_limit(memory_limit, self.nthreads) or 0
        self.given_directory = local_directory
        self.env = worker_environment(env)
        self.worker_class = worker_class or _WORKER_CLASS
        self.process: ServerProcess | None = None
        self._config = with_ours(config)
        self._template, self._silence_logs = template, silence_logs
        self._orphan_folders = list(orphan_folders)
        self._given_listen_address = listen_address
        self._where = {"protocol": protocol, "host": host, "interface": interface}
        self._port = port
        options = {
            **worker_kwargs,
            "name": name,
            "resources": resources,
            "local_directory": local_directory,
            "death_timeout": death_timeout,
            "preload": preload,
            "preload_argv": preload_argv,
            "contact_address": contact_address,
            "port": worker_port or None,
            "nthreads": self.nthreads,
            "memory_limit": self.memory_limit,
            "security": self.security,
            "scheduler_file": scheduler_file,
        }
        self._options = _given(options | self._where)
        self._read_settings(restart)
        args = self.security.get_connection_args("worker")
        super().__init__(self._make_handlers(), connection_args=args, name=name)
        self.rpc.expected[self.scheduler_addr] = ("scheduler",)
        self.plugin_host = NannyPlugins(self)

    def _read_settings(self, restart: bool) -> None:
        self._limit = MemoryLimit(
            self.memory_limit, config.get_fraction("distributed.worker.memory.terminate")
        )
        self._interval = config.get_seconds("distributed.worker.memory.monitor-interval")
        self._policy = RestartPolicy(restart=restart)
        self._make_counters()
        self.log_buffer = LogBuffer(config.get_int("distributed.admin.log-length"))
        self._deaths: dict[int, dict[str, Any]] = {}  # by process id
        self._keeper: asyncio.Task[None] | None = None
        self._restarting = asyncio.Lock()
        self._first: asyncio.Future[None] | None = None  # the start that somebody waits for
        self._lives = 0
        self._ending: asyncio.Task[Any] | None = None
        self._notes: set[asyncio.Task[None]] = set()

    def _make_handlers(self) -> dict[str, Callable[..., Any]]:
        return {
            "identity": self.identity,
            "run": self.run,
            "kill": self.kill,
            "restart": self.restart,
            "replace": self.replace,
            "instantiate": self.instantiate,
            "terminate": self.terminate,
            "death": self.death,
            "logs": self.logs,
            "versions": self.versions,
            "plugin_add": self.plugin_add,
            "plugin_remove": self.plugin_remove,
            "plugin_sync": self.plugin_sync,
            "upload_file": self.upload_file,
            "get_logs": self.get_logs,
        }

    def __repr__(self) -> str:
        return f"<Nanny: {self.worker_address}, threads: {self.nthreads}>"

    # -- attributes ------------------------------------------------------------------

    @property
    def worker_address(self) -> str | None:
        """Address of the worker; None while there is none."""
        return self.process.info.get("address") if self.process is not None else None

    @property
    def worker_dir(self) -> str | None:
        """Folder in which the worker keeps its files; None while there is no worker."""
        return self.process.info.get("local_directory") if self.process is not None else None

    @property
    def pid(self) -> int | None:
        """Process id of the worker."""
        return self.process.pid if self.process is not None else None

    @property
    def _label(self) -> str:
        """The name of the worker's process in `ps` and in logs."""
        return "shoal worker" if self.name is None else f"shoal worker {self.name}"

    def is_alive(self) -> bool:
        """Whether the worker's process runs."""
        return self.process is not None and self.process.alive

    def identity(self) -> dict[str, Any]:
        """Return what this nanny is, and which worker it has."""
        return {
            **super().identity(),
            "name": self.name,
            "worker": self.worker_address,
            "pid": self.pid,
            "nthreads": self.nthreads,
            "memory_limit": self.memory_limit,
        }

    def logs(self, n: int | None = None) -> list[tuple[str, str]]:
        """Return (level, line) of the latest log records of this process's nannies."""
        return self.log_buffer.tail(n)

    async def death(self, pid: int) -> dict[str, Any]:
        """Say how a process of this nanny ended, and what it ran; waits when it did not yet."""
        process = self.process
        if process is not None and process.pid == pid:
            await process.explained(_DEATH_WAIT)
            if process.death:
                return _how(process)
        return self._deaths.get(pid, {"reason": None, "running": None})

    async def run(
        self,
        function: Blob,
        args: Blob | None = None,
        kwargs: Blob | None = None,
        wait: bool = True,
    ) -> dict[str, Any]:
        """Call a function in the nanny's process; it gets the nanny as ``dask_worker``."""
        return await run_on(self, "dask_worker", function, args, kwargs, wait)

    # -- plugins -------------------------------------------------------------------

    @property
    def plugins(self) -> dict[str, Any]:
        """The plugins on this nanny by name."""
        return self.plugin_host.plugins

    async def plugin_add(self, plugin: Any, name: str) -> dict[str, Any]:
        """Add a (pickled) plugin; the worker is started anew where the plugin wants that."""
        return await self.plugin_host.add_remote(plugin, name)

    async def plugin_remove(self, name: str) -> dict[str, Any]:
        """Tear down a plugin."""
        return await self.plugin_host.remove(name)

    async def plugin_sync(self, plugins: dict[str, Blob], change: str) -> None:
        """Have these plugins, and no others of the scheduler's."""
        await self.plugin_host.sync(plugins, change)

    # -- life ----------------------------------------------------------------------

    async def start_unsafe(self) -> None:
        """Listen, run the preloads, and start the worker."""
        logging.getLogger("shoal.nanny").addHandler(self.log_buffer)
        if self._template is not None and self._template.can_fork(self.env):
            # While the scheduler comes up, which knows what else the process is to have.
            self._template.prepare([_TARGET.partition(":")[0], *modules_of(self.worker_class)])
        await self._listen_somewhere()
        await self._preloads.start()
        await self.plugin_host.fetch()
        await self.instantiate()

    async def _listen_somewhere(self) -> None:
        """Listen on the first of the possible addresses that is free."""
        given = self._given_listen_address
        addresses = (
            [given]
            if given
            else listening_addresses(self.scheduler_addr, **self._where, port=self._port)
        )
        await self.listen_on_first(addresses, **self.security.get_listen_args("worker"))

    async def instantiate(self) -> str:
        """Start the worker's process, when there is none, and wait until the worker is up.

        Raises
        ------
        StartError
            When the worker cannot start, or this nanny closes.
        """
        if self.status in (Status.closing, Status.closing_gracefully, Status.closed):
            raise StartError(f"{self._label} is not started: its nanny closes")
        if self._keeper is None or self._keeper.done():
            self._stopping = ""
            self._first = asyncio.get_running_loop().create_future()
            self._keeper = asyncio.create_task(self._keep_alive())
        if self._first is not None:
            await asyncio.shield(self._first)
        return Status.running.name

    async def kill(self, timeout: float = 5, reason: str = "the nanny was asked to") -> str:
        """End the worker's process, which may take `timeout` seconds for it; start no other."""
        self._stopping = reason
        alive = self.is_alive()
        if self.process is not None:
            await self.process.close(timeout, reason)
        if self._keeper is not None:
            # It ends with the process, unless it pauses before the next one.
            await asyncio.wait([self._keeper], timeout=1 if alive else 0)
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
            self._fail_start(f"ended meanwhile: {reason}")
        return "OK"

    async def restart(self, timeout: float = 30, reason: str = "restart") -> str:
        """End the worker's process and start another; says "OK" or "timed out".

        One at a time: another that ends a process which is starting would fail the first.
        """

        async def again() -> None:
            async with self._restarting:
                await self.kill(min(timeout, 5), reason)
                await self.instantiate()

        try:
            await within(again(), timeout)
        except TimeoutError:
            logger.error("Restarting the worker %s took longer than %s s", self.name, timeout)
            return "timed out"
        return "OK"

    def replace(self, pid: int, reason: str) -> None:
        """End a worker's process that does not answer, at once; another is started then.

        Nothing happens when the worker has another process by now.
        """
        if self.process is not None and self.process.pid == pid and self.is_alive():
            logger.warning("Replacing the worker %s (pid %s): %s", self.name, pid, clean(reason))
            self.process.kill(reason)

    def terminate(self, reason: str = "the nanny was asked to") -> str:
        """Close worker and nanny; answers before that is done."""
        self._end_soon(reason)
        return "OK"

    async def close(self, timeout: float = 5, reason: str = "the nanny closes") -> None:  # type: ignore[override]
        """Close the worker, then the nanny."""
        if self.status in (Status.closing, Status.closing_gracefully, Status.closed):
            await self.finished()
            return
        self.status = Status.closing_gracefully
        try:
            await self.plugin_host.close()
            await self._preloads.teardown()
            await self.kill(timeout, reason)
        finally:
            self._stop_monitor()
            logging.getLogger("shoal.nanny").removeHandler(self.log_buffer)
            if self.process is not None:
                self.process.kill(reason)
            await super().close()

    async def leave(self, reason: str) -> None:
        """Close as a signal wants it: the worker's data first, then worker and nanny."""
        self._stopping = reason  # a terminal signals the worker's process too
        address = self.worker_address
        if self.is_alive() and address and self.scheduler_addr:
            within = config.get_seconds("shoal.retire.at-signal")
            await hand_over(self.rpc(self.scheduler_addr), address, within)
        await self.close(reason=reason)

    def _end_soon(self, reason: str) -> None:
        if self._ending is None:
            self._ending = asyncio.create_task(self.close(reason=reason))

    # -- one process after the other ---------------------------------------------------

    async def _keep_alive(self) -> None:
        """Start the process, and another one after its end, as long as the policy says so."""
        while True:
            process = self.process = self._new_process()
            process.up.add_done_callback(lambda up: self._came_up() if not up.exception() else None)
            end = await process.run()
            self._note_end(process)
            if self._stopping:
                return
            decision = self._decide(process, end)
            if isinstance(decision, Close):
                self._give_up(process, end, decision)
                return
            self._say(process, end, decision.delay)
            await asyncio.sleep(decision.delay)

    def _new_process(self) -> ServerProcess:
        options = {**self._options, "nanny": self.address}
        self._lives += 1
        logger.info("Starting process %d of %s", self._lives, self._label)
        if self._where["protocol"] == "ipc" and self._where["host"]:
            # An address of its own for each life: what is said of the last does not hit the next.
            options["host"] = f"{self._where['host']}-{self._lives}"
        board = BoardFile()
        body = {
            "worker_class": self.worker_class,
            "scheduler": self.scheduler_addr,
            "options": options,
            "silence_logs": self._silence_logs,
            "board": board.path,
        }
        return ServerProcess(
            _TARGET,
            body,
            label=self._label,
            env=self.env,
            limit=self._limit,
            monitor_interval=self._interval,
            orphan_folders=self._orphan_folders,
            config=worker_config(self._config),
            template=self._template,
            modules=modules_of(self.worker_class),
            board=board,
        )

    def _came_up(self) -> None:
        if self.process is not None and self.process.info.get("scheduler"):
            self.scheduler_addr = self.process.info[
                "scheduler"
            ]  # a scheduler file may have changed
        self._policy.came_up(time.monotonic())
        if self._first is not None and not self._first.done():
            self._first.set_result(None)

    def _decide(self, process: ServerProcess, end: End) -> Decision:
        starting = self._first is not None and not self._first.done()
        if starting and process.failure:
            # The worker itself said why it cannot start; it would say so again.
            return Close("the worker cannot start")
        return self._policy.ended(end, time.monotonic(), by_task=bool(process.running))

    def _note_end(self, process: ServerProcess) -> None:
        """Remember how a process ended, and tell the scheduler when it did so by accident."""
        if process.pid is not None:
            self._deaths[process.pid] = _how(process)
            while len(self._deaths) > _KEPT_DEATHS:
                del self._deaths[next(iter(self._deaths))]
        address = process.info.get("address")
        if process.end is End.DIED and address and self.scheduler_addr:
            note = asyncio.create_task(self._tell_scheduler(address, process))
            self._notes.add(note)
            note.add_done_callback(self._notes.discard)

    async def _tell_scheduler(self, address: str, process: ServerProcess) -> None:
        call = self.rpc(self.scheduler_addr).worker_died(address=address, **_how(process))
        try:
            await within(call, 5)
        except Exception:  # it learns of it by its own stream, without the reason
            logger.debug("could not tell the scheduler of a death", exc_info=True)

    def _say(self, process: ServerProcess, end: End, delay: float) -> None:
        when = f"in {delay:g} s" if delay else "now"
        who = process.info.get("address") or self._label
        if end is End.ASKED_RESTART:
            logger.info("%s (pid %s) %s; starting another", who, process.pid, process.death)
        else:
            logger.warning(
                "%s (pid %s) ended: %s. Starting another %s",
                *(who, process.pid, process.death, when),
            )

    def _give_up(self, process: ServerProcess, end: End, decision: Close) -> None:
        reason = f"{decision.reason}: {process.death}"
        if self._fail_start(process.death):
            return
        if end is End.CLOSED:
            logger.info("Worker %s %s", process.info.get("address"), process.death)
        else:
            logger.error("%s is given up: %s", self._label, reason)
        self._end_soon(reason)

    def _fail_start(self, why: str) -> bool:
        """Let the start that somebody waits for fail; whether there was one."""
        if self._first is None or self._first.done():
            return False
        self._first.set_exception(StartError(f"{self._label} did not start: {why}"))
        self._first.exception()  # maybe nothing waits for it
        return True


def _preloads_of(
    nanny: Nanny, preload: Sequence[str] | str | None, argv: Sequence[Any] | None
) -> Preloads:
    """Import the preloads, before all else: one may say where the scheduler is."""
    names = config.get_list("distributed.nanny.preload") if preload is None else preload
    given = config.get_list("distributed.nanny.preload-argv") if argv is None else argv
    return Preloads(nanny, names, given)


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _how(process: ServerProcess) -> dict[str, Any]:
    """Return how a process ended, as the scheduler is told."""
    how: dict[str, Any] = {"reason": process.death, "running": process.running}
    return {**how, "overdue": process.overdue} if process.overdue else how
