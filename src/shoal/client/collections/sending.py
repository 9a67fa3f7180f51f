"""A graph on its way: lowered part by part, each part told to the scheduler as soon as it is ready.

Work begins when the first part is there, and neither the loop nor a message ever holds all of it.
Tasks that a later part needs are wanted until the last part is told, or they would be forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from dask.utils import key_split

from shoal.client.collections.graphs import Plan, materialize
from shoal.client.collections.lower import Lowered, Lowering
from shoal.client.core.state import Call, Record
from shoal.client.future import Future, make_future
from shoal.client.keys import group_of_key

if TYPE_CHECKING:
    from shoal.client.collections.options import Options
    from shoal.client.session import Session

__all__ = ["send_graph"]

_PART = 2000  # tasks that are told at once


def send_graph(session: Session, dsk: Any, keys: Iterable[Any], options: Options) -> dict[Any, Any]:
    """Have the tasks of a graph run that some keys need; return a future of each of these keys.

    Parameters
    ----------
    session : Session
        The client's.
    dsk : Expr, HighLevelGraph or dict
        The graph.
    keys : iterable
        What is wanted; keys of futures, too.
    options : Options
        What the user asked for.

    Raises
    ------
    KeyError
        When a key is neither in the graph nor one of a future.
    TypeError, ValueError
        When something cannot be sent, or cannot be done.
    CancelledError, DataLostError
        When the graph needs a future that was cancelled, or its data lost.
    """
    graph, annotations, futures = materialize(dsk)
    options.annotate(annotations)
    wanted = list(dict.fromkeys(keys))
    plan = Plan(session, graph, wanted, futures)
    try:
        sender = _Sender(session, plan, options, {plan.names[key] for key in wanted})
        sender.send()
    finally:
        plan.release()
    return {key: sender.future(plan.names[key]) for key in wanted}


class _Sender:
    """Sends the tasks of a plan."""

    def __init__(self, session: Session, plan: Plan, options: Options, wanted: set[str]) -> None:
        self._session = session
        self._plan = plan
        self._options = options
        self._wanted = wanted
        self._lowering = Lowering(session, plan)
        self._calls: dict[tuple[Any, ...], Call] = {}
        self._results: dict[str, Record] = {}
        self._passing: list[Record] = []  # counted until all is sent
        self._futures: dict[str, Future] = {}

    def future(self, name: str) -> Future:
        """Return the future of a wanted key, one object for each."""
        future = self._futures.get(name)
        if future is None:
            record = self._results[name]
            future = self._futures[name] = make_future(self._session, record)
        return future

    def send(self) -> None:
        """Send all of it; when that fails, nothing stays behind."""
        try:
            for name in self._wanted & self._plan.held.keys():
                self._results[name] = self._plan.held.pop(name)
            self._send_parts()
        except BaseException:
            self._release(self._results.values())
            raise
        finally:
            self._release(self._passing)

    def _release(self, records: Iterable[Record]) -> None:
        self._session.release_now(records)

    def _send_parts(self) -> None:
        tasks, names = self._plan.tasks, self._plan.names
        last_use: dict[str, int] = {}
        if len(tasks) > _PART:
            for i, (_, node) in enumerate(tasks):
                for dependency in node.dependencies:
                    last_use[names[dependency]] = i
        for start in range(0, len(tasks), _PART):
            end = start + _PART
            records: list[Record] = []
            for i in range(start, min(end, len(tasks))):
                key, node = tasks[i]
                lowered = self._lowering.lower(key, node)
                if self._lowering.fresh:
                    records += self._literals(i, len(tasks) > end)
                name = names[key]
                wanted = name in self._wanted or last_use.get(name, -1) >= end
                records.append(self._record(key, name, lowered, i, wanted))
            self._tell(records)

    def _literals(self, i: int, more: bool) -> list[Record]:
        """Return tasks of large constants, which any later task may have, too."""
        fresh, self._lowering.fresh = self._lowering.fresh, []
        return [self._record(one.name, one.name, one.lowered, i, more) for one in fresh]

    def _record(self, key: Any, name: str, lowered: Lowered, i: int, wanted: bool) -> Record:
        priority, options = self._options.of(key)
        group = _group(key, name)
        which = (id(lowered.function), group, priority, id(options))
        call = self._calls.get(which)
        if call is None:
            call = self._calls[which] = Call(
                lowered.function, group, priority, self._options.fifo_timeout, options
            )
        record = Record(name, call, lowered.args, lowered.deps, lowered.extras, wanted)
        record.position = i + 1
        return record

    def _tell(self, records: list[Record]) -> None:
        wanted = self._wanted
        for record in self._session.share_graph(records):
            if record.key in wanted:
                self._results[record.key] = record
            else:
                self._passing.append(record)


def _group(key: Any, name: str) -> str:
    if type(key) is tuple and key and type(key[0]) is str:
        return key[0]
    return str(key_split(key)) if type(key) is str else group_of_key(name)
