"""What the children of `test_process` run. Found by name, through the parent's module path."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading


def show(parent, body):
    """Say what arrived and how it looks in here, and end."""
    parent.tell(
        op="shown",
        body=repr(body),
        path=sys.path,
        cwd=os.getcwd(),
        env=os.environ.get("SHOAL_TEST_VARIABLE"),
        main=getattr(sys.modules["__main__"], "__file__", None),
        group=os.getpgrp(),
        pid=os.getpid(),
        config=config_value(),
    )
    return 0


def size(parent, body):
    parent.tell(op="size", size=len(body))
    return 0


def imported(parent, body):
    """Say which of these modules had been imported before this began."""
    parent.tell(op="imported", modules=[name for name in body if name in sys.modules])
    return 0


def config_value():
    import dask

    return dask.config.get("shoal-test.value", None)


def stay(parent, body):
    """Stay until asked to close, or until the parent is gone; say which to `body`, a file."""
    messages = queue.Queue()
    parent.listen(messages.put)
    parent.tell(op="up")
    message = messages.get(timeout=60)
    if message["op"] == "gone":
        with open(body, "w") as file:
            file.write("gone")
    return 0 if message["op"] == "close" else 1


def hang(parent, body):
    """Answer to nothing and end for nothing but a kill."""
    parent.listen(lambda message: None)
    parent.tell(op="up", grandchild=start_grandchild())
    threading.Event().wait()


def leave(parent, code):
    """End at once, in the midst of everything."""
    parent.tell(op="up")
    os._exit(code)


def linger(parent, body):
    """Return, with a thread that would keep the interpreter forever."""
    threading.Thread(target=threading.Event().wait).start()
    return 4


def fail(parent, body):
    raise ValueError("no such thing")


def serve(parent, body):
    """Accept one connection on the socket that was handed down, and answer it."""
    connection, _ = parent.sockets[0].accept()
    connection.sendall(b"hello from " + str(os.getpid()).encode())
    connection.close()
    return 0


def fork_and_leave(parent, body):
    """Fork a child that lives on, as multiprocessing does, and end."""
    import warnings

    warnings.simplefilter("ignore")
    pid = os.fork()
    if pid == 0:
        threading.Event().wait()
    parent.tell(op="up", grandchild=pid)
    os._exit(5)


def start_grandchild():
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"]).pid
