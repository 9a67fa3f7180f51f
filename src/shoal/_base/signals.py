"""Signals of the operating system as calls on an event loop."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

__all__ = ["end_now", "on_first_signal", "uninterrupted"]


def on_first_signal(
    signals: Sequence[signal.Signals], callback: Callable[[signal.Signals], object]
) -> Callable[[], None]:
    """Call `callback` on the running loop at the first of these signals; a second one ends the
    process at once.

    Must be called on the main thread. Processes that are forked from this one are ended by the
    signals, as they would be without it.

    Returns
    -------
    callable
        Puts back the handlers that were there before.
    """
    loop = asyncio.get_running_loop()
    owner = os.getpid()

    def handle(signum: int, frame: Any) -> None:
        # Runs between two instructions of the main thread; only the loop may do more.
        if os.getpid() != owner:  # a fork, by a task or by multiprocessing
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)
            return
        for each in signals:
            signal.signal(each, end_now)
        loop.call_soon_threadsafe(callback, signal.Signals(signum))

    before = {each: signal.signal(each, handle) for each in signals}

    def put_back() -> None:
        for each, handler in before.items():
            signal.signal(each, handler)

    return put_back


def end_now(signum: int, frame: Any) -> None:
    """End the process with the exit code that shells give to this signal."""
    os._exit(128 + signum)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Have Ctrl-C wait for the end of a few lines that must be done together.

    Where Ctrl-C is somebody else's affair, and on other threads than the main one, nothing changes.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    came: list[int] = []
    signal.signal(signal.SIGINT, lambda signum, frame: came.append(signum))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if came:
        raise KeyboardInterrupt
