"""The differences of Unix and Windows when a process of ours is started, and when it is ended.

The new interpreter runs a line of code that reads where modules are found from its control socket,
takes over the parent's module path, and only then imports shoal. So it finds the very modules that
its parent finds, and never imports the user's main module.

Unix hands sockets down as inherited file descriptors. Windows has none: the socket is shared with
the process id of the child, and what describes it goes down the child's standard input.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

__all__ = ["Running", "end_own_group", "kill_group", "socket_of", "spawn"]

_UNIX = "socket.socket(fileno=int(sys.argv[1]))"
_WINDOWS = "socket.fromshare(bytes.fromhex(sys.stdin.readline()))"
_CODE = (
    "import gc;gc.disable();import sys,json,socket;s={control};f=s.makefile('rb',0);"
    "l=f.readline();l or sys.exit(1);h=json.loads(l);sys.path[:]=h['path'];"
    "import importlib;importlib.import_module(h['entry']).main(s,f,h)"
)


class Running(Protocol):
    """A process that was started: a `subprocess.Popen`, or one that was forked."""

    @property
    def pid(self) -> int:
        """Process id."""

    @property
    def returncode(self) -> int | None:
        """Exit code, or minus the number of the signal; None as long as nobody asked."""

    def poll(self) -> int | None:
        """Look whether it ended, and return what `returncode` is then."""


def spawn(
    label: str, env: Mapping[str, str], control: socket.socket, sockets: Sequence[socket.socket]
) -> tuple[subprocess.Popen[bytes], list[int | str]]:
    """Start an interpreter that waits on its end of the control socket for what to do.

    Parameters
    ----------
    label : str
        The name that `ps` shows.
    env : mapping
        The whole environment of the process.
    control : socket
        The child's end.
    sockets : sequence of socket
        More sockets to hand down.

    Returns
    -------
    process : subprocess.Popen
    handles : list of int or str
        The names that the child gives to `socket_of` for each of `sockets`.
    """
    if not sys.executable:
        raise RuntimeError("cannot start processes: sys.executable does not name the interpreter")
    flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    # -P: neither the current folder nor the script's is searched before the standard library.
    command = [sys.executable, *flags, "-P", "-c"]
    if sys.platform == "win32":
        process = subprocess.Popen(
            [*command, _CODE.format(control=_WINDOWS), label],
            env=env,
            stdin=subprocess.PIPE,
            creationflags=subprocess.CREATE_NEW_PROCESS_GROUP,
        )
        assert process.stdin is not None
        process.stdin.write(control.share(process.pid).hex().encode() + b"\n")
        process.stdin.close()
        return process, [each.share(process.pid).hex() for each in sockets]
    handles: list[int | str] = [each.fileno() for each in sockets]
    process = subprocess.Popen(
        [*command, _CODE.format(control=_UNIX), str(control.fileno()), label],
        env=env,
        stdin=subprocess.DEVNULL,
        pass_fds=[control.fileno(), *(each.fileno() for each in sockets)],
        # A session of its own: Ctrl-C at the terminal reaches the parent alone, and the group of
        # the same number holds all that tasks start, so that it can be ended as a whole.
        start_new_session=True,
    )
    return process, handles


def socket_of(handle: int | str) -> socket.socket:
    """Return the socket that the parent handed down; called in the child."""
    if isinstance(handle, str):
        return _from_share(bytes.fromhex(handle))
    found = socket.socket(fileno=handle)
    found.set_inheritable(False)
    return found


def _from_share(share: bytes) -> socket.socket:
    fromshare: Any = getattr(socket, "fromshare")  # noqa: B009  (only on Windows)
    found: socket.socket = fromshare(share)
    return found


def kill_group(process: Running) -> None:
    """End a process and all that it started, at once; also when the process itself is gone."""
    if sys.platform == "win32":
        os.kill(process.pid, signal.SIGTERM)  # which ends a process at once there
        return
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # the group has no process left
        pass


def end_own_group(code: int) -> None:
    """End this process and all that it started, at once; called in a child whose parent is gone."""
    if sys.platform != "win32" and os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(code)
