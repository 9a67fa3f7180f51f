"""A client's `Graph` message: new tasks, linked and, where wanted, set going."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dask.utils import key_split

from shoal.errors import ProtocolError
from shoal.scheduler.core.handlers.lives import claim, set_aside
from shoal.scheduler.core.journal.recipes import record_task
from shoal.scheduler.core.outgoing import heard, say_finished_to, tell_client
from shoal.scheduler.core.policies.timeouts import set_default_timeouts
from shoal.scheduler.core.state import NO_OPTIONS, TaskState
from shoal.scheduler.core.transitions.bulk import queue_many
from shoal.scheduler.core.transitions.demand import (
    add_want,
    leave_group,
    take_hold_of_inputs,
)
from shoal.scheduler.core.transitions.failing import say_erred
from shoal.scheduler.core.transitions.processing import activate
from shoal.scheduler.core.transitions.table import ACTIVE, move
from shoal.wire.messages import KeysShared

if TYPE_CHECKING:
    from shoal.scheduler.core.state import (
        ClientState,
        FunctionState,
        GroupState,
        SchedulerState,
    )
    from shoal.wire.messages import Graph

__all__ = ["data_task", "on_graph", "want_key"]


def on_graph(s: SchedulerState, client: ClientState, m: Graph) -> None:
    """Learn a graph; tasks that are known already stay as they are."""
    n = len(m.keys)
    s.budget -= n
    functions = [_function(s, client, id) for id in m.functions]  # one may be unknown
    if m.deps:
        _refuse_circles(s, m)
    heard(client, m.told)
    if not n:
        return
    s.tasks.make_room()
    groups = _groups(s, m)
    generation = _generation(s, m.fifo_timeout)
    first = 0 if m.order else _positions(s, n)
    minus_priority = -m.priority
    if _may_queue_at_once(s, client, m) and groups[0].prefix.options is NO_OPTIONS:
        priority = (minus_priority, generation, first)
        if queue_many(s, client, m.keys, m.args, functions[0], groups[0], priority, m.told):
            return
    tasks = s.tasks
    function_of, group_of, order, option_of = m.function_of, m.group_of, m.order, m.option_of
    options = m.options
    args = m.args
    one_function = functions[0] if functions and not function_of else None
    one_group = groups[0] if groups and not group_of else None
    one_option = options[0] if options and not option_of else NO_OPTIONS
    lives, life = m.lives, m.told
    shared: list[TaskState] = []
    wanted = None if m.wanted is None else frozenset(m.wanted)
    fresh: list[tuple[int, TaskState]] = []
    states: list[TaskState] = []
    for i, key in enumerate(m.keys):
        ts = tasks.get(key)
        if lives:
            life = lives[i]
        if ts is not None and ts.function is not None:
            function = one_function or functions[function_of[i]]
            if ts.life == life or not _makes_way(s, m, i, ts, function, life, wanted):
                states.append(ts)
                if life and ts.life != life:
                    shared.append(ts)
                continue
            ts = None
        group = one_group or (groups[group_of[i]] if group_of else _own_group(s, key))
        priority = (minus_priority, generation, order[i] if order else first + i)
        if ts is None:
            s.last_serial += 1
            ts = TaskState(key, group, priority, s.last_serial, life)
            tasks.add(key, ts)
            group.entered["released"] += 1
            group.size += 1
        else:
            ts.priority = priority  # known as somebody's input only: now it is defined
            claim(s, ts, life)
            if life and ts.life != life:
                shared.append(ts)
        function = one_function or functions[function_of[i]]
        function.references += 1
        ts.function = function
        ts.args = args[i]
        if one_option is not NO_OPTIONS:
            ts.options = one_option
        elif option_of and option_of[i] >= 0:
            ts.options = options[option_of[i]]
        states.append(ts)
        fresh.append((i, ts))
    if s.settings.task_timeouts:
        set_default_timeouts(s, fresh)
    _settle(s, client, m, fresh, states, shared)
    _forget_unused(s, groups)


def _settle(
    s: SchedulerState,
    client: ClientState,
    m: Graph,
    fresh: list[tuple[int, TaskState]],
    states: list[TaskState],
    shared: list[TaskState],
) -> None:
    """Link the tasks of a message, set going what is wanted, and forget what nobody needs."""
    if m.buffers:
        for i, ts in fresh:
            ts.buffers = m.buffers.get(i)
    if m.deps:
        _link(s, m.deps, fresh, states)
    # Its client may have forgotten what it was told of an older life.
    again = [ts for ts in shared if ts.state == "memory" and client in ts.wanted_by]
    for ts in again:
        say_finished_to(s, client, ts, None)
    _want(s, client, m.wanted, states)
    if shared:
        keys = [ts.key for ts in shared]
        tell_client(s, client, KeysShared(keys, [ts.life for ts in shared], client.heard))
    if s.recorded and s.recorder is not None:  # a value or another task may have named it before
        for _, ts in fresh:
            if ts.serial in s.recorded:
                record_task(s.recorder, ts)
    for _, ts in fresh:
        if not ts.waiters and not ts.wanted_by:
            s.unneeded.append(ts)
            continue
        if s.recovery.awaited:
            s.recovery.awaited.pop(ts, None)
        if ts.state == "released":
            activate(s, ts)


def _makes_way(
    s: SchedulerState,
    m: Graph,
    i: int,
    ts: TaskState,
    function: FunctionState,
    life: int,
    wanted: frozenset[int] | None,
) -> bool:
    """Whether a known task leaves its name to one of a message, for another life of it.

    Inputs that nobody wants do with what is there, unless a client that came back says which life
    it means.
    """
    if not life or (wanted is not None and i not in wanted and not m.lives):
        return False
    refs = m.deps[i] if m.deps else []
    deps = [m.keys[ref] if type(ref) is int else str(ref) for ref in refs]
    return set_aside(s, ts, function, (m.args[i], m.buffers.get(i, []), deps))


def _may_queue_at_once(s: SchedulerState, client: ClientState, m: Graph) -> bool:
    """Whether all tasks are plain (see `transitions.bulk`), wanted, and have somewhere to run."""
    return (
        len(m.keys) > 1
        and len(m.groups) == len(m.functions) == 1
        and not (m.deps or m.order or m.options or m.buffers or m.lives)
        and m.wanted is None
        and client.real
        and bool(s.workers)
        and s.recovery.until is None
        and not s.recovery.reported
        and s.tasks.full_parts_lack(m.keys)
    )


def _refuse_circles(s: SchedulerState, m: Graph) -> None:
    """Refuse a message that defines an input of known tasks such that it needs these.

    Circles within the message were refused before (`shoal.wire.checks`).
    """
    find = s.tasks.get
    known = [
        i
        for i, ts in enumerate(map(find, m.keys))
        if ts is not None and ts.dependents is not None and m.deps[i] and ts.function is None
    ]
    if not known:
        return
    index: dict[str, int] = {}
    for i, key in enumerate(m.keys):
        index.setdefault(key, i)
    for first in known:
        # All that it needs: by this message where that defines it, else as it is known.
        start = m.keys[first]
        stack = [start]
        seen = {start}
        while stack:
            key = stack.pop()
            ts = find(key)
            i = index.get(key, -1)
            if i >= 0 and (ts is None or ts.function is None):
                refs = m.deps[i]
                inputs = [m.keys[ref] if type(ref) is int else str(ref) for ref in refs]
            else:
                inputs = [] if ts is None else [dep.key for dep in ts.deps]
            if start in inputs:
                raise ProtocolError(f"Graph.deps has a circle: {start!r} needs itself")
            stack += [each for each in inputs if each not in seen]
            seen.update(inputs)


def _function(s: SchedulerState, client: ClientState, id: bytes) -> FunctionState:
    function = client.defined.get(id)
    if function is None:
        function = s.functions.get(id)
        if function is None:
            raise ProtocolError(f"Graph refers to function {id.hex()}, which was not defined")
    return function


def _groups(s: SchedulerState, m: Graph) -> list[GroupState]:
    return [s.group(name, key_split(name)) for name in m.groups]


def _forget_unused(s: SchedulerState, groups: list[GroupState]) -> None:
    """Forget groups that a message named, and put no task into."""
    for group in groups:
        if not group.size:
            leave_group(s, group, 0)


def _own_group(s: SchedulerState, key: str) -> GroupState:
    prefix = key_split(key)
    return s.group(prefix, prefix)


def _generation(s: SchedulerState, fifo_timeout: float) -> int:
    if s.now - s.order.generation_started > fifo_timeout:
        s.order.generation += 1
        s.order.generation_started = s.now
        s.order.positions = 0
    return s.order.generation


def _positions(s: SchedulerState, n: int) -> int:
    """Return the first of `n` positions for tasks that run in the order they were sent.

    A `map` comes in several messages: those of a later one run later.
    """
    first = s.order.positions
    s.order.positions += n
    return first


def _link(
    s: SchedulerState,
    deps_of: list[list[int | str]],
    fresh: list[tuple[int, TaskState]],
    states: list[TaskState],
) -> None:
    running: list[TaskState] = []  # a worker that came back ran them before they were defined
    for i, ts in fresh:
        refs = deps_of[i]
        if not refs:
            continue
        if ts.state in ACTIVE:
            running.append(ts)
        # None is there twice: see `shoal.wire.checks`.
        deps = tuple([states[ref] if type(ref) is int else data_task(s, ref) for ref in refs])
        ts.deps = deps
        for dep in deps:
            if dep.dependents is None:
                dep.dependents = {ts: None}
            else:
                dep.dependents[ts] = None
    for ts in running:
        take_hold_of_inputs(ts)
        for dep in ts.deps:
            if dep.state == "released":
                activate(s, dep)


def data_task(s: SchedulerState, key: int | str) -> TaskState:
    """Return the task of a key, made as data without a function when nobody defined it."""
    assert isinstance(key, str)
    ts: TaskState | None = s.tasks.get(key)
    if ts is None:
        group = _own_group(s, key)
        s.last_serial += 1
        ts = TaskState(key, group, (0.0, s.order.generation, 0), s.last_serial)
        s.tasks.add(key, ts)
        group.entered["released"] += 1
        group.size += 1
    return ts


def _want(
    s: SchedulerState, client: ClientState, wanted: list[int] | None, states: list[TaskState]
) -> None:
    alone = client.alone
    wants = client.wants
    chosen = states if wanted is None else [states[i] for i in wanted]
    for ts in chosen:
        if ts.state == "released" and not ts.wanted_by:
            ts.wanted_by = alone
            wants[ts.serial] = ts
        else:
            want_key(s, client, ts)
    ready = s.ready
    simple = not s.recovery.reported
    for ts in chosen:
        if ts.state == "released":
            if simple and not ts.deps and ts.function is not None:  # `activate`, written out
                move(s, ts, "waiting")
                ready.append(ts)
            else:
                activate(s, ts)


def want_key(s: SchedulerState, client: ClientState, ts: TaskState) -> None:
    """A client wants a known task; it hears at once what is known already."""
    if client in ts.wanted_by:
        return
    add_want(client, ts)
    if not client.real:
        return
    if ts.state == "memory":
        say_finished_to(s, client, ts, None)
    elif ts.state == "erred":
        say_erred(s, client, ts)
