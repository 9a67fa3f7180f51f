"""One life of a server's process: it starts, is measured, and ends, and its end is explained.

The steps after the end are the owner's: a nanny's, or a local cluster's. The code in the
process is the target's: `run_worker`, or the cluster's `run_scheduler`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any

import psutil
from dask.utils import format_bytes

from shoal import config
from shoal._base.process_memory import taken
from shoal._base.running_board import BoardFile
from shoal._base.within import within
from shoal.errors import StartError
from shoal.nanny.cgroup import WorkerGroup
from shoal.nanny.core import End, MemoryLimit
from shoal.nanny.deaths import count_oom_kills, explain_death
from shoal.nanny.process import ChildProcess
from shoal.nanny.templates import Template

__all__ = ["ServerProcess"]

logger = logging.getLogger("shoal.nanny")

_LOOK = 0.5  # seconds between two looks at the times of runs
_NO_LIMIT = MemoryLimit(0, None)
_SLOW_START = 60.0  # seconds after which people are told that a process does not come up


class ServerProcess:
    """A process with one server in it.

    Parameters
    ----------
    target : str
        ``module:function`` that runs the server with `shoal.nanny.serving.serve`.
    body : dict
        The function's argument.
    label : str
        The name that `ps` shows.
    env : mapping
        The environment of the process.
    limit : MemoryLimit, optional
        When the process uses more, it is ended.
    monitor_interval : float
        Seconds between two looks at its memory.
    orphan_folders : sequence of str
        Folders that the process removes should its parent be killed.
    sockets : sequence of socket
        Sockets to hand down.
    config : dict, optional
        Configuration of the process; default this one's.
    template, modules
        A process to fork from, and what it is to import; see `ChildProcess`.
    board : BoardFile, optional
        Where the process writes what it runs.

    Attributes
    ----------
    running : list of int or None
        The runs that the process was in the midst of when it died; None where that is unknown.
    overdue : list of int
        The runs among them whose time was over, for which the process was ended.
    """

    def __init__(
        self,
        target: str,
        body: dict[str, Any],
        *,
        label: str,
        env: Mapping[str, str],
        limit: MemoryLimit = _NO_LIMIT,
        monitor_interval: float = 0.1,
        orphan_folders: Sequence[str] = (),
        sockets: Sequence[socket.socket] = (),
        config: dict[str, Any] | None = None,
        template: Template | None = None,
        modules: Sequence[str] = (),
        board: BoardFile | None = None,
    ) -> None:
        self._child = ChildProcess(
            target,
            body,
            label=label,
            env=env,
            on_message=self._receive,
            orphan_folders=orphan_folders,
            sockets=sockets,
            config=config,
            template=template,
            modules=modules,
        )
        self._sockets = sockets
        self._board = board
        self.running: list[int] | None = None
        self.overdue: list[int] = []
        self._label = label
        self._limit = limit
        self._interval = monitor_interval
        self._monitor: asyncio.Task[None] | None = None
        self._oom_kills = count_oom_kills()
        self._group: WorkerGroup | None = None
        self._closing: dict[str, Any] | None = None  # the worker said that it closes on purpose
        self.failure = ""  # why the worker says that it cannot start
        self._request = ""  # why we were asked to end it
        self._exceeded = 0
        self._used = 0
        self.up: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.info: dict[str, Any] = {}
        self.end: End | None = None
        self.death = ""
        self._explained = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """Process id; None before the start."""
        return self._child.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._child.alive

    async def run(self) -> End:
        """Start the process, stay until its end, and say what kind of end it was."""
        slow = asyncio.get_running_loop().call_later(_SLOW_START, self._say_slow)
        try:
            await self._child.start()
            self._limit_by_kernel()
            self._monitor = asyncio.create_task(self._watch_memory())
            watch = asyncio.create_task(self._watch_board())
            try:
                await self._child.wait()
            finally:
                watch.cancel()
        except BaseException:
            self._child.kill()
            raise
        finally:
            slow.cancel()
            if self._monitor is not None:
                self._monitor.cancel()
            self._conclude()
        assert self.end is not None
        return self.end

    async def close(self, timeout: float, reason: str) -> None:
        """Ask the worker to close, wait for that, and kill the process when it takes longer."""
        if self.alive:
            self._request = self._request or reason
            await self._child.close(timeout, reason=reason)

    def kill(self, reason: str) -> None:
        """End the process at once."""
        self._request = self._request or reason
        self._child.kill()

    async def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end of the process; whether it came in time."""
        return await self._child.wait(timeout)

    async def explained(self, timeout: float) -> None:
        """Wait until it is known how the process ended, for at most `timeout` seconds."""
        try:
            await within(self._explained.wait(), timeout)
        except TimeoutError:
            pass

    def _receive(self, message: dict[str, Any]) -> None:
        op = message.pop("op")
        if op == "started":
            self.info = message
            if not self.up.done():
                self.up.set_result(message)
        elif op == "closing":
            self._closing = message
        elif op == "failed":
            self.failure = message["text"]

    def _say_slow(self) -> None:
        if not self.up.done():
            logger.warning(
                "%s (pid %s) has not come up in %g s: it imports, runs a preload or a plugin's "
                "setup, or looks for its scheduler. Its log says more; waiting on",
                *(self._label, self.pid, _SLOW_START),
            )

    def _limit_by_kernel(self) -> None:
        """Have the kernel keep the limit as well, where it may."""
        pid = self.pid
        if not self._limit.active or pid is None or not config.get_bool("shoal.memory.cgroup"):
            return
        self._group = WorkerGroup.make(pid, self._limit.limit)
        if self._group.reason:
            logger.debug("%s has no control group: %s", self._label, self._group.reason)

    async def _watch_memory(self) -> None:
        if not self._limit.active:
            return
        try:
            while True:
                self._used = taken(self.pid)
                if self._limit.exceeded_by(self._used):
                    break
                await asyncio.sleep(self._interval)
        except psutil.Error:  # it ended
            return
        self._exceeded = self._used
        logger.warning(
            "%s (pid %s) uses %s, more than %.0f %% of its limit of %s; ending it",
            self._label,
            self.pid,
            format_bytes(self._used),
            (self._limit.terminate or 0) * 100,
            format_bytes(self._limit.limit),
        )
        self._child.kill()

    async def _watch_board(self) -> None:
        """End the process when it does not end a run whose time is over."""
        while self._board is not None:
            await asyncio.sleep(_LOOK)
            self.overdue = self._board.overdue(time.monotonic())
            if self.overdue:
                logger.warning(
                    "%s (pid %s) does not end a task that takes longer than its timeout, and does "
                    "not answer; ending it",
                    *(self._label, self.pid),
                )
                self.kill("a task took longer than its timeout, and held its process")
                return

    def _conclude(self) -> None:
        """Say what end it was, and clean up what a killed worker could not."""
        if self._group is not None:
            self._group.remove()
        returncode = self._child.returncode
        kills, before = count_oom_kills(), self._oom_kills
        died = explain_death(
            returncode if returncode is not None else 1,
            exceeded=self._exceeded,
            limit=self._limit,
            used=self._used,
            oom_kills=None if kills is None or before is None else kills - before,
            request=self._request if returncode else "",
        )
        if self._closing is not None and not returncode:
            self.end = End.ASKED_RESTART if self._closing.get("restart") else End.CLOSED
            self.death = f"closed on purpose: {self._closing.get('reason') or 'asked to'}"
        elif self.info or self._ran():
            self.end = End.DIED
            self.death = died
        else:
            self.end = End.NEVER_STARTED
            self.death = self.failure or died
        self._read_board()
        self._explained.set()
        if not self.up.done():
            self.up.set_exception(StartError(self.failure or f"its process was {died}"))
            self.up.exception()  # maybe nothing waits for it
        if not self._sockets:  # sockets are the owner's, and for the next process too
            _clean_up(self.info)

    def _ran(self) -> bool:
        """Whether it had begun a task, though it had not said yet that it is up."""
        return self._board is not None and bool(self._board.running())

    def _read_board(self) -> None:
        if self._board is None:
            return
        if self.end is End.DIED:
            self.running = self._board.running()
            words = self._board.words()
            self.death += f"; on host {socket.gethostname()}"
            if words:
                self.death += f"; its last words: {words!r}"
        self._board.close()


def _clean_up(info: Mapping[str, Any]) -> None:
    """Remove what a server that was killed left behind: its folder, its Unix socket."""
    folder = info.get("local_directory")
    if folder:
        shutil.rmtree(folder, ignore_errors=True)
    scheme, _, path = str(info.get("address")).partition("://")
    if scheme != "ipc":
        return
    try:
        os.unlink(path)
        os.rmdir(os.path.dirname(path))  # one made for this socket alone
    except OSError:  # it is gone, or others use it
        pass
