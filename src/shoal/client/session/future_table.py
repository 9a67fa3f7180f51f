"""Which keys have futures, how many, and who waits for them. Used by all threads.

Here is only counting and waking; `outbox` tells the core of released keys.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from shoal.client.core.state import CANCELLED, DONE, FINISHED, LOST, Record
from shoal.client.session.latches import Latch

__all__ = ["FutureTable"]

_AT_ONCE = 500  # futures counted down while others wait for the lock


class FutureTable:
    """The records that have futures.

    Attributes
    ----------
    records : dict
        The record of each key that has a future, guarded by `lock`. The loop takes the lock too,
        so nothing slow happens under it.
    """

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.lock = threading.Lock()

    # ------------------------------------------------------------------ counting

    def uncount(self, record: Record, released: dict[str, None]) -> None:
        """Count a future less; note the key where it was the last."""
        key = record.key
        with self.lock:
            record.futures -= 1
            record.ending -= 1
            if record.futures == 0 and self.records.get(key) is record:
                del self.records[key]
                released[key] = None

    def uncount_all(self, record: Record, outbox: deque[Any], released: dict[str, None]) -> None:
        """`uncount`, and for what was released right after it, with one look at the lock."""
        table = self.records
        room = _AT_ONCE
        with self.lock:
            while True:
                key = record.key
                record.futures -= 1
                record.ending -= 1
                if record.futures == 0 and table.get(key) is record:
                    del table[key]
                    released[key] = None
                room -= 1
                if not room or not outbox or type(outbox[0]) is not tuple:
                    return
                record = outbox.popleft()[0]

    def forget(self, records: list[Record]) -> None:
        """Have who submits these keys again begin anew."""
        table = self.records
        with self.lock:
            for record in records:
                if table.get(record.key) is record:
                    del table[record.key]

    # ------------------------------------------------------------------ waiting

    def watch(self, records: Iterable[Record], latch: Latch) -> bool:
        """Put a latch on those that are not done; return whether there is something to wait for."""
        pending = 0
        done = 0
        only = (latch,)  # one for all that are watched by nobody else
        with self.lock:
            for record in records:
                status = record.status
                if status not in DONE:
                    watch = record.watch
                    record.watch = (*watch, latch) if watch else only
                    pending += 1
                else:
                    done += 1
                    if latch.fail_fast and status != FINISHED:
                        latch.opened = True
            latch.left = pending if latch.enough is None else min(pending, latch.enough - done)
            if latch.left <= 0:
                latch.opened = True
            return not latch.opened

    def unwatch(self, records: Iterable[Record], latch: Callable[[Record], None]) -> None:
        """Take a latch off again."""
        with self.lock:
            for record in records:
                if record.watch:
                    record.watch = tuple(w for w in record.watch if w is not latch)

    def tell_watchers(self, records: list[Record]) -> None:
        """Records have changed: wake who waits for them."""
        woken: list[tuple[tuple[Any, ...], list[Record]]] = []
        watchers: tuple[Any, ...] = ()  # many records in a row mostly have the same
        together: list[Record] = []
        table = self.records
        with self.lock:
            for record in records:
                status = record.status
                if status in (CANCELLED, LOST) and table.get(record.key) is record:
                    # The next submit of this key begins anew.
                    del table[record.key]
                watch = record.watch
                if watch and status in DONE:
                    record.watch = ()
                    if watch is not watchers:
                        watchers, together = watch, []
                        woken.append((watchers, together))
                    together.append(record)
        for watchers, together in woken:
            for watcher in watchers:
                if isinstance(watcher, Latch):
                    watcher.count(together)
                    continue
                for record in together:
                    watcher(record)
