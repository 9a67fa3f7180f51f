"""The shell around the client's core: futures are counted here, and threads meet the loop.

Users' threads make records and put what they want done into an outbox; one scheduled callback a
burst hands all of it to the core, on the loop. The order in the outbox is the order of the calls,
because it decides what is released before what.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any
from zlib import crc32

from shoal import config
from shoal._base.local_stores import StoresInReach
from shoal.client.core.events import (
    Event,
    FromScheduler,
    Released,
    RequestMade,
    Submitted,
    TookAnswer,
)
from shoal.client.core.machine import Machine
from shoal.client.core.outgoing import STEP
from shoal.client.core.state import CANCELLED, DONE, FINISHED, LOST, Record
from shoal.client.session.latches import AsyncLatch, Latch, ThreadLatch
from shoal.client.session.one_by_one import OneByOne
from shoal.client.session.pending_graphs import (
    OF_GRAPHS,
    GraphAnnounced,
    GraphPart,
    PendingGraph,
    SubmissionOrder,
)
from shoal.client.submission.functions import PickledFunctions
from shoal.task_context import aside, current_task
from shoal.wire.messages import Answer

if TYPE_CHECKING:
    from shoal.client.client import Client
    from shoal.client.core.asks import Asking
    from shoal.client.core.effects import Effects
    from shoal.comm.stream import MessageStream

__all__ = ["Session"]

logger = logging.getLogger("shoal.client")

_AT_ONCE = 500  # futures counted down while others wait for the lock
_TIMEOUT = 0.02  # seconds that a thread with more to tell waits for the loop
_BATCH = 10_000  # records handed to the core in one turn of the loop


class Session:
    """What the futures of one client have in common.

    Parameters
    ----------
    client : Client
        Whose session it is.
    id : str
        The client's id.
    name : str, optional
        What people call it.
    versions : dict
        Versions of the software here.

    Attributes
    ----------
    records : dict
        The record of each key that has a future, guarded by `lock`. The loop takes the lock too,
        so nothing slow happens under it.
    """

    def __init__(self, client: Client, id: str, name: str | None, versions: dict[str, Any]) -> None:
        self.client = client
        # Microseconds, and what tells clients apart that begin in the same one.
        first_life = int(time.time() * 1e6) * STEP + crc32(id.encode()) % STEP
        self.machine = Machine(id, name, versions, first_life)
        self.functions = PickledFunctions()
        # Families of serialization that a user named, where the usual pickle will not do.
        self.serializers: list[str] | None = None
        self.deserializers: list[str] | None = None
        self.records: dict[str, Record] = {}
        self.lock = threading.Lock()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.stream: MessageStream[Any] | None = None
        self.ended: str | None = None
        # Bytes of arguments of one task that are worth a warning.
        self.large = config.get_bytes("distributed.admin.large-graph-warning-threshold")
        self.on_ended: Callable[[str], None] | None = None
        # Called with what comes from topics.
        self.on_news: Callable[[list[Any]], None] | None = None
        # Called with each logged event of a topic that the client subscribed to.
        self.on_event: Callable[[Any], None] | None = None
        self.ask_ids = itertools.count(1)
        self.asked_last = 0  # the last ask that a thread waits for
        # Called whenever workers came or went, or the scheduler said welcome.
        self.on_workers: list[Callable[[], None]] = []
        self._turns = SubmissionOrder(self)
        self.outbox: deque[Any] = deque()
        self._awake = False
        self._flushing = False  # what the loop took out of the outbox is not handed over yet
        # Held while the outbox is handed over: what is before what is the order that counts.
        self.handing = threading.RLock()
        # Held while the core is told something and what it says is sent: see `say`.
        self.speaking = threading.RLock()  # a destructor may run in between
        self.one_by_one = OneByOne(self)
        self.stores = StoresInReach()

    # ------------------------------------------------------------------ from any thread

    def share(self, record: Record) -> Record:
        """Count a future of this record's key; the record itself is used if the key is new."""
        with self.lock:
            known = self.records.get(record.key)
            if known is not None:
                if known.futures > known.ending:
                    known.futures += 1
                    return known
                self._end_lives([known])
            self.records[record.key] = record
            record.futures = 1
            self.outbox.append(record)
        if not self._awake and not (self.one_by_one.on and self.one_by_one.tell()):
            self._wake()
        return record

    def share_all(self, records: list[Record]) -> list[Record]:
        """`share` for many."""
        table = self.records
        by_key = {record.key: record for record in records}
        with self.lock:
            if len(by_key) == len(records) and table.keys().isdisjoint(by_key):
                table.update(by_key)
                for record in records:
                    record.futures = 1
                shared = fresh = records
            else:
                shared, fresh = [], []
                self._end_lives([table[key] for key in table.keys() & by_key.keys()])
                for record in records:
                    known = table.setdefault(record.key, record)
                    known.futures += 1
                    shared.append(known)
                    if known is record:
                        fresh.append(record)
            self.outbox.append(fresh)
        if not self._awake:
            self._wake()
        return shared

    def announce(self, names: Iterable[str]) -> tuple[dict[str, Record], PendingGraph]:
        """Count a future of each of these keys; tasks of those that are new are still to come."""
        table = self.records
        counted: dict[str, Record] = {}
        fresh: dict[str, Record] = {}
        names = list(names)
        with self.lock:
            self._end_lives([table[name] for name in names if name in table])
            for name in names:
                record = table.get(name)
                if record is None:
                    record = table[name] = fresh[name] = Record(name)
                record.futures += 1
                counted[name] = record
            pending_graph = PendingGraph(fresh)
            self._turns.busy += 1
            self.outbox.append(GraphAnnounced(pending_graph))
        if not self._awake:
            self._wake()
        return counted, pending_graph

    def share_graph(
        self, records: list[Record], pending_graph: PendingGraph | None = None
    ) -> list[Record]:
        """Hand over tasks, inputs first; return one counted record for each that is wanted.

        Those that are not wanted are inputs of others in the list. Where such a key has a future,
        its record is counted and returned, too, so that it stays until the caller releases it.
        Records of an announced graph, `pending_graph`, are counted already, and not returned.
        """
        table = self.records
        counted: list[Record] = []
        fresh: list[Record] = []
        with self.lock:
            keys = table.keys() & {record.key for record in records if record.wanted}
            fresh_ones = {id(record) for record in records}
            self._end_lives([table[key] for key in keys if id(table[key]) not in fresh_ones])
            for record in records:
                known = table.get(record.key)
                if known is not None and known is not record:
                    known.futures += 1
                    counted.append(known)
                    continue
                fresh.append(record)
                if (
                    record.wanted
                    and known is None
                    and not (pending_graph and pending_graph.has(record))
                ):
                    table[record.key] = record
                    record.futures = 1
                    counted.append(record)
            # An event, not a list: what was released before must be gone, inputs of it too.
            event = Submitted(fresh)
            self.outbox.append(event if pending_graph is None else GraphPart(pending_graph, event))
        if not self._awake:
            self._wake()
        return counted

    def find(self, key: str) -> Record | None:
        """Return the record of a key that has a future, and count another one."""
        with self.lock:
            known = self.records.get(key)
            if known is not None:
                if known.futures <= known.ending:
                    return None
                known.futures += 1
            return known

    def _end_lives(self, known: list[Record]) -> None:
        """Let go, under the lock, of those whose last future is gone, though not counted down yet.

        Who asks for such a key now means a new life of it.
        """
        over = [record for record in known if record.futures <= record.ending]
        if over:
            # First: a signal may come in between, and to say it twice is better than not at all.
            self.outbox.append(Released([record.key for record in over]))
            for record in over:
                self.records.pop(record.key, None)

    def post_anyway(self, item: Any) -> None:
        """`post`, for a thread that may be later than the loop's end."""
        try:
            self.post(item)
        except RuntimeError:  # the loop is closed: there is nobody to tell
            pass

    def post(self, event: Event) -> None:
        """Hand an event to the core, after all that was posted before."""
        self.outbox.append(event)
        if not self._awake:
            self._wake()

    def say(self, event: RequestMade | TookAnswer) -> None:
        """`post`, for a thread that waits for the answer: past the loop, if nothing is before it.

        Only for events that lead to nothing but messages, as everything else is the loop's.
        """
        # In this order: `_flush` takes things out of the outbox only while it says so.
        if not (self.outbox or self._awake) and self.may_speak():
            with self.speaking:
                stream = self.stream
                if stream is not None and self.ended is None:
                    messages = self.machine.handle(event, time.monotonic()).messages
                    if messages:  # otherwise it is said again when there is a connection
                        stream.send_now(messages)
                    return
        self.post(event)

    def may_speak(self) -> bool:
        """Whether nothing is in the midst of being handed over that others may not overtake."""
        return not (self._flushing or self._turns.busy)

    def read_answer(self, asking: Asking, seconds: float | None = None) -> None:
        """Read the answer in this thread that waits for it, if the loop lends the connection.

        Returns when it is there, or when it is for the loop to read it.
        """
        stream = self.stream
        self.asked_last = id = asking.ask.id
        if stream is None or current_task() is not None:
            return

        def take(messages: list[Any]) -> bool:
            if len(messages) != 1 or type(messages[0]) is not Answer or messages[0].id != id:
                return False
            with self.speaking:
                said = self.machine.handle(FromScheduler(messages), time.monotonic()).messages
                if said:
                    stream.send_now(said)
            return True

        stream.read_in_thread(take, lambda: asking.answer is not None, seconds)

    def release(self, record: Record) -> None:
        """A future is gone. Never blocks or raises: it is called by the garbage collector."""
        record.ending += 1  # first: `_flush` counts it off when it finds it in the outbox
        self.outbox.append((record,))
        if not self._awake and not self.one_by_one.on:
            try:
                self._wake()
            except RuntimeError:  # the loop is closed: there is nobody to tell
                pass

    def release_now(
        self, records: Iterable[Record], pending_graph: PendingGraph | None = None
    ) -> None:
        """Count these down; keys with no other future begin anew at the next call."""
        gone: list[str] = []
        table = self.records
        with self.lock:
            for record in records:
                if record.futures > 1:
                    # In its turn: the release of another future may be in the outbox, before what
                    # was submitted since and needs the key. That one must not be the last.
                    item = (record,)
                    record.ending += 1
                    self.outbox.append(
                        item if pending_graph is None else GraphPart(pending_graph, item)
                    )
                    continue
                record.futures -= 1
                if record.futures == 0 and table.get(record.key) is record:
                    del table[record.key]
                    gone.append(record.key)
            if gone:
                event = Released(gone)
                self.outbox.append(
                    event if pending_graph is None else GraphPart(pending_graph, event)
                )
        if not self._awake:
            self._wake()

    def wake(self) -> None:
        """Have the loop hand over what is in the outbox."""
        if self.outbox and not self._awake:
            self._wake()

    def let_hand(self) -> None:
        """Wait until the loop has handed over what is in the outbox.

        A thread that goes on computing would keep the interpreter from it for a while.
        """
        loop = self.loop
        if loop is None or asyncio._get_running_loop() is loop:
            return
        handed = threading.Event()
        loop.call_soon_threadsafe(handed.set)
        handed.wait(_TIMEOUT)

    def _wake(self) -> None:
        loop = self.loop
        if loop is None:
            return  # `attach` wakes it
        try:
            self._awake = True
            if asyncio._get_running_loop() is loop:
                loop.call_soon(self._flush)
            else:
                loop.call_soon_threadsafe(self._flush)
        except BaseException:  # the loop is closed, or a signal came
            self._awake = False
            raise

    @property
    def asynchronous(self) -> bool:
        """Whether a call made here and now must not block."""
        return asyncio._get_running_loop() is self.loop or self.client._asynchronous

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

    def block(
        self,
        records: Sequence[Record],
        timeout: float | None = None,
        enough: int | None = None,
        fail_fast: bool = False,
    ) -> bool:
        """Block this thread until records are done; return whether they are (see `Latch`)."""
        latch = ThreadLatch(enough, fail_fast)
        if not self.one_by_one.on:
            self.wake()  # whose turn it was to do so may have been interrupted by a signal
        if len(records) == 1 and records[0].status not in DONE:
            start = time.monotonic()
            self.one_by_one.wait(records[0], timeout)
            if timeout is not None:
                timeout = max(0.0, timeout - (time.monotonic() - start))
        if not self.watch(records, latch):
            self.unwatch(records, latch)
            return True
        opened = False
        try:
            opened = latch.wait(timeout)
        finally:
            if not opened or enough is not None or fail_fast:
                self.unwatch(records, latch)
        return opened

    async def until(
        self,
        records: Sequence[Record],
        timeout: float | None = None,
        enough: int | None = None,
        fail_fast: bool = False,
    ) -> bool:
        """Wait until records are done; return whether they are (see `Latch`)."""
        latch = AsyncLatch(enough, fail_fast, home=self.loop)
        try:
            if self.watch(records, latch):
                with aside():
                    await asyncio.wait_for(latch.wait(), timeout)
        except TimeoutError:
            return False
        finally:
            self.unwatch(records, latch)
        return True

    # ------------------------------------------------------------------ on the loop

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Say which loop this session lives on."""
        self.loop = loop
        self.wake()

    def receive(self, messages: list[Any]) -> None:
        """Take in messages of the scheduler."""
        self.hand(FromScheduler(messages))

    def drain(self) -> None:
        """Hand over at once what waits in the outbox."""
        while self.outbox:
            self._flush()

    def _flush(self) -> None:
        with self.handing:
            self._flushing = True
            self._awake = False
            try:
                self._hand_outbox()
            finally:
                self._flushing = False

    def _hand_outbox(self) -> None:
        outbox = self.outbox
        if self._turns.busy:
            outbox = self._turns.sift(outbox)
        records: list[Record] = []
        released: dict[str, None] = {}
        while outbox:
            item = outbox.popleft()
            kind = type(item)
            if kind is Record:
                if item.key in released:
                    self._hand_over(records, released)
                records.append(item)
            elif kind is tuple:
                self._uncount_all(item[0], outbox, released)
            elif kind is list:
                if released and not released.keys().isdisjoint([r.key for r in item]):
                    self._hand_over(records, released)
                records += item
            else:
                self._hand_over(records, released)
                if kind in OF_GRAPHS:  # told since this began
                    outbox.appendleft(item)
                    break
                self.hand(item)
            if len(records) + len(released) > _BATCH and outbox:
                break
        self._hand_over(records, released)
        if outbox:
            if outbox is not self.outbox:
                self.outbox.extendleft(reversed(outbox))
            if not self._awake:
                self._wake()

    def _uncount_all(self, record: Record, outbox: deque[Any], released: dict[str, None]) -> None:
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

    def uncount(self, record: Record, released: dict[str, None]) -> None:
        """Count a future less; note the key where it was the last."""
        key = record.key
        with self.lock:
            record.futures -= 1
            record.ending -= 1
            if record.futures == 0 and self.records.get(key) is record:
                del self.records[key]
                released[key] = None

    def _hand_over(self, records: list[Record], released: dict[str, None]) -> None:
        # Releases go last: what was submitted before may depend on what is released.
        if records:
            self.hand(Submitted(records.copy()))
            records.clear()
        if released:
            self.hand(Released(list(released)))
            released.clear()

    def hand(self, event: Event) -> None:
        """Give one event to the core and do what it asks for."""
        with self.speaking:
            effects = self.machine.handle(event, time.monotonic())
            if effects.messages and self.stream is not None:
                for messages in effects.batches():
                    self.stream.send(messages)
        self.follow(effects)

    def follow(self, effects: Effects) -> None:
        """Do what an event leads to, but for the messages."""
        if effects.changed:
            self.tell_watchers(effects.changed)
        if effects.news and self.on_news is not None:
            self.on_news(effects.news)
        if effects.events and self.on_event is not None:
            for topic_event in effects.events:
                self.on_event(topic_event)
        for kind, name in effects.lost:
            logger.warning(
                "the %s %r that this client held went to another while the scheduler was away",
                kind,
                name,
            )
        if effects.ended is not None:
            self.ended = effects.ended
            if self.on_ended is not None:
                self.on_ended(effects.ended)
        if effects.workers_changed or effects.ended is not None:
            for callback in list(self.on_workers):
                callback()

    def tell_watchers(self, records: list[Record]) -> None:
        """Records have changed: wake the waiting threads and coroutines."""
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
