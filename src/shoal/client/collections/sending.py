"""A graph on its way: lowered part by part, each part told to the scheduler as soon as it is ready.

Work begins when the first part is there, and neither the loop nor a message ever holds all of it.
Tasks that a later part needs are wanted until the last part is told, or they would be forgotten.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec
from dask.utils import key_split

from shoal._base.collector import CollectorPaused
from shoal._base.keys import encode_key
from shoal._base.later import later
from shoal._base.signals import uninterrupted
from shoal.client.collections.graphs import Plan, materialize
from shoal.client.collections.in_place import Reads, ranges, read_in_place
from shoal.client.collections.lower import Lowered, Lowering
from shoal.client.core.events import GraphComplete
from shoal.client.core.state import Call, Failure, PendingGraph, Record
from shoal.client.futures.future import Future, make_future
from shoal.client.submission.keys import group_of_key
from shoal.wire.failures import pack_failure
from shoal.wire.messages import TaskOptions

if TYPE_CHECKING:
    from shoal.client.collections import kept
    from shoal.client.collections.options import Options
    from shoal.client.session.session import Session
else:
    kept = later("shoal.client.collections.kept")

__all__ = ["begin_graph", "send_graph"]

_FIRST = 64  # tasks that are told at once, at first: workers wait for them
_PART = 2000  # in the end


def begin_graph(
    session: Session, dsk: Any, keys: Iterable[Any], options: Options
) -> dict[Any, Any]:
    """`send_graph` for coroutines: the futures are there at once, the work is done in a thread.

    An error there is the error of the futures whose tasks were not told by then.
    """
    names = {key: encode_key(key) for key in keys}
    records, pending_graph = session.announce(dict.fromkeys(names.values()))
    made = {name: make_future(session, record) for name, record in records.items()}

    def lower() -> None:
        try:
            with CollectorPaused():
                _send(session, dsk, names, options, pending_graph, [])
        except BaseException as error:
            wanted = not (pending_graph.stopped or session.ended)
            failure = _failure(error) if wanted else None
            session.post_anyway(GraphComplete(pending_graph, failure))
        else:
            session.post_anyway(GraphComplete(pending_graph))

    # Annotations and the like around the call count there as well.
    asyncio.get_running_loop().run_in_executor(None, contextvars.copy_context().run, lower)
    return {key: made[name] for key, name in names.items()}


def send_graph(session: Session, dsk: Any, keys: Iterable[Any], options: Options) -> dict[Any, Any]:
    """Have the tasks of a graph run that some keys need; return a future of each of these keys.

    Parameters
    ----------
    session : Session
        The client's.
    dsk : Expr, HighLevelGraph or dict
        The graph.
    keys : iterable
        The wanted keys; those of futures, too.
    options : Options
        The user's options.

    Raises
    ------
    KeyError
        When a key is neither in the graph nor one of a future.
    TypeError, ValueError
        When something cannot be sent, or cannot be done.
    CancelledError, DataLostError
        When the graph needs a future that was cancelled, or its data lost.
    """
    made: list[_Sender] = []  # known from outside before it sends: Ctrl-C may come anywhere
    try:
        with CollectorPaused():
            _send(session, dsk, keys, options, None, made)
        with uninterrupted():
            return {key: made[0].future(key) for key in dict.fromkeys(keys)}
    except BaseException:
        with uninterrupted():
            for sender in made:
                sender.let_go()
        raise


def _send(
    session: Session,
    dsk: Any,
    keys: Iterable[Any],
    options: Options,
    pending_graph: PendingGraph | None,
    made: list[_Sender],
) -> None:
    graph, annotations, futures = materialize(dsk)
    options.annotate(annotations)
    wanted = list(dict.fromkeys(keys))
    stores = options.stores_of(wanted)
    if stores:
        graph, moved = kept.keep_results(graph, stores)
        options.same_for(moved)
    reads = read_in_place(graph)
    new = {} if pending_graph is None else pending_graph.records
    plan = Plan(session, graph, wanted, futures, new)
    try:
        names = {plan.names[key] for key in wanted}
        sender = _Sender(session, plan, options, names, reads, pending_graph)
        made.append(sender)
        sender.send()
    finally:
        plan.release()


class _Sender:
    """Sends the tasks of a plan; those of an announced graph are recorded already."""

    def __init__(
        self,
        session: Session,
        plan: Plan,
        options: Options,
        wanted: set[str],
        reads: Reads,
        pending_graph: PendingGraph | None = None,
    ) -> None:
        self._session = session
        self._pending_graph = pending_graph
        self._plan = plan
        self._options = options
        self._wanted = wanted
        self._reads = reads
        self._reading: dict[Any, TaskOptions] = {}
        self._lowering = Lowering(session, plan)
        self._calls: dict[tuple[Any, ...], Call] = {}
        self._results: dict[str, Record] = {}
        self._passing: list[Record] = []  # counted until all is sent
        self._futures: dict[str, Future] = {}

    def future(self, key: Any) -> Future:
        """Return the future of a wanted key, one object for each."""
        name = self._plan.names[key]
        future = self._futures.get(name)
        if future is None:
            record = self._results[name]
            future = self._futures[name] = make_future(self._session, record)
        return future

    def send(self) -> None:
        """Send all of it; when that fails, nothing stays behind."""
        try:
            if self._pending_graph is None:
                for name in self._wanted & self._plan.held.keys():
                    self._results[name] = self._plan.held.pop(name)
            self._send_parts()
        except BaseException:
            self.let_go()
            raise
        finally:
            with uninterrupted():
                passing, self._passing = self._passing, []
                self._release(passing)

    def let_go(self) -> None:
        """Want none of it: futures of it are released, and what was counted for others."""
        with uninterrupted():
            results, self._results = self._results, {}
            futures, self._futures = self._futures, {}
            self._release(record for name, record in results.items() if name not in futures)
            for future in futures.values():
                future.release()

    def _release(self, records: Iterable[Record]) -> None:
        self._session.release_now(records)

    def _send_parts(self) -> None:
        tasks, names = self._plan.tasks, self._plan.names
        last_use = self._plan.last_use
        for start, end in _parts(len(tasks)):
            if self._pending_graph is not None and (
                self._pending_graph.stopped or self._session.ended
            ):
                raise RuntimeError("nobody waits for it any more")
            records: list[Record] = []
            for i in range(start, end):
                key, node = tasks[i]
                lowered = self._lowering.lower(key, node)
                if self._lowering.fresh:
                    records += self._literals(i, len(tasks) > end)
                name = names[key]
                wanted = name in self._wanted or last_use[i] >= end
                records.append(self._record(key, name, lowered, i, wanted))
            self._tell(records)
            if end < len(tasks):
                self._session.outbox.let_hand()

    def _literals(self, i: int, more: bool) -> list[Record]:
        """Return tasks of large constants, which any later task may have, too."""
        fresh, self._lowering.fresh = self._lowering.fresh, []
        return [self._record(one.name, one.name, one.lowered, i, more) for one in fresh]

    def _record(self, key: Any, name: str, lowered: Lowered, i: int, wanted: bool) -> Record:
        priority, options = self._options.of(key)
        if self._reads and key in self._reads:
            options = self._reading_options(key, lowered, options)
        group = _group(key, name)
        which = (id(lowered.function), group, priority, id(options))
        call = self._calls.get(which)
        if call is None:
            call = self._calls[which] = Call(
                lowered.function, group, priority, self._options.fifo_timeout, options
            )
        new = None if self._pending_graph is None else self._pending_graph.records.get(name)
        if new is not None:
            new.args, new.deps, new.extras = lowered.args, lowered.deps, lowered.extras
            new.position, new.call = i + 1, call
            return new
        record = Record(name, call, lowered.args, lowered.deps, lowered.extras, wanted)
        record.position = i + 1
        return record

    def _reading_options(
        self, key: Any, lowered: Lowered, options: TaskOptions | None
    ) -> TaskOptions | None:
        """Return the options of a task that reads some of its inputs where they are."""
        names = self._plan.names
        read = frozenset([names[dep] for dep in self._reads[key]])
        in_place = ranges(lowered.deps, read)
        known = self._reading.get((in_place, id(options)))
        if known is None and in_place:
            known = msgspec.structs.replace(options or TaskOptions(), in_place=in_place)
            self._reading[in_place, id(options)] = known
        return known or options

    def _tell(self, records: list[Record]) -> None:
        wanted = self._wanted if self._pending_graph is None else ()
        with uninterrupted():
            for record in self._session.share_graph(records, self._pending_graph):
                if record.key in wanted:
                    self._results[record.key] = record
                else:
                    self._passing.append(record)


def _failure(error: BaseException) -> Failure:
    """Return an error as it is told to the futures of a graph."""
    packed = pack_failure(error)
    return Failure(packed.exception, packed.traceback, "")


def _parts(count: int) -> Iterator[tuple[int, int]]:
    """Cut a number of tasks into parts, of which each is twice as large as the one before."""
    start, size = 0, _FIRST
    while start < count:
        end = min(start + size, count)
        yield start, end
        start, size = end, min(2 * size, _PART)


def _group(key: Any, name: str) -> str:
    if type(key) is tuple and key and type(key[0]) is str:
        return key[0]
    return str(key_split(key)) if type(key) is str else group_of_key(name)
