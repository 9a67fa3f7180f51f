"""The shell around the client's core: futures are counted here, and threads meet the loop.

Users' threads make records and put what they want done into an outbox; one scheduled callback a
burst hands all of it to the core, on the loop. The order in the outbox is the order of the calls,
because it decides what is released before what.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any
from zlib import crc32

from shoal import config
from shoal._base.local_stores import StoresInReach
from shoal._base.within import within
from shoal.client.core.events import (
    Event,
    FromScheduler,
    GraphAnnounced,
    GraphPart,
    Released,
    RequestMade,
    Submitted,
    TookAnswer,
)
from shoal.client.core.machine import Machine
from shoal.client.core.outgoing import STEP
from shoal.client.core.state import DONE, PendingGraph, Record
from shoal.client.session.applier import ClientApplier
from shoal.client.session.future_table import FutureTable
from shoal.client.session.latches import AsyncLatch, ThreadLatch
from shoal.client.session.one_by_one import OneByOne
from shoal.client.session.outbox import Outbox
from shoal.client.session.ports import Calls, Link
from shoal.client.submission.functions import PickledFunctions
from shoal.task_context import aside, current_task
from shoal.wire.messages import Answer

if TYPE_CHECKING:
    from shoal.client.core.asks import Asking
    from shoal.client.session.context import ClientContext
    from shoal.comm.stream import MessageStream

__all__ = ["Session"]


class Session:
    """The state that the futures of one client share.

    Parameters
    ----------
    client : Client
        Whose session it is.
    id : str
        The client's id.
    name : str, optional
        The client's name for people.
    versions : dict
        Versions of the software here.

    Attributes
    ----------
    machine : Machine
        The client's core.
    futures : FutureTable
        Which keys have futures, and who waits for them; `records` and `lock` are its.
    outbox : Outbox
        The events for the core.
    applier : ClientApplier
        Tells the core, and carries out what follows.
    stream : MessageStream, optional
        To the scheduler, while there is a connection.
    ended : str, optional
        Why nothing more can be done.
    on_ended : callable, optional
        Called with the reason when nothing more can be done.
    on_news : callable, optional
        Called with what comes from topics.
    on_event : callable, optional
        Called with each logged event of a topic that the client subscribed to.
    on_workers : list of callable
        Called whenever workers came or went, or the scheduler said welcome.
    """

    def __init__(
        self, client: ClientContext, id: str, name: str | None, versions: dict[str, Any]
    ) -> None:
        self.client = client
        # Microseconds, and what tells clients apart that begin in the same one.
        first_life = int(time.time() * 1e6) * STEP + crc32(id.encode()) % STEP
        self.machine = Machine(id, name, versions, first_life)
        self.functions = PickledFunctions()
        # Families of serialization that a user named, where the usual pickle will not do.
        self.serializers: list[str] | None = None
        self.deserializers: list[str] | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.stream: MessageStream[Any] | None = None
        self.ended: str | None = None
        # Bytes of arguments of one task that are worth a warning.
        self.large = config.get_bytes("distributed.admin.large-graph-warning-threshold")
        self.on_ended: Callable[[str], None] | None = None
        self.on_news: Callable[[list[Any]], None] | None = None
        self.on_event: Callable[[Any], None] | None = None
        self.on_workers: list[Callable[[], None]] = []
        self.ask_ids = itertools.count(1)
        self.asked_last = 0  # the last ask that a thread waits for
        self.futures = FutureTable()
        self.records = self.futures.records
        self.set_up()
        self.stores = StoresInReach()

    def set_up(self) -> None:
        """Make the locks, and what is guarded by them; a forked child does so anew.

        Threads that do not exist there may have held the old ones.
        """
        self.lock = self.futures.lock = threading.Lock()
        self.speaking = threading.RLock()  # again, by a destructor that runs in between
        self.applier = ClientApplier(
            self.machine,
            time.monotonic,
            speaking=self.speaking,
            link=Link(self),
            futures=self.futures,
            calls=Calls(self),
        )
        self.outbox = Outbox(self.futures, self.applier)
        self.one_by_one = OneByOne(self)

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
        if not self.outbox.awake and not (self.one_by_one.on and self.one_by_one.tell()):
            self.outbox.wake()
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
        if not self.outbox.awake:
            self.outbox.wake()
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
            self.outbox.append(GraphAnnounced(pending_graph))
        if not self.outbox.awake:
            self.outbox.wake()
        return counted, pending_graph

    def share_graph(
        self, records: list[Record], pending_graph: PendingGraph | None = None
    ) -> list[Record]:
        """Hand over tasks, inputs first; return one counted record for each that is wanted.

        Records that are not wanted are inputs of others in the list. Where such a key has a future,
        its record is counted and returned, too, so that it stays until the caller releases it.
        Records of an announced graph, `pending_graph`, are counted already, and not returned.
        """
        table = self.records
        counted: list[Record] = []
        fresh: list[Record] = []
        own = {} if pending_graph is None else pending_graph.records
        with self.lock:
            keys = table.keys() & {record.key for record in records if record.wanted}
            fresh_ones = {id(record) for record in records}
            self._end_lives([table[key] for key in keys if id(table[key]) not in fresh_ones])
            for record in records:
                known = table.get(record.key)
                if record.key in own:
                    fresh.append(record)
                elif known is not None:
                    known.futures += 1
                    counted.append(known)
                else:
                    fresh.append(record)
                    if record.wanted:
                        table[record.key] = record
                        record.futures = 1
                        counted.append(record)
            # An event, not a list: what was released before must be gone, inputs of it too.
            self.outbox.append(
                Submitted(fresh) if pending_graph is None else GraphPart(pending_graph, fresh)
            )
        if not self.outbox.awake:
            self.outbox.wake()
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

        A caller that asks for such a key now means a new life of it.
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
        if not self.outbox.awake:
            self.outbox.wake()

    def say(self, event: RequestMade | TookAnswer) -> None:
        """`post`, for a thread that waits for the answer: past the loop, if nothing is before it.

        Only for events that lead to nothing but messages, as everything else is the loop's.
        """
        outbox = self.outbox
        # In this order: `flush` takes things out of the outbox only while it says so.
        if not (outbox or outbox.awake or outbox.flushing):
            with self.speaking:
                # Otherwise it is said again when there is a connection.
                if self.stream is not None and self.ended is None:
                    self.applier.speak(event)
                    return
        self.post(event)

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
            self.applier.speak(FromScheduler(messages))
            return True

        stream.read_in_thread(take, lambda: asking.answer is not None, seconds)

    def release(self, record: Record) -> None:
        """A future is gone. Never blocks or raises: it is called by the garbage collector."""
        record.ending += 1  # first: `_flush` counts it off when it finds it in the outbox
        self.outbox.append((record,))
        if not self.outbox.awake and not self.one_by_one.on:
            try:
                self.outbox.wake()
            except RuntimeError:  # the loop is closed: there is nobody to tell
                pass

    def release_now(self, records: Iterable[Record]) -> None:
        """Count these down; keys with no other future begin anew at the next call."""
        gone: list[str] = []
        table = self.records
        with self.lock:
            for record in records:
                if record.futures > 1:
                    # In its turn: the release of another future may be in the outbox, before what
                    # was submitted since and needs the key. That one must not be the last.
                    record.ending += 1
                    self.outbox.append((record,))
                    continue
                record.futures -= 1
                if record.futures == 0 and table.get(record.key) is record:
                    del table[record.key]
                    gone.append(record.key)
            if gone:
                self.outbox.append(Released(gone))
        if not self.outbox.awake:
            self.outbox.wake()

    @property
    def asynchronous(self) -> bool:
        """Whether a call made here and now must not block."""
        return asyncio._get_running_loop() is self.loop or self.client._asynchronous

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
            # A signal may have interrupted the thread whose turn it was to do so.
            self.outbox.wake_if_needed()
        if len(records) == 1 and records[0].status not in DONE:
            start = time.monotonic()
            self.one_by_one.wait(records[0], timeout)
            if timeout is not None:
                timeout = max(0.0, timeout - (time.monotonic() - start))
        if not self.futures.watch(records, latch):
            self.futures.unwatch(records, latch)
            return True
        opened = False
        try:
            opened = latch.wait(timeout)
        finally:
            if not opened or enough is not None or fail_fast:
                self.futures.unwatch(records, latch)
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
            if self.futures.watch(records, latch):
                with aside():
                    await within(latch.wait(), timeout)
        except TimeoutError:
            return False
        finally:
            self.futures.unwatch(records, latch)
        return True

    # ------------------------------------------------------------------ on the loop

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Say which loop this session lives on."""
        self.loop = self.outbox.loop = loop
        self.outbox.wake_if_needed()

    def hand(self, event: Event) -> None:
        """Give one event to the core, past the outbox, and do what it asks for."""
        self.applier.feed(event)
