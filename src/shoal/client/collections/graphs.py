"""From what users compute to the tasks that must run: graphs made, cut down and put in order.

Nothing is pickled or sent here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from dask._expr import Expr, HLGExpr, _HLGExprSequence
from dask._expr import _AnnotationsTombstone as Hole
from dask._task_spec import (
    Alias,
    DataNode,
    GraphNode,
    Task,
    TaskRef,
    convert_legacy_task,
)
from dask.delayed import optimize as cut_delayed
from dask.highlevelgraph import HighLevelGraph
from dask.utils import ensure_dict

from shoal._base.keys import encode_key
from shoal.client.collections.ordering import find_cycle, order
from shoal.client.core.state import Record
from shoal.client.futures.claiming import check_usable, claimed
from shoal.client.futures.future import Future
from shoal.client.submission.keys import SCALARS
from shoal.errors import FutureCancelledError

if TYPE_CHECKING:
    from shoal.client.session.session import Session

__all__ = ["Annotated", "Plan", "converted", "materialize"]

Annotated = dict[str, dict[Any, Any]]
"""Annotations of tasks: the value of each key, by the annotation's name."""

_KEYS = frozenset((str, int, float, tuple))
_SHORT = 1000  # characters of a text that tasks get a copy of instead of depending on it


def materialize(dsk: Any) -> tuple[dict[Any, GraphNode], Annotated, list[Future]]:
    """Return the tasks of an expression, a high-level graph or a dict; annotations; futures in it.

    Raises
    ------
    TypeError
        When it is none of these.
    """
    annotations: Annotated = {}
    if isinstance(dsk, Expr):
        delayed = _delayed_graph(dsk)
        if delayed is not None:
            return materialize(delayed)
        expr: Any = dsk
        graph = expr.__dask_graph__()
        annotations = _surviving(expr, graph, expr.__dask_annotations__())
    elif isinstance(dsk, HighLevelGraph):
        graph = ensure_dict(dsk)
        annotations = _layer_annotations(dsk)
    elif isinstance(dsk, Mapping):
        graph = ensure_dict(dsk)
    elif hasattr(dsk, "__dask_graph__"):
        return materialize(dsk.__dask_graph__())
    else:
        raise TypeError(f"not a graph but a {type(dsk).__name__}: {dsk!r}")
    futures = [value for value in graph.values() if isinstance(value, Future)]
    return converted(graph), _without_holes(annotations), futures


def _without_holes(annotations: Annotated) -> Annotated:
    """Return annotations without the marks that dask sets where a key has none of a kind."""
    return {
        name: {key: value for key, value in values.items() if type(value) is not Hole}
        for name, values in annotations.items()
    }


def converted(graph: Mapping[Any, Any]) -> dict[Any, GraphNode]:
    """Return a graph in which all tasks are nodes.

    As `convert_legacy_graph` does it, in half the time for calls of numbers, texts and keys.
    """
    nodes: dict[Any, GraphNode] = {}
    for key, task in graph.items():
        if type(task) is tuple and task and callable(task[0]):
            args: list[Any] = []
            for arg in task[1:]:
                kind = type(arg)
                if kind not in _KEYS or (kind is tuple and not _is_key(arg, graph)):
                    break
                args.append(TaskRef(arg) if arg in graph else arg)
            else:
                nodes[key] = Task(key, task[0], *args)
                continue
        elif isinstance(task, GraphNode):
            if type(task) is not Alias or task.target != key:
                nodes[key] = task
            continue
        node = convert_legacy_task(key, task, graph)
        if not isinstance(node, GraphNode):
            nodes[key] = DataNode(key, node)
        elif not isinstance(node, Alias) or node.target != key:
            nodes[key] = node
    return nodes


def _is_key(value: tuple[Any, ...], graph: Mapping[Any, Any]) -> bool:
    try:
        return value in graph
    except TypeError:  # a list in it
        return False


def _delayed_graph(expr: Expr) -> HighLevelGraph | None:
    """Return the graph of what is made of delayed calls only.

    dask would cut it down layer by layer, in time that grows with the square of their number;
    `Plan` cuts it down anyway.
    """
    operands: list[Any] = list(expr.operands) if type(expr) is _HLGExprSequence else [expr]
    for operand in operands:
        if not isinstance(operand, HLGExpr) or operand.low_level_optimizer is not cut_delayed:
            return None
    return HighLevelGraph.merge(*[operand.hlg for operand in operands])


