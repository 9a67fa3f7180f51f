"""The parent's end of a template process: has it fork others, and hears of their ends.

`template` has the other end, and says what it is good for.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from shoal._base.within import within
from shoal.nanny.spawn import kill_group, spawn

__all__ = ["ForkedProcess", "Template"]

logger = logging.getLogger("shoal.nanny")

_LENGTH = struct.Struct("!Q")
# Read when an interpreter starts: a fork cannot have others than its template.
_EARLY = ("LD_", "MALLOC_", "GLIBC_", "PYTHON")
_TIMEOUT = 30.0


class ForkedProcess:
    """A process that a template forked; looks like a `subprocess.Popen` to its owner."""

    def __init__(self, pid: int, template: Template) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._template = template

    def poll(self) -> int | None:
        """Return the exit code, or minus the number of the signal; None while it runs."""
        if self.returncode is None and not self._template.alive:
            try:
                os.kill(self.pid, 0)
            except ProcessLookupError:  # how it ended cannot be known
                self.returncode = 1
        return self.returncode


class Template:
    """A process that forks others.

    Parameters
    ----------
    env : mapping
        Its environment. Forks have environments of their own, as far as that is possible.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = dict(env)
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._buffer = b""
        self._requests: dict[int, asyncio.Future[ForkedProcess]] = {}
        self._next = 0
        self._forked: dict[int, ForkedProcess] = {}
        self._prepared: set[str] = set()

    @staticmethod
    def supported() -> bool:
        """Whether this system can do it."""
        return sys.platform == "linux" and hasattr(os, "pidfd_open")

    @property
    def alive(self) -> bool:
        """Whether it can fork, as far as is known."""
        return self._control is not None

    def start(self) -> None:
        """Start the process; it takes requests from now on, and answers when it is ready."""
        ours, theirs = socket.socketpair()
        try:
            self._process, _ = spawn("shoal template", self._env, theirs, [])
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        header = {
            "entry": "shoal.nanny.template",
            "path": [path for path in sys.path if isinstance(path, str)],
            "parent": os.getpid(),
        }
        ours.sendall(json.dumps(header).encode() + b"\n")
        self._control = ours
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(ours, self._receive)

    def can_fork(self, env: Mapping[str, str]) -> bool:
        """Whether a fork would be the same as a new process with this environment."""
        names = {name for name in {*env, *self._env} if name.startswith(_EARLY)}
        return self.alive and all(env.get(name) == self._env.get(name) for name in names)

    def prepare(self, modules: Sequence[str]) -> None:
        """Have it import what a fork is going to need, while there is nothing else to do.

        Modules that cannot be imported are named when a fork is asked for.
        """
        fresh = [name for name in modules if name not in self._prepared]
        if not fresh or self._control is None:
            return
        self._prepared.update(fresh)
        try:
            self._send({"modules": fresh}, [])
        except OSError:  # it ended, which is found out
            pass

    async def fork(
        self,
        label: str,
        env: Mapping[str, str],
        control: socket.socket,
        sockets: Sequence[socket.socket],
        modules: Sequence[str],
    ) -> ForkedProcess:
        """Fork a process that has imported `modules`.

        Raises
        ------
        RuntimeError
            When that does not work; a new process may do.
        """
        if self._control is None or self._loop is None:
            raise RuntimeError("the template process is gone")
        self._next += 1
        answer = self._requests[self._next] = self._loop.create_future()
        request = {"id": self._next, "label": label, "env": dict(env), "modules": list(modules)}
        try:
            self._send(request, [control.fileno(), *(each.fileno() for each in sockets)])
            return await within(answer, _TIMEOUT)
        except (OSError, TimeoutError) as error:
            raise RuntimeError(f"the template process does not answer: {error}") from error

    def _send(self, request: dict[str, Any], fds: list[int]) -> None:
        assert self._control is not None
        data = json.dumps(request).encode()
        socket.send_fds(self._control, [_LENGTH.pack(len(data))], fds)
        self._control.sendall(data)

    async def close(self) -> None:
        """End the process; those that it forked live on."""
        self._lost()
        process, self._process = self._process, None
        if process is None:
            return
        kill_group(process)  # it has nothing to clean up; its forks are in groups of their own
        while process.poll() is None:
            await asyncio.sleep(0.001)

    def _receive(self) -> None:
        assert self._control is not None
        try:
            data = self._control.recv(65536)
        except OSError:
            data = b""
        if not data:
            logger.debug("the template process ended")
            self._lost()
            return
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            self._handle(json.loads(line))

    def _handle(self, message: dict[str, Any]) -> None:
        if "returncode" in message:
            forked = self._forked.pop(message["pid"], None)
            if forked is not None:
                forked.returncode = message["returncode"]
            return
        answer = self._requests.pop(message["id"], None)
        if answer is None or answer.done():
            return  # no caller waits any more; such a process ends as its control socket is closed
        if "pid" in message:
            forked = self._forked[message["pid"]] = ForkedProcess(message["pid"], self)
            answer.set_result(forked)
        else:
            answer.set_exception(RuntimeError(message["error"]))
            answer.exception()  # maybe nothing waits for it

    def _lost(self) -> None:
        control, self._control = self._control, None
        if control is not None and self._loop is not None:
            self._loop.remove_reader(control)
            control.close()
        for answer in self._requests.values():
            if not answer.done():
                answer.set_exception(RuntimeError("the template process ended"))
                answer.exception()  # maybe nothing waits for it
        self._requests.clear()
