"""The parent's end of a process of ours: start it, talk to it, notice its end.

Parent and child share a control socket. The parent sends what to run; after that both send lines
of JSON: the child what became of it, the parent requests to close. The socket is also how each
notices the end of the other, whatever ended it: the kernel closes it. `child` has the other end.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cloudpickle
import dask.config

from shoal._base.within import within
from shoal.nanny.spawn import Running, kill_group, spawn
from shoal.nanny.templates import Template

__all__ = ["ChildProcess"]

logger = logging.getLogger("shoal.nanny")

# A process that closed its end and does not end itself within this many seconds is killed.
_LINGER = 10.0
_LINE_LIMIT = 2**22


class ChildProcess:
    """One process that runs ``target`` of ours; made, started, and ended once.

    Parameters
    ----------
    target : str
        ``module:function``, called in the child with its end of the control socket and `body`.
    body : object
        The function's argument; pickled, the user's main module by value.
    label : str
        The name that `ps` shows.
    env : mapping, optional
        The environment of the process; default this one's.
    sockets : sequence of socket
        Sockets to hand down; the child finds them as ``parent.sockets``.
    on_message : callable
        Called with each message of the child.
    orphan_folders : sequence of str
        Folders that the child removes should this process die without doing so.
    config : dict, optional
        Configuration of the process; default this one's.
    template : Template, optional
        Forks the process, where that is as good as a new one.
    modules : sequence of str
        Modules that the process needs besides that of the target; a template imports them once.
    """

    def __init__(
        self,
        target: str,
        body: Any,
        *,
        label: str,
        on_message: Callable[[dict[str, Any]], None],
        env: Mapping[str, str] | None = None,
        sockets: Sequence[socket.socket] = (),
        orphan_folders: Sequence[str] = (),
        config: dict[str, Any] | None = None,
        template: Template | None = None,
        modules: Sequence[str] = (),
    ) -> None:
        self._target = target
        self._body = cloudpickle.dumps(body)
        self._label = label
        self._env = dict(os.environ if env is None else env)
        self._sockets = sockets
        self._orphan_folders = list(orphan_folders)
        self._config = config
        self._template = template
        self._modules = [target.partition(":")[0], *modules]
        self._on_message = on_message
        self._process: Running | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._early: list[bytes] = []  # messages from before there was a writer
        self._watcher: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """Process id; None before the start."""
        return self._process.pid if self._process else None

    @property
    def returncode(self) -> int | None:
        """Exit code, or minus the number of the signal that killed it; None while it runs."""
        return self._process.returncode if self._process else None

    @property
    def alive(self) -> bool:
        """Whether the process was started and did not end."""
        return self._process is not None and not self._ended.is_set()

    async def start(self) -> None:
        """Start the process and send it what to run; does not wait until it is up."""
        ours, theirs = socket.socketpair()
        try:
            process, handles = await self._launch(theirs)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._process = process
        config = cloudpickle.dumps(dask.config.config if self._config is None else self._config)
        header = {
            "entry": "shoal.nanny.child",
            "path": self._path(),
            "target": self._target,
            "label": self._label,
            "argv": [*map(str, sys.argv)],
            "sockets": handles,
            "parent": os.getpid(),
            "config": len(config),
            "body": len(self._body),
            "orphan_folders": self._orphan_folders,
        }
        try:
            reader, self._writer = await asyncio.open_connection(sock=ours, limit=_LINE_LIMIT)
            self._writer.writelines([json.dumps(header).encode(), b"\n", config, self._body])
            self._writer.writelines(self._early)
        except BaseException:
            ours.close()
            kill_group(process)
            await self._reap(process)
            self._ended.set()
            raise
        self._watcher = asyncio.create_task(self._watch(reader))

    def _path(self) -> list[str]:
        """Return where the process imports from: the same places as here, after those that only
        its own environment names.
        """
        here = [path for path in sys.path if isinstance(path, str)]
        parts = self._env.get("PYTHONPATH", "").split(os.pathsep)
        known = {*here, *os.environ.get("PYTHONPATH", "").split(os.pathsep), ""}
        return [*(path for path in parts if path not in known), *here]

    async def _launch(self, theirs: socket.socket) -> tuple[Running, list[int | str]]:
        template = self._template
        if template is not None and template.can_fork(self._env):
            try:
                forked = await template.fork(
                    self._label, self._env, theirs, self._sockets, self._modules
                )
                return forked, []
            except RuntimeError as error:
                logger.debug("%s is not forked: %s", self._label, error)
        return spawn(self._label, self._env, theirs, self._sockets)

    def tell(self, **message: Any) -> None:
        """Send the child a message, when it can hear; nothing happens when it is gone."""
        line = json.dumps(message).encode() + b"\n"
        if self._writer is None:
            self._early.append(line)
        elif not self._writer.is_closing():
            self._writer.write(line)

    def kill(self) -> None:
        """End the process, and all that it started, at once."""
        if self._process is not None and not self._ended.is_set():
            kill_group(self._process)

    async def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end of the process; whether it came within `timeout` seconds."""
        if self._process is None:
            return True
        try:
            await within(self._ended.wait(), timeout)
        except TimeoutError:
            return False
        return True

    async def close(self, timeout: float, **message: Any) -> bool:
        """Ask the child to close, and kill it when it takes longer; whether it closed itself."""
        self.tell(op="close", **message)
        if await self.wait(timeout):
            return True
        logger.warning("%s did not close within %s s; killing it", self._label, timeout)
        self.kill()
        await self.wait(_LINGER)
        return False

    async def _watch(self, reader: asyncio.StreamReader) -> None:
        assert self._process is not None and self._writer is not None
        try:
            async for line in reader:
                self._on_message(json.loads(line))
        except (OSError, ValueError):  # reset, or cut off in the midst of a line: it is ending
            pass
        except Exception:
            logger.exception("a message of %s could not be handled", self._label)
        finally:
            self._writer.close()
            await self._reap(self._process)
            self._ended.set()

    async def _reap(self, process: Running) -> None:
        # The kernel closes the socket moments before the process can be waited for.
        pause, waited = 0.0005, 0.0
        while process.poll() is None:
            if waited > _LINGER:
                kill_group(process)
            await asyncio.sleep(pause)
            waited += pause
            pause = min(pause * 2, 0.05)
        kill_group(process)  # processes that its tasks started and left behind
