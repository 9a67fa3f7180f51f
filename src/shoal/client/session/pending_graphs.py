"""Graphs that another thread still lowers: their futures are there, and their tasks are to come.

What the client says after them and depends on them waits here for its turn; everything else goes
past. All of it happens on the loop, except that the other thread reads when it is to stop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from shoal.client.core.events import (
    CancelRequested,
    FireRequested,
    Released,
    RetryRequested,
    Submitted,
)
from shoal.client.core.state import CANCELLED, ERROR, PENDING, Failure, Record
from shoal.wire.failures import pack_failure
from shoal.wire.reference import Reference

if TYPE_CHECKING:
    from shoal.client.session.session import Session

__all__ = [
    "OF_GRAPHS",
    "GraphAnnounced",
    "GraphComplete",
    "GraphPart",
    "PendingGraph",
    "SubmissionOrder",
]

_OF_KEYS = (Released, CancelRequested, RetryRequested, FireRequested)


class PendingGraph:
    """The tasks of one graph that are not all told yet.

    Attributes
    ----------
    records : dict
        The new records among those that are wanted; those that were not lowered have no call.
    stopped : bool
        Nobody wants any of it: the rest need not be lowered.
    error : BaseException, optional
        Why the rest was not lowered.
    """

    __slots__ = ("_dropped", "_why", "claimed", "error", "held_up", "keys", "records", "stopped")

    def __init__(self, records: dict[str, Record]) -> None:
        self.records = records
        self.keys = list(records)  # what is expected of it
        self.claimed: list[Record] = []  # by items that wait for it; one each time
        self.stopped = False
        self.error: BaseException | None = None
        self.held_up = False  # it depends on another, so all that it tells waits
        self._dropped: set[str] = set()
        self._why: Failure | None = None

    def has(self, record: Record) -> bool:
        """Whether this is one of the new records."""
        return self.records.get(record.key) is record

    def drop(self, key: str) -> None:
        """Nobody wants a key any more."""
        if key in self.records:
            self._dropped.add(key)
            self.stopped = len(self._dropped) == len(self.records)

    def why(self) -> Failure | str:
        """Return why what was not told will not be computed."""
        if self.error is None:
            return "the graph that it is part of is not wanted any more"
        if self._why is None:
            failure = pack_failure(self.error)
            self._why = Failure(failure.exception, failure.traceback, "")
        return self._why


class GraphAnnounced:
    """In the outbox: from here on, keys are expected."""

    __slots__ = ("pending_graph",)

    def __init__(self, pending_graph: PendingGraph) -> None:
        self.pending_graph = pending_graph


class GraphPart:
    """In the outbox: an item that comes from the lowering itself."""

    __slots__ = ("item", "pending_graph")

    def __init__(self, pending_graph: PendingGraph, item: Any) -> None:
        self.pending_graph = pending_graph
        self.item = item


class GraphComplete:
    """In the outbox: all was told, or nothing more will be."""

    __slots__ = ("pending_graph",)

    def __init__(self, pending_graph: PendingGraph) -> None:
        self.pending_graph = pending_graph


OF_GRAPHS = frozenset((GraphAnnounced, GraphPart, GraphComplete))
"""What only `SubmissionOrder` understands."""


class SubmissionOrder:
    """Which items of a client's outbox may go on, and which wait.

    Parameters
    ----------
    session : Session
        Whose outbox it is.

    Attributes
    ----------
    busy : int
        Graphs under way; while there is none, nothing has to be looked at. The session's lock
        guards it.
    """

    def __init__(self, session: Session) -> None:
        self.busy = 0
        self._session = session
        self._expected: dict[str, PendingGraph] = {}
        self._needed: set[str] = set()  # what the waiting items depend on
        self._waiting: list[Any] = []

    def sift(self, outbox: deque[Any]) -> deque[Any]:
        """Return, of what is in the outbox now, what may go on."""
        passed: deque[Any] = deque()
        for _ in range(len(outbox)):
            self._take(outbox.popleft(), passed)
        return passed

    def _take(self, item: Any, passed: deque[Any]) -> None:
        kind = type(item)
        if kind is GraphAnnounced:
            self._expected.update(dict.fromkeys(item.pending_graph.records, item.pending_graph))
        elif kind is GraphPart or kind is GraphComplete:
            self._take_own(item, passed)
        elif kind is tuple:
            self._uncount(item, passed)
        else:
            cause = self._cause(_names(item), None)
            is_needed = isinstance(item, _OF_KEYS) and not self._needed.isdisjoint(item.keys)
            if cause is None and not is_needed:
                passed.append(item)
            else:
                self._look_at(item)
                self._wait(item, cause)

    def _take_own(self, item: Any, passed: deque[Any]) -> None:
        pending_graph = item.pending_graph
        own = item.item if type(item) is GraphPart else None
        if type(own) is Submitted and not pending_graph.held_up:
            pending_graph.held_up = self._cause(_names(own), pending_graph) is not None
        if pending_graph.held_up:
            self._wait(item, pending_graph)
        elif own is not None:
            passed.append(own)
        else:
            self._finish(pending_graph, passed)

    def _cause(self, names: Iterable[str], own: PendingGraph | None) -> PendingGraph | None:
        """Return what one of these keys waits for."""
        expected = self._expected
        for name in names:
            pending_graph = expected.get(name)
            if pending_graph is not None and pending_graph is not own:
                return pending_graph
        return None

    def _wait(self, item: Any, cause: PendingGraph | None) -> None:
        """Have an item wait, and with it all that depends on what it brings."""
        self._waiting.append(item)
        expected = self._expected
        for record in _records(item.item if type(item) is GraphPart else item):
            self._needed.update(record.deps)
            for dep in record.deps:
                self._claim(dep)
            if cause is not None and expected.setdefault(record.key, cause) is cause:
                cause.keys.append(record.key)

    def _claim(self, key: str) -> None:
        """Count a future of what somebody waits for: the user's may go meanwhile."""
        pending_graph = self._expected.get(key)
        record = None if pending_graph is None else pending_graph.records.get(key)
        if pending_graph is not None and record is not None:
            with self._session.lock:
                record.futures += 1
            pending_graph.claimed.append(record)

    def _uncount(self, item: tuple[Record], passed: deque[Any]) -> None:
        """A future is gone."""
        (record,) = item
        pending_graph = self._expected.get(record.key)
        if pending_graph is None and record.key not in self._needed:
            passed.append(item)
            return
        released: dict[str, None] = {}
        self._session.uncount(record, released)
        if released:
            if pending_graph is not None:
                pending_graph.drop(record.key)
            self._wait(Released([record.key]), None)

    def _look_at(self, item: Any) -> None:
        """Stop what need not go on; what is cancelled before it was told is so at once."""
        if type(item) not in (Released, CancelRequested):
            return
        for key in item.keys:
            pending_graph = self._expected.get(key)
            record = None if pending_graph is None else pending_graph.records.get(key)
            if pending_graph is None or record is None:
                continue
            if type(item) is CancelRequested:
                self._end([record], item.reason)
                pending_graph.drop(key)
            elif not record.futures:
                pending_graph.drop(key)

    def _finish(self, pending_graph: PendingGraph, passed: deque[Any]) -> None:
        """Nothing more comes of it: items that waited for it go on, or fail as it did."""
        for key in pending_graph.keys:
            if self._expected.get(key) is pending_graph:
                del self._expected[key]
        with self._session.lock:
            self.busy -= 1
        ended = self._end(pending_graph.records.values(), pending_graph.why())
        failed = {record.key: pending_graph.why() for record in ended}
        waiting, self._waiting = self._waiting, []
        self._needed = set()
        for item in waiting:
            if type(item) in (GraphPart, GraphComplete):
                item.pending_graph.held_up = False
        for item in waiting:
            self._take(self._without(item, failed) if failed else item, passed)
        for record in pending_graph.claimed:
            record.ending += 1
            self._take((record,), passed)

    def _end(
        self, records: Iterable[Record], why: Failure | str, told: bool = False
    ) -> list[Record]:
        """End those that are not done, and, unless `told`, were not told; return them."""
        session = self._session
        ended: list[Record] = []
        with session.lock:
            for record in records:
                if record.status != PENDING or (record.call is not None and not told):
                    continue
                record.why, record.wanted = why, False
                record.status = ERROR if isinstance(why, Failure) else CANCELLED
                if session.records.get(record.key) is record:
                    del session.records[record.key]  # the next caller begins anew
                ended.append(record)
        session.tell_watchers(ended)
        return ended

    def _without(self, item: Any, failed: dict[str, Failure | str]) -> Any:
        """Return an item without the records that need what failed; these fail, too."""
        own = item.item if type(item) is GraphPart else item
        kept: list[Record] = []
        records = _records(own)
        for record in records:
            needed = next((dep for dep in record.deps if dep in failed), None)
            if needed is None:
                kept.append(record)
            else:
                failed[record.key] = failed[needed]
                self._end([record], failed[needed], told=True)
        if len(kept) == len(records):
            return item
        rest = Submitted(kept) if type(own) is Submitted else kept
        return GraphPart(item.pending_graph, rest) if type(item) is GraphPart else rest


def _records(item: Any) -> list[Record]:
    kind = type(item)
    if kind is Record:
        return [item]
    if kind is list:
        return list(item)
    return list(item.records) if kind is Submitted else []


def _names(item: Any) -> Iterable[str]:
    """Return all keys that an item of the outbox is about."""
    if isinstance(item, _OF_KEYS):
        yield from item.keys
        return
    for record in _records(item):
        yield record.key
        yield from record.deps
        if record.extras is not None:
            for kept in record.extras.keep:
                if type(kept) is not Reference:
                    yield kept._record.key
