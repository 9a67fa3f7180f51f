"""A scheduler in a process of its own, started again at the same address when it dies."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Sequence
from typing import Any

from shoal.core import Status
from shoal.deploy.interface import ProcessInterface
from shoal.deploy.listening import Listening
from shoal.errors import StartError
from shoal.nanny.core import Close, End, RestartPolicy
from shoal.nanny.options import modules_of
from shoal.nanny.server_process import ServerProcess
from shoal.nanny.templates import Template

__all__ = ["SchedulerProcess"]

logger = logging.getLogger("shoal.deploy")

_TARGET = "shoal.deploy.run_scheduler:main"
_CLASS = "shoal.scheduler.scheduler.Scheduler"


class SchedulerProcess(ProcessInterface):
    """Starts a scheduler's process, watches it, and starts it again when it dies.

    The new scheduler learns its state from workers and clients, which connect anew.

    Parameters
    ----------
    protocol : str
        ``ipc``, ``tcp`` or ``tls``.
    host, port, interface
        Where to listen; for ``ipc``, `host` is the path of the socket.
    silence_logs : int or str, optional
        Level below which the process logs nothing.
    orphan_folders : sequence of str
        Folders that the process removes should this one be killed.
    restart : bool
        Whether a scheduler that dies is replaced.
    template : Template, optional
        A process to fork the scheduler's from.
    scheduler_class : type or str, optional
        A class to use for `Scheduler`, or its ``module.name``.
    **options
        Arguments of the scheduler.
    """

    def __init__(
        self,
        *,
        protocol: str,
        host: str | None = None,
        port: int = 0,
        interface: str | None = None,
        silence_logs: int | str | None = None,
        orphan_folders: Sequence[str] = (),
        restart: bool = True,
        template: Template | None = None,
        scheduler_class: type | str = _CLASS,
        **options: Any,
    ) -> None:
        super().__init__()
        self._listening = Listening(protocol, host, port, interface)
        self.address: str = self._listening.address
        given = None if protocol == "ipc" else host
        self._body = {
            "scheduler_class": scheduler_class,
            "options": {
                "protocol": protocol,
                "host": given,
                "contact_address": self.address,
                **options,
            },
            "silence_logs": silence_logs,
        }
        self._orphan_folders = orphan_folders
        self._template = template
        self._modules = modules_of(scheduler_class)
        self._policy = RestartPolicy(restart=restart)
        self._keeper: asyncio.Task[None] | None = None
        self._stopping = False
        self._up: asyncio.Future[None] | None = None
        self.process: ServerProcess | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the scheduler."""
        return self.process.pid if self.process is not None else None

    async def start(self) -> None:
        """Start the process; others may connect from now on, though nobody answers them yet."""
        self._up = asyncio.get_running_loop().create_future()
        self._keeper = asyncio.create_task(self._keep_alive())
        await super().start()

    async def up(self) -> None:
        """Wait until the scheduler answers.

        Raises
        ------
        StartError
            When it cannot start; the text says why.
        """
        if self._up is not None:
            await asyncio.shield(self._up)

    async def close(self, timeout: float = 5) -> None:
        """Close the scheduler, and its process."""
        self._stopping = True
        if self.status in (Status.closing, Status.closed):
            await self.finished()
            return
        self.status = Status.closing
        try:
            if self.process is not None:
                await self.process.close(timeout, "the cluster closes")
            if self._keeper is not None:
                await asyncio.wait([self._keeper], timeout=1)
        finally:
            if self._keeper is not None:
                self._keeper.cancel()
            if self.process is not None:
                self.process.kill("the cluster closes")
            self._listening.close()
            await super().close()

    async def _keep_alive(self) -> None:
        assert self._up is not None
        while True:
            process = self.process = ServerProcess(
                _TARGET,
                self._body,
                label="shoal scheduler",
                env=os.environ,
                sockets=[self._listening.sock],
                orphan_folders=self._orphan_folders,
                template=self._template,
                modules=self._modules,
            )
            process.up.add_done_callback(self._came_up)
            end = await process.run()
            if self._stopping:
                return
            decision = self._policy.ended(end, time.monotonic())
            if process.failure or isinstance(decision, Close):
                if end is not End.CLOSED and self._up.done():
                    logger.error("The scheduler is given up: %s", process.death)
                self._give_up(process.death, closed=end is End.CLOSED)
                return
            logger.warning(
                "The scheduler's process (pid %s) ended: %s. Starting another at %s%s",
                *(process.pid, process.death, self.address),
                f" in {decision.delay:g} s" if decision.delay else "",
            )
            await asyncio.sleep(decision.delay)

    def _came_up(self, up: asyncio.Future[dict[str, Any]]) -> None:
        if up.exception() is None:
            self._policy.came_up(time.monotonic())
            if self._up is not None and not self._up.done():
                self._up.set_result(None)

    def _give_up(self, why: str, closed: bool) -> None:
        self._listening.close()
        self.status = Status.closed if closed else Status.failed
        self._ended()
        if self._up is not None and not self._up.done():
            self._up.set_exception(StartError(f"the scheduler did not start: {why}"))
            self._up.exception()  # maybe nothing waits for it
