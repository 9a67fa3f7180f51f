"""Checks of messages beyond the types of their fields: columns of equal length, indices in range.

The decoder checks each field for itself (`shoal.wire.messages`). Relations between fields are
checked here, before anything of a message is taken into account; facts that only a core can know,
such as which functions were defined, the core checks by itself, also before it changes anything.
Columns are looked at as a whole: nearly all messages of a busy cluster cost a comparison of
lengths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from shoal.errors import ProtocolError
from shoal.wire import messages as m

__all__ = ["check_batch"]

_LAST_RUN = 2**62  # as the decoder has it


def check_batch(messages: Sequence[Any]) -> None:
    """Refuse a batch of which a message contradicts itself.

    Parameters
    ----------
    messages : sequence
        Typed messages of any edge.

    Raises
    ------
    ProtocolError
        Which names the message and the field.

    Examples
    --------
    >>> check_batch([m.Finished(["x"], [1, 2], [28], ["int"], [0.0], [1.0], [None])])
    Traceback (most recent call last):
        ...
    shoal.errors.ProtocolError: Finished.runs has 2 entries for 1 keys
    """
    for message in messages:
        check = _CHECKS.get(type(message))
        if check is not None:
            check(message)


def _full(message: Any, n: int, *names: str) -> None:
    """Columns with an entry for each key."""
    for name in names:
        length = len(getattr(message, name))
        if length != n:
            raise ProtocolError(
                f"{type(message).__name__}.{name} has {length} entries for {n} keys"
            )


def _full_or_empty(message: Any, n: int, *names: str) -> None:
    """Columns with an entry for each key, or without any."""
    for name in names:
        length = len(getattr(message, name))
        if length != n and length:
            raise ProtocolError(
                f"{type(message).__name__}.{name} has {length} entries for {n} keys"
            )


def _one_life_or_each(message: Any, name: str, n: int) -> None:
    """Columns that may have one entry for all keys."""
    length = len(getattr(message, name))
    if length > 1 and length != n:
        raise ProtocolError(f"{type(message).__name__}.{name} has {length} entries for {n} keys")


def _inside(message: Any, name: str, column: Iterable[int], n: int, of: str) -> None:
    """Indices of entries of another column."""
    highest = max(column, default=-1)
    if highest >= n:
        raise ProtocolError(
            f"{type(message).__name__}.{name} refers to entry {highest} of {n} {of}"
        )


def _definitions(message: m.DefineFunctions) -> None:
    if len(message.ids) != len(message.blobs):
        raise ProtocolError(
            f"DefineFunctions.blobs has {len(message.blobs)} entries for {len(message.ids)} ids"
        )


# ------------------------------------------------------------------------------ from clients


def _graph(message: m.Graph) -> None:
    n = len(message.keys)
    if len(message.args) != n:
        raise ProtocolError(f"Graph.args has {len(message.args)} entries for {n} keys")
    if message.function_of or len(message.functions) != 1:
        _full_or_empty(message, n, "function_of")
        if n and not message.functions:
            raise ProtocolError("Graph.functions is empty, but there are keys")
        _inside(message, "function_of", message.function_of, len(message.functions), "functions")
    if message.group_of or len(message.groups) != 1:
        _full_or_empty(message, n, "group_of")
        _inside(message, "group_of", message.group_of, len(message.groups), "groups")
    if message.options or message.option_of:
        _full_or_empty(message, n, "option_of")
        _inside(message, "option_of", message.option_of, len(message.options), "options")
        if message.option_of and min(message.option_of) < -1:
            raise ProtocolError(f"Graph.option_of has {min(message.option_of)}; -1 is none")
        if any(options.in_place for options in message.options):
            _places(message, n)
    if message.order or message.lives:
        _full_or_empty(message, n, "order", "lives")
    if message.wanted is not None:
        _inside(message, "wanted", message.wanted, n, "keys")
    if message.buffers:
        _inside(message, "buffers", message.buffers, n, "keys")
    if message.deps:
        _full(message, n, "deps")
        _links(message, n)


def _places(message: m.Graph, n: int) -> None:
    """Check ranges of inputs that are read in place for each task that has some."""
    for i in range(n):
        which = message.option_of[i] if message.option_of else 0
        if which >= 0:
            inputs = len(message.deps[i]) if len(message.deps) == n else 0
            _ranges(message, message.options[which], inputs)


def _ranges(message: Any, options: m.TaskOptions, n: int) -> None:
    ranges = options.in_place
    if ranges and (len(ranges) % 2 or list(ranges) != sorted(ranges) or ranges[-1] > n):
        raise ProtocolError(
            f"{type(message).__name__}.options: in_place has no ranges of {n} inputs"
        )


def _links(message: m.Graph, n: int) -> None:
    """Check that inputs of tasks are there, each once, and none depends on itself."""
    deps, keys = message.deps, message.keys
    if len(set(keys)) != n:
        deps = _by_first_entry(keys, deps)
    ordered = True
    others: set[int | str] = set()  # keys that the message does not define
    for i, refs in enumerate(deps):
        if len(refs) > 1 and len(set(refs)) != len(refs):
            raise ProtocolError(f"Graph.deps names an input of {keys[i]!r} twice")
        for ref in refs:
            if type(ref) is int:
                if ref >= i:
                    if ref >= n:
                        raise ProtocolError(f"Graph.deps refers to entry {ref} of {n} keys")
                    ordered = False
            else:
                others.add(ref)
    if others and not others.isdisjoint(keys):
        key = next(key for key in keys if key in others)
        raise ProtocolError(f"Graph.deps names {key!r}, a key of the same message, by itself")
    if not ordered:
        _no_circle(keys, deps)


def _by_first_entry(keys: list[str], deps: list[list[int | str]]) -> list[list[int | str]]:
    """Have links mean the first entry of each key, where there are several."""
    first: dict[str, int] = {}
    for i, key in enumerate(keys):
        first.setdefault(key, i)
    n = len(keys)
    return [
        [first[keys[ref]] if type(ref) is int and ref < n else ref for ref in refs] for refs in deps
    ]


def _no_circle(keys: list[str], deps: list[list[int | str]]) -> None:
    lacks = [sum(type(ref) is int for ref in refs) for refs in deps]
    users: dict[int, list[int]] = {}
    for i, refs in enumerate(deps):
        for ref in refs:
            if type(ref) is int:
                users.setdefault(ref, []).append(i)
    done = [i for i, count in enumerate(lacks) if not count]
    for i in done:  # it grows
        for user in users.get(i, ()):
            lacks[user] -= 1
            if not lacks[user]:
                done.append(user)
    if len(done) < len(keys):
        key = next(keys[i] for i, count in enumerate(lacks) if count)
        raise ProtocolError(f"Graph.deps has a circle: {key!r} needs itself")


def _scattered(message: m.Scattered) -> None:
    n = len(message.keys)
    _full(message, n, "nbytes", "types", "holders")
    _full_or_empty(message, n, "lives", "equal")


# ------------------------------------------------------------------------------ from workers


def _registration(message: m.RegisterWorker) -> None:
    _full(message, len(message.held), "held_nbytes", "held_types")
    _full_or_empty(message, len(message.held), "held_lives")
    _full(message, len(message.running), "running_runs")
    _full_or_empty(message, len(message.running), "running_lives")


def _heartbeat(message: m.WorkerHeartbeat) -> None:
    """Metrics that pages add up must be numbers; those of users, by other names, are free."""
    metrics = message.metrics
    for name in _NUMBERS:
        if not isinstance(metrics.get(name, 0), int | float):
            raise ProtocolError(f"WorkerHeartbeat: the metric {name!r} is no number")
    for name in _TABLES:
        if not isinstance(metrics.get(name, {}), dict):
            raise ProtocolError(f"WorkerHeartbeat: the metric {name!r} is no table")
    for name in ("transfer", "bandwidth"):
        for part, value in metrics.get(name, {}).items():
            # A number, or one for each of some kind.
            by_kind = part in ("types", "seconds")
            fits = not by_kind or isinstance(value, dict)
            numbers = value.values() if by_kind and fits else [value]
            if not fits or not all(isinstance(n, int | float) for n in numbers):
                raise ProtocolError(f"WorkerHeartbeat: {part!r} of {name!r} is no number")


_NUMBERS = (
    *("time", "cpu", "memory", "managed_bytes", "spilled_bytes", "unmanaged_old"),
    *("executing", "ready", "in_memory", "num_fds"),
)
_TABLES = ("transfer", "bandwidth", "held", "task_memory")


def _finished(message: m.Finished) -> None:
    n = len(message.keys)
    # Written out: it comes with nearly every result.
    if not (
        len(message.runs)
        == len(message.nbytes)
        == len(message.types)
        == len(message.starts)
        == len(message.stops)
        == len(message.values)
        == n
    ):
        _full(message, n, "runs", "nbytes", "types", "starts", "stops", "values")


def _missing(message: m.MissingDeps) -> None:
    n = len(message.deps)
    _full(message, n, "absent", "unreachable")
    _full_or_empty(message, n, "lives")


def _with_runs(message: m.StealReply | m.Interrupt) -> None:
    _full(message, len(message.keys), "runs")


def _acquired(message: m.Acquired) -> None:
    n = len(message.keys)
    _full(message, n, "nbytes", "types")
    _full_or_empty(message, n, "lives")


def _with_lives(message: m.NotAcquired | m.Dropped) -> None:
    _full_or_empty(message, len(message.keys), "lives")


# ------------------------------------------------------------------------------ from the scheduler


def _compute(message: m.Compute) -> None:
    deps = message.deps
    n = len(deps)
    if n or message.dep_nbytes or message.dep_holders or message.dep_values or message.dep_lives:
        _full_or_empty(message, n, "dep_nbytes", "dep_holders", "dep_values", "dep_lives")
        if len(set(deps)) != n or message.key in deps:
            raise ProtocolError(f"Compute.deps of {message.key!r} names a key twice, or its own")
    if message.options is not None and message.options.in_place:
        _ranges(message, message.options, n)


def _computes(message: m.ComputeMany) -> None:
    n = len(message.keys)
    _full(message, n, "args", "priorities")
    if message.first_run > _LAST_RUN - n:
        raise ProtocolError(f"ComputeMany.first_run is {message.first_run}, for {n} keys")


def _free(message: m.Free) -> None:
    _one_life_or_each(message, "lives", len(message.keys))


def _acquire(message: m.Acquire) -> None:
    n = len(message.keys)
    _full(message, n, "nbytes", "holders")
    _full_or_empty(message, n, "lives", "equal")


def _welcome(message: m.WorkerWelcome) -> None:
    _one_life_or_each(message, "forget_lives", len(message.forget))


def _in_memory(message: m.KeysInMemory) -> None:
    n = len(message.keys)
    if not len(message.types) == len(message.values) == n:
        _full(message, n, "types", "values")
    absent = message.values.count(None)
    if len(message.holders) != absent:
        raise ProtocolError(
            f"KeysInMemory.holders has {len(message.holders)} entries for {absent} keys "
            "without a value"
        )
    if absent and "" in message.holders:
        raise ProtocolError("KeysInMemory.holders names nobody for a key without a value")


def _shared(message: m.KeysShared) -> None:
    _full(message, len(message.keys), "lives")


_CHECKS: dict[type, Callable[[Any], None]] = {
    m.DefineFunctions: _definitions,
    m.Graph: _graph,
    m.Scattered: _scattered,
    m.RegisterWorker: _registration,
    m.WorkerHeartbeat: _heartbeat,
    m.Finished: _finished,
    m.MissingDeps: _missing,
    m.StealReply: _with_runs,
    m.Acquired: _acquired,
    m.NotAcquired: _with_lives,
    m.Dropped: _with_lives,
    m.Compute: _compute,
    m.ComputeMany: _computes,
    m.Free: _free,
    m.Interrupt: _with_runs,
    m.Acquire: _acquire,
    m.WorkerWelcome: _welcome,
    m.KeysInMemory: _in_memory,
    m.KeysShared: _shared,
}
