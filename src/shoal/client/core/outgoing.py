"""Messages to a scheduler about records: functions, graphs, data, wants.

The same code speaks of new records and, after a reconnection, of all of them again.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from shoal.client.core.functions import tell_functions
from shoal.wire.messages import Graph, Scattered, Want

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from shoal.client.core.state import Call, ClientState, Record

__all__ = ["STEP", "life_of", "tell_records"]

# Between two numbers of one client; clients that begin at the same time differ in the rest.
STEP = 1024


def tell_records(
    s: ClientState,
    records: Sequence[Record],
    also_wanted: Container[str] = (),
    again: bool = False,
) -> list[Any]:
    """Return the messages that make records known; inputs must come before their users.

    Tasks of the keys `also_wanted` are told as if they were wanted. `again`: after a reconnection,
    so that the scheduler must hear which lives are meant.
    """
    lives = date(s, records)
    if again and not lives:
        lives = [life_of(record) for record in records]
    calls = [record.call for record in records]
    first = calls[0]
    if first is not None and calls.count(first) == len(calls):  # by far the most common
        graph = _graph(records, [first], None, also_wanted)
        graph.told, graph.lives = s.told, lives
        return [*tell_functions(s, (first.function,)), graph]
    messages: list[Any] = []
    for kind, group in groupby(records, _kind):
        members = list(group)
        if kind == "data":
            scattered = _scattered(members)
            known = [life_of(record) for record in members]
            scattered.told, scattered.lives = s.told, known if any(known) else []
            messages.append(scattered)
        elif kind == "want":
            messages.append(Want([record.key for record in members], s.told))
        else:
            index: dict[Call, int] = {}
            call_of = [index.setdefault(r.call, len(index)) for r in members if r.call is not None]
            messages += tell_functions(s, {call.function: None for call in index})
            graph = _graph(members, list(index), call_of, also_wanted)
            graph.told = s.told
            if lives:
                graph.lives = [life_of(record) for record in members]
            messages.append(graph)
    return messages


def date(s: ClientState, records: Sequence[Record]) -> list[int]:
    """Note when these are told first; return the lives of their keys, `[]` where all begin now.

    A record that is told again may be known: messages about it that are on their way mean it.
    """
    if s.over:
        s.over = False
        s.told += STEP
    told = s.told
    again = False
    for record in records:
        before = record.told
        if not before:
            record.told = told
        elif before != told:
            again = True
        if record.life:
            again = True
    return [life_of(record) for record in records] if again else []


def life_of(record: Record) -> int:
    """Return the number of the life of a record's key."""
    return record.life or record.told


def _kind(record: Record) -> object:
    """Records of one kind may share a message."""
    call = record.call
    if call is not None:
        return (call.priority, call.fifo_timeout)
    return "data" if record.extras is not None and record.extras.holders else "want"


def _scattered(records: list[Record]) -> Scattered:
    extras = [record.extras for record in records if record.extras is not None]
    return Scattered(
        [record.key for record in records],
        [extra.nbytes for extra in extras],
        [record.type for record in records],
        [extra.holders for extra in extras],
        equal=[] if all(extra.equal for extra in extras) else [extra.equal for extra in extras],
    )


def _graph(
    records: Sequence[Record],
    calls: list[Call],
    call_of: list[int] | None,
    also_wanted: Container[str],
) -> Graph:
    """Build the columns; `call_of` says which call each record belongs to, None: to the only."""
    keys = [record.key for record in records]
    graph = Graph(
        keys=keys,
        functions=[calls[0].function.id],
        args=[record.args for record in records],
        groups=[calls[0].group],
        priority=calls[0].priority,
        fifo_timeout=calls[0].fifo_timeout,
    )
    if call_of is not None:
        _share(graph, calls, call_of)
    elif calls[0].options is not None:
        graph.options = [calls[0].options]
    if any(record.deps for record in records):
        index: dict[str, int] = {key: i for i, key in enumerate(keys)}
        graph.deps = [[index.get(dep, dep) for dep in record.deps] for record in records]
    order = [record.position for record in records]
    if any(order):
        graph.order = [position or i for i, position in enumerate(order)]
    wanted = [record.wanted or record.key in also_wanted for record in records]
    if not all(wanted):
        graph.wanted = [i for i, is_wanted in enumerate(wanted) if is_wanted]
    extras = [record.extras for record in records]
    if extras.count(None) != len(extras):
        graph.buffers = {
            i: extra.buffers
            for i, extra in enumerate(extras)
            if extra is not None and extra.buffers
        }
    return graph


def _share(graph: Graph, calls: list[Call], call_of: list[int]) -> None:
    """Fill in the columns of functions, groups and options, each distinct one named once."""
    functions: dict[bytes, int] = {}
    groups: dict[str, int] = {}
    options: list[Any] = []
    function_of, group_of, option_of = [], [], []
    for call in calls:
        function_of.append(functions.setdefault(call.function.id, len(functions)))
        group_of.append(groups.setdefault(call.group, len(groups)))
        option_of.append(-1 if call.options is None else len(options))
        if call.options is not None:
            options.append(call.options)
    graph.functions = list(functions)
    graph.groups = list(groups)
    if len(functions) > 1:
        graph.function_of = [function_of[i] for i in call_of]
    if len(groups) > 1:
        graph.group_of = [group_of[i] for i in call_of]
    if options:
        graph.options = options
        graph.option_of = [option_of[i] for i in call_of]
