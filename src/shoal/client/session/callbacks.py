"""Users' callbacks, called one after the other in a thread made when it is needed."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from shoal.client.core.state import DONE, Record

if TYPE_CHECKING:
    from shoal.client.session.session import Session

__all__ = ["Callbacks"]

logger = logging.getLogger("shoal.client")


class HasRecord(Protocol):
    """A future: what its callbacks are called with."""

    _record: Record


class Callbacks:
    """The done-callbacks of one client's futures, and its handlers of events."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._queue: queue.SimpleQueue[tuple[Callable[[Any], Any], Any, str] | None] = (
            queue.SimpleQueue()
        )
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, future: HasRecord, fn: Callable[[Any], Any]) -> None:
        """Call ``fn(future)`` once, when the future is done."""
        if not callable(fn):
            raise TypeError(f"a callback must be callable, got {fn!r}")
        self._start()

        def when_done(record: Record) -> None:
            self._queue.put((fn, future, "a done-callback"))

        record = future._record
        with self._session.lock:
            if record.status not in DONE:
                record.watch = (*record.watch, when_done)
                return
        when_done(record)

    def call(self, fn: Callable[[Any], Any], argument: Any, what: str) -> None:
        """Call a function in the thread; `what` names it in the log should it fail."""
        self._start()
        self._queue.put((fn, argument, what))

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                # A daemon: a callback that blocks does not keep the interpreter from ending.
                self._thread = threading.Thread(
                    target=self._run, name="shoal-callbacks", daemon=True
                )
                self._thread.start()

    def close(self) -> None:
        """End the thread when it has called what is to be called."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            fn, argument, what = item
            try:
                fn(argument)
            except BaseException:  # others are still to be called
                logger.exception("%s failed with %r", what, argument)
            del item, fn, argument
