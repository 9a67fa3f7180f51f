"""A template process: an interpreter that has imported what is needed, and forks when asked to.

Importing takes longer than everything else at the start of a process of ours. A cluster of many
processes does it once, in a template, which then forks each of them within milliseconds, and all
share the memory of the imported code. The template itself runs nothing of users, has one thread and
no event loop, so a fork of it is as good as a new interpreter. Linux only.

This is the template's own end; `templates` is the parent's.
"""

from __future__ import annotations

import gc
import importlib
import io
import json
import os
import selectors
import signal
import socket
import struct
import sys
import threading
from typing import Any, NamedTuple

from shoal.nanny import child

__all__ = ["main"]

_LENGTH = struct.Struct("!Q")
_MOST_SOCKETS = 64
# How often to look whether the parent lives: its end of the socket could be in a fork of it.
_POLL_INTERVAL = 2.0


class _Forked(NamedTuple):
    """The state that a freshly forked process begins with."""

    control: socket.socket
    reader: io.RawIOBase
    header: dict[str, Any]


def main(control: socket.socket, reader: io.RawIOBase, header: dict[str, Any]) -> None:
    """Fork processes until the parent closes its end; the first call of a new interpreter."""
    signal.signal(signal.SIGINT, lambda signum, frame: None)
    control.set_inheritable(False)
    reader.close()  # else the socket stays open where it is closed
    # It returns in each forked process too, so that nothing of the template is on the stack there.
    forked = _Template(control, header).serve()
    if forked is not None:
        child.main(*forked)


class _Template:
    def __init__(self, control: socket.socket, header: dict[str, Any]) -> None:
        self._control = control
        self._parent: int = header["parent"]
        self._selector = selectors.DefaultSelector()
        self._children: dict[int, int] = {}  # pidfd -> pid

    def serve(self) -> _Forked | None:
        self._selector.register(self._control, selectors.EVENT_READ)
        while True:
            ready = self._selector.select(_POLL_INTERVAL)
            if not ready and os.getppid() != self._parent:
                return None
            for key, _ in ready:
                if key.fd in self._children:
                    self._reap(key.fd)
                    continue
                request = self._receive()
                if request is None:
                    return None
                if "id" not in request[0]:
                    self._prepare(request[0]["modules"])
                    continue
                forked = self._fork(*request)
                if forked is not None:
                    return forked

    def _receive(self) -> tuple[dict[str, Any], list[int]] | None:
        try:
            size, fds, _, _ = socket.recv_fds(self._control, _LENGTH.size, _MOST_SOCKETS)
            data = b""
            if len(size) == _LENGTH.size:
                left = _LENGTH.unpack(size)[0]
                while left:
                    part = self._control.recv(left)
                    if not part:
                        return None
                    data += part
                    left -= len(part)
        except OSError:
            return None
        return (json.loads(data), list(fds)) if data else None

    def _prepare(self, modules: list[str]) -> None:
        for module in modules:
            try:
                importlib.import_module(module)
            except BaseException:  # a process that needs it says so: `_fork` tries it again
                return

    def _fork(self, request: dict[str, Any], fds: list[int]) -> _Forked | None:
        try:
            for module in request["modules"]:
                importlib.import_module(module)
            if threading.active_count() > 1:
                raise RuntimeError("what was imported has started threads")
            gc.freeze()  # no collection touches, and so copies, what the forks share
            pid = os.fork()
        except BaseException as error:
            self._tell(id=request["id"], error=f"{type(error).__name__}: {error}")
            pid = -1
        if pid == 0:
            return self._become(request, fds)
        for fd in fds:
            os.close(fd)
        if pid > 0:
            pidfd = os.pidfd_open(pid)
            self._children[pidfd] = pid
            self._selector.register(pidfd, selectors.EVENT_READ)
            self._tell(id=request["id"], pid=pid)
        return None

    def _become(self, request: dict[str, Any], fds: list[int]) -> _Forked:
        """Turn into the process that was asked for."""
        os.setsid()
        self._selector.close()
        self._control.close()
        for pidfd in self._children:
            os.close(pidfd)
        os.environ.clear()
        os.environ.update(request["env"])
        _rename(request["label"])
        control = socket.socket(fileno=fds[0])
        reader = control.makefile("rb", 0)
        line = reader.readline()
        if not line:  # the parent is gone
            os._exit(1)
        header = json.loads(line)
        sys.path[:] = header["path"]
        header["sockets"] = fds[1:]
        header["forked"] = True
        return _Forked(control, reader, header)

    def _reap(self, pidfd: int) -> None:
        pid = self._children.pop(pidfd)
        self._selector.unregister(pidfd)
        os.close(pidfd)
        _, status = os.waitpid(pid, 0)
        self._tell(pid=pid, returncode=os.waitstatus_to_exitcode(status))

    def _tell(self, **message: Any) -> None:
        try:
            self._control.sendall(json.dumps(message).encode() + b"\n")
        except OSError:  # the parent is gone; noticed in `serve`
            pass


def _rename(label: str) -> None:
    """Have `ps` and `top` show what this process is; the command line stays the template's."""
    try:
        with open("/proc/self/comm", "w", encoding="utf-8") as file:
            file.write(label)
    except OSError:
        pass