def _surviving(expr: Expr, graph: Any, annotations: Annotated) -> Annotated:
    """Add annotations of layers that dask's optimization forgot though it kept their keys."""
    operands: list[Any] = list(expr.operands) if type(expr) is _HLGExprSequence else [expr]
    for operand in operands:
        if isinstance(operand, HLGExpr) and operand.low_level_optimizer is not None:
            for name, values in _layer_annotations(operand.hlg).items():
                kept = {key: value for key, value in values.items() if key in graph}
                if kept:
                    annotations[name] = {**kept, **annotations.get(name, {})}
    return annotations


def _layer_annotations(graph: HighLevelGraph) -> Annotated:
    found: Annotated = {}
    for layer in graph.layers.values():
        for name, value in (layer.annotations or {}).items():
            by_key = found.setdefault(name, {})
            by_key.update((key, value(key) if callable(value) else value) for key in layer)
    return found


class Plan:
    """The tasks that must run for some keys, and in which order.

    Keys that this client has futures of are not looked into: their tasks run already. They are
    counted, as futures are, and stay until `release`.

    Parameters
    ----------
    session : Session
        Whose futures count.
    graph : dict
        Tasks by key.
    wanted : iterable
        Keys of the graph, or of futures.
    futures : list of Future
        Futures in the graph.
    pending_records : dict, optional
        Records, by key on the wire, that this plan is made for: futures of them are there already.

    Attributes
    ----------
    tasks : list of (key, GraphNode)
        The records to send, in the order to run it, inputs first.
    last_use : list of int
        For each of them, the place of the last one that needs it; -1: none.
    names : dict
        Of each key that tasks refer to, or that is wanted: the key on the wire.
    aliases : dict
        The key that a second name means.
    literals : dict
        Values, of keys that need no task.
    held : dict
        The records of known keys, by key on the wire.
    """

    def __init__(
        self,
        session: Session,
        graph: Mapping[Any, GraphNode],
        wanted: Iterable[Any],
        futures: list[Future],
        pending_records: Mapping[str, Record] = {},
    ) -> None:
        self._session = session
        self._pending_records = pending_records
        self._graph = graph
        self._wanted = dict.fromkeys(wanted)
        self.names: dict[Any, str] = {}
        self.literals: dict[Any, Any] = {}
        self.aliases: dict[Any, Any] = {}
        self.held: dict[str, Record] = {}
        self.tasks: list[tuple[Any, GraphNode]] = []
        self.last_use: list[int] = []
        for future in futures:
            check_usable(future, "It is part of a graph.")
        # Kept by the plan until all is told: `_cut` finds those that this client has.
        self._claims = [claimed(session, future) for future in futures]
        try:
            needed = self._cut()
            self._resolve_aliases(needed)
            self._put_in_order(needed)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Let go of the known keys."""
        held, self.held = self.held, {}
        self._session.release_now(held.values())

    def _cut(self) -> dict[Any, GraphNode]:
        """Return what is needed, without second names and small values."""
        graph, names, records = self._graph, self.names, self._session.records
        wanted, pending_records, literals = self._wanted, self._pending_records, self.literals
        needed: dict[Any, GraphNode] = {}
        stack = list(wanted)
        while stack:
            key = stack.pop()
            if key in names:
                continue
            name = names[key] = encode_key(key)
            if name in records and name not in pending_records and self._hold(name):
                continue
            node = graph.get(key)
            if node is None:
                if self._claim(key, needed) and self._hold(name):
                    continue
                raise self._unknown(key, name)
            if key not in wanted:
                if isinstance(node, Alias):
                    self.aliases[key] = node.target
                    stack.append(node.target)
                    continue
                if isinstance(node, DataNode) and _is_small(node.value):
                    literals[key] = node.value
                    continue
            needed[key] = node
            stack += node.dependencies
        return needed

    def _claim(self, key: Any, needed: dict[Any, GraphNode]) -> bool:
        """Claim what another client has a future of; return whether a task has such a future."""
        users = (node for node in needed.values() if key in node.dependencies)
        future = next((f for node in users if (f := _future_in(node, key)) is not None), None)
        if future is None or future._session is self._session:
            return False
        check_usable(future, "It is part of a graph.")
        self._claims.append(claimed(self._session, future))
        return True

    def _hold(self, name: str) -> bool:
        if name not in self.held:
            record = self._session.find(name)
            if record is None:
                return False
            self.held[name] = record
        return True

    def _unknown(self, key: Any, name: str) -> Exception:
        if key in self._wanted:
            return KeyError(f"{key!r} is not in the graph, and this client has no future of it")
        return FutureCancelledError(
            name,
            "it is not in the graph, and this client has no future of it (any more)",
            "Other tasks of the graph need it.",
        )

    def _resolve_aliases(self, needed: dict[Any, GraphNode]) -> None:
        """Find out which tasks second names mean; one that is wanted may take the task over."""
        aliases = self.aliases
        second = {k: node.target for k, node in needed.items() if isinstance(node, Alias)}
        if second:
            counts = self._count_users(needed, {_follow(aliases, t) for t in second.values()})
            for key, target in second.items():
                target = _follow(aliases, target)
                task = needed.get(target)
                if task is None or target in self._wanted or counts[target] != 1:
                    continue
                needed[key] = task
                del needed[target]
                aliases[target] = key
        names, literals = self.names, self.literals
        for key in aliases:
            target = aliases[key] = _follow(aliases, key)
            names[key] = names[target]
            if target in literals:
                literals[key] = literals[target]

    def _count_users(self, needed: dict[Any, GraphNode], keys: set[Any]) -> dict[Any, int]:
        """Return how many nodes name each of these keys."""
        counts = dict.fromkeys(keys, 0)
        for target in self.aliases.values():
            if target in counts:
                counts[target] += 1
        for node in needed.values():
            for key in node.dependencies & keys:
                counts[key] += 1
        return counts

    def _put_in_order(self, needed: dict[Any, GraphNode]) -> None:
        # Numbers in the order in which the graph was made: what is made together is used together.
        keys = list(needed)
        if len(keys) * 4 > len(self._graph):
            in_graph = [key for key in self._graph if key in needed]
            keys = in_graph if len(in_graph) == len(keys) else keys
        numbers = {key: i for i, key in enumerate(keys)}
        aliases = self.aliases
        find: Any = numbers.get
        inputs: list[list[int]] = []
        for key in keys:
            deps = needed[key].dependencies
            found = set(map(find, deps))
            if None in found:  # a key without a task, or another name of one
                found = {find(aliases.get(dep, dep)) for dep in deps} - {None}
            inputs.append(sorted(found))
        places = order(inputs)
        if places is None:
            path = [repr(keys[i]) for i in find_cycle(inputs)]
            raise RuntimeError(f"cycle in the graph: {' needs '.join([*path, path[0]])}")
        self.tasks = [(keys[i], needed[keys[i]]) for i in places]
        last = [-1] * len(keys)
        for place, i in enumerate(places):
            for j in inputs[i]:
                last[j] = place
        self.last_use = [last[i] for i in places]


def _follow(aliases: dict[Any, Any], key: Any) -> Any:
    steps = 0
    while key in aliases:
        key = aliases[key]
        steps += 1
        if steps > len(aliases):
            raise RuntimeError(f"cycle in the graph: {key!r} is another name of itself")
    return key


def _future_in(node: Any, key: Any) -> Future | None:
    """Return the future of a key among the arguments of a task."""
    stack: list[Any] = [node]
    while stack:
        item = stack.pop()
        if isinstance(item, Future):
            if item.key == key:
                return item
        elif isinstance(item, GraphNode):
            stack += getattr(item, "args", ())
            stack += (getattr(item, "kwargs", None) or {}).values()
        elif isinstance(item, (list, tuple, set, frozenset)):
            stack += item
        elif isinstance(item, dict):
            stack += item.values()
    return None


def _is_small(value: Any) -> bool:
    kind = type(value)
    return kind in SCALARS and (kind not in (str, bytes) or len(value) <= _SHORT)
