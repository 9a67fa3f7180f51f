"""Invariants of the client's core."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from shoal.client.core.state import (
    CANCELLED,
    ERROR,
    FINISHED,
    HELD_UP,
    LOST,
    OPEN,
    Failure,
)

if TYPE_CHECKING:
    from shoal.client.core.machine import Machine
    from shoal.client.core.state import ClientState, Record

__all__ = ["check"]


def check(machine: Machine) -> None:
    """Raise `AssertionError` with a readable text when the state contradicts itself."""
    s = machine.state
    dependents: Counter[str] = Counter()
    tasks: Counter[int] = Counter()
    for key, record in s.records.items():
        _check_record(key, record)
        for dep in record.deps:
            dependents[dep] += 1
        if record.call is not None:
            tasks[id(record.call.function)] += 1
    for key in dependents:
        assert key in s.records, f"{key!r} is depended upon and has no record"
    for key, record in s.records.items():
        counted = dependents[key]
        assert record.dependents == counted, (
            f"{key!r} counts {record.dependents} dependents, there are {counted}"
        )
        assert record.wanted or counted, f"{key!r} is kept, but nothing needs it"
        if record.call is not None:
            function = record.call.function
            assert function.tasks == tasks[id(function)], (
                f"function {function.id.hex()} counts {function.tasks} tasks, "
                f"there are {tasks[id(function)]}"
            )
    _check_connection(s)
    _check_order(machine)
    asks = machine.asks
    carried = Counter(key for asking in asks.pending.values() for key in asking.ask.keys)
    assert carried == Counter(asks.carried), f"{asks.carried} are said to be asked, not {carried}"
    for key in asks.left:
        assert key in carried and s.records[key].wanted, f"{key!r} stays, and nobody asks with it"
    assert not asks.freed, f"{asks.freed} stay for ever"


def _check_record(key: str, record: Record) -> None:
    assert key == record.key, f"{record.key!r} is filed under {key!r}"
    deps = record.deps
    assert len(deps) < 2 or len(set(deps)) == len(deps), f"{key!r} names an input twice"
    if not record.wanted:
        return
    status = record.status
    assert status not in (CANCELLED, LOST), f"{key!r} is wanted and {status}"
    assert (status == ERROR) == isinstance(record.why, Failure), f"{key!r}: {status}, {record.why}"
    if status == FINISHED:
        held = record.value is not None or record.holder or record.extras is not None
        assert held, f"{key!r} is finished, and nobody has the result"


def _check_order(machine: Machine) -> None:
    order, known = machine.order, machine.state.records
    assert order.graphs or not (order.expected or order.gone), "something waits for no graph"
    for graph in order.graphs:
        assert graph.state in (OPEN, HELD_UP), f"a graph is {graph.state}, and goes on"
        for key, record in graph.untold.items():
            assert known.get(key) is not record, f"{key!r} is known, and not told yet"
    for key, graph in order.expected.items():
        assert graph in order.graphs, f"{key!r} waits for a graph that is closed"


def _check_connection(s: ClientState) -> None:
    assert not (s.ended and (s.records or s.connected)), "it ended and still wants something"
    for key, record in s.held_back.items():
        assert s.records.get(key) is record, f"{key!r} is held back and not known"
        assert s.connected, f"{key!r} is held back, but there is no connection"
    for key in s.fired:
        assert s.records[key].wanted, f"{key!r} was fired and is not wanted"
    told = s.functions
    if not s.connected:
        assert not told, "functions are said to be known, but there is no connection"
        return
    for key, record in s.records.items():
        call = record.call
        if call is not None and key not in s.held_back:
            assert call.function.id in told, f"{key!r} was told, its function was not"
            assert call.function.id not in s.idle_functions, f"{key!r} needs an idle function"
    for id, function in s.idle_functions.items():
        assert told.get(id) is function, f"idle function {id.hex()} is not known"
