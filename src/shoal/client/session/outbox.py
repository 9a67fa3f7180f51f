"""Threads' events for the core, in the order of their calls, until the loop takes them.

The order counts, because it decides what is released before what.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from shoal.client.core.events import Released, Submitted
from shoal.client.core.state import Record

if TYPE_CHECKING:
    from shoal.client.session.applier import ClientApplier
    from shoal.client.session.future_table import FutureTable

__all__ = ["Outbox"]

_TIMEOUT = 0.02  # seconds that a thread with more to tell waits for the loop
_BATCH = 10_000  # records handed to the core in one turn of the loop


class Outbox(deque[Any]):
    """Records (submitted), lists of them, tuples of one (a future of it is gone), and events.

    Any thread appends, then looks whether the outbox is `awake`, and wakes it if not. One scheduled
    callback a burst hands over all of it, on the loop.

    Parameters
    ----------
    futures : FutureTable
        Where futures are counted.
    applier : ClientApplier
        The function that takes the events.

    Attributes
    ----------
    awake : bool
        The loop will look.
    flushing : bool
        The loop took events out, and has not handed them over yet.
    handing : threading.RLock
        Held while things are handed over: what is before what is the order that counts.
    """

    def __init__(self, futures: FutureTable, applier: ClientApplier) -> None:
        super().__init__()
        self.awake = False
        self.flushing = False
        self.handing = threading.RLock()
        self.loop: asyncio.AbstractEventLoop | None = None
        self._futures = futures
        self._applier = applier

    # ------------------------------------------------------------------ from any thread

    def wake(self) -> None:
        """Have the loop hand over what is here."""
        loop = self.loop
        if loop is None:
            return  # `Session.attach` wakes it
        try:
            self.awake = True
            if asyncio._get_running_loop() is loop:
                loop.call_soon(self.flush)
            else:
                loop.call_soon_threadsafe(self.flush)
        except BaseException:  # the loop is closed, or a signal came
            self.awake = False
            raise

    def wake_if_needed(self) -> None:
        """`wake`, where there is something that the loop does not know of."""
        if self and not self.awake:
            self.wake()

    def let_hand(self) -> None:
        """Wait until the loop has handed over what is here.

        A thread that goes on computing would keep the interpreter from it for a while.
        """
        loop = self.loop
        if loop is None or asyncio._get_running_loop() is loop:
            return
        handed = threading.Event()
        loop.call_soon_threadsafe(handed.set)
        handed.wait(_TIMEOUT)

    # ------------------------------------------------------------------ on the loop

    def drain(self) -> None:
        """Hand over at once what waits."""
        while self:
            self.flush()

    def flush(self) -> None:
        """Hand over what is here, or as much as one turn of the loop should."""
        with self.handing:
            self.flushing = True
            self.awake = False
            try:
                self._hand_over()
            finally:
                self.flushing = False

    def _hand_over(self) -> None:
        records: list[Record] = []
        released: dict[str, None] = {}
        while self:
            item = self.popleft()
            kind = type(item)
            if kind is Record:
                if item.key in released:
                    self._tell(records, released)
                records.append(item)
            elif kind is tuple:
                self._futures.uncount_all(item[0], self, released)
            elif kind is list:
                if released and not released.keys().isdisjoint([r.key for r in item]):
                    self._tell(records, released)
                records += item
            else:
                self._tell(records, released)
                self._applier.feed(item)
            if len(records) + len(released) > _BATCH and self:
                break
        self._tell(records, released)
        self.wake_if_needed()

    def _tell(self, records: list[Record], released: dict[str, None]) -> None:
        # Releases go last: what was submitted before may depend on what is released.
        if records:
            self._applier.feed(Submitted(records.copy()))
            records.clear()
        if released:
            self._applier.feed(Released(list(released)))
            released.clear()
