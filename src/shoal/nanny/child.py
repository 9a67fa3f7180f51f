"""The child's end of a process of ours: take over from the parent, run, end when the parent ends.

`main` is what a new interpreter calls (see `spawn`). It becomes as the parent was (configuration,
logging), calls the target function, and makes sure that the process ends: soon after the target
returned, and also, within seconds and cleaned up, when the parent is killed.
"""

from __future__ import annotations

import faulthandler
import importlib
import io
import json
import logging
import os
import pickle
import selectors
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

import dask.config

from shoal import config
from shoal._base.logs import start_logging
from shoal.nanny.spawn import end_own_group, socket_of

__all__ = ["Parent", "main"]

logger = logging.getLogger("shoal.nanny")

# Seconds to close properly when the parent is gone, and for threads and exit handlers at the end.
_ORPHAN_GRACE = 5.0
_EXIT_GRACE = 3.0
# How often to look whether the parent is still the parent: its end of the control socket could live
# on in a process that it forked.
_POLL_INTERVAL = 2.0


class Parent:
    """A child's knowledge of its parent, and the line to it.

    Attributes
    ----------
    sockets : list of socket
        The sockets that were handed down.
    gone : threading.Event
        Set when the parent ended.
    """

    def __init__(
        self, control: socket.socket, reader: io.RawIOBase, header: dict[str, Any]
    ) -> None:
        control.set_inheritable(False)
        self.sockets = [socket_of(handle) for handle in header["sockets"]]
        self.gone = threading.Event()
        self._pid: int = header["parent"]
        self._forked: bool = header.get("forked", False)
        self._orphan_folders: list[str] = header["orphan_folders"]
        self._control = control
        self._reader = reader
        self._lock = threading.Lock()

    def tell(self, **message: Any) -> None:
        """Send the parent a message; nothing happens when it is gone."""
        data = json.dumps(message).encode() + b"\n"
        with self._lock:
            try:
                self._control.sendall(data)
            except OSError:
                pass

    def listen(self, on_message: Callable[[dict[str, Any]], None]) -> None:
        """Call `on_message`, on a thread of its own, with each message of the parent.

        When the parent ends, that is a message too: ``{"op": "gone"}``. The process is then ended
        after a few seconds, whatever it does.
        """
        threading.Thread(
            target=self._listen, args=(on_message,), name="shoal-parent", daemon=True
        ).start()

    def _listen(self, on_message: Callable[[dict[str, Any]], None]) -> None:
        selector = selectors.DefaultSelector()
        selector.register(self._control, selectors.EVENT_READ)
        buffer = b""
        while True:
            if not selector.select(_POLL_INTERVAL):
                if not self._parent_lives():
                    break
                continue
            try:
                data = self._control.recv(65536)
            except OSError:
                break
            if not data:
                break
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                on_message(json.loads(line))
        self.gone.set()
        timer = threading.Timer(_ORPHAN_GRACE, self.end_orphan)
        timer.daemon = True
        timer.start()
        on_message({"op": "gone"})

    def _parent_lives(self) -> bool:
        if os.name != "posix":
            return True
        if not self._forked:
            return os.getppid() == self._pid
        try:  # forked by a template, which may end before
            os.kill(self._pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return True

    def end_orphan(self) -> None:
        """Remove what the parent would have removed, and end the process with all it started."""
        for folder in self._orphan_folders:
            shutil.rmtree(folder, ignore_errors=True)
        end_own_group(1)

    def forget(self) -> None:
        """Close the line; in processes that a task forks, which must not keep it open."""
        self._reader.close()
        self._control.close()


def main(control: socket.socket, reader: io.RawIOBase, header: dict[str, Any]) -> None:
    """Run what the parent asks for; the first and only call of a new interpreter."""
    faulthandler.enable()
    # Not SIG_IGN, which the programs that tasks start would inherit.
    signal.signal(signal.SIGINT, _ignore)
    sys.argv = header["argv"]  # as in the user's script, for tasks that look
    parent = Parent(control, reader, header)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=parent.forget)
    try:
        settings, body = _read(reader, header["config"]), _read(reader, header["body"])
    except EOFError:  # the parent ended
        sys.exit(1)
    dask.config.update(dask.config.config, pickle.loads(settings))
    start_logging(*config.get_logging())
    code = 1
    try:
        module, _, name = header["target"].partition(":")
        function = getattr(importlib.import_module(module), name)
        code = function(parent, pickle.loads(body))
    except Exception as error:
        logger.debug("%s could not start", header["label"], exc_info=True)
        parent.tell(op="failed", text=f"{type(error).__name__}: {error}")
    finally:
        _end(parent, code)


def _end(parent: Parent, code: int) -> None:
    """Leave the interpreter the ordinary way, and the hard way when that takes too long."""
    if parent.gone.is_set():
        logging.shutdown()
        parent.end_orphan()
    timer = threading.Timer(_EXIT_GRACE, os._exit, (code,))
    timer.daemon = True
    timer.start()
    sys.exit(code)


def _read(reader: io.RawIOBase, size: int) -> bytes:
    parts = []
    while size:
        part = reader.read(size)
        if not part:
            raise EOFError("the parent process ended")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _ignore(signum: int, frame: Any) -> None:
    """Leave Ctrl-C to the parent, which closes its children."""
