"""Names of tasks of graphs by what they compute: function, arguments, and names of their inputs.

Keys do not count: those of `dask.delayed` are different in each run. And the code of functions
does, which the keys of collections know little of.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from dask._task_spec import Alias, DataNode, GraphNode, Task, TaskRef

from shoal.cache.fingerprint import Unnamable, fingerprint, token_of

__all__ = ["Structure"]


class Structure:
    """The names of one graph's tasks, made when they are asked for.

    Parameters
    ----------
    graph : mapping
        Nodes by key.
    """

    def __init__(self, graph: Mapping[Any, GraphNode]) -> None:
        self._graph = graph
        self._names: dict[Any, str] = {}
        self._functions: dict[int, str] = {}

    def name(self, key: Any) -> str:
        """Return the name of a task.

        Raises
        ------
        Unnamable
            When it needs something that has no lasting name, such as a future.
        """
        names, graph = self._names, self._graph
        stack = [key]
        while stack:
            at = stack[-1]
            if at in names:
                stack.pop()
                continue
            node = graph.get(at)
            if node is None:
                raise Unnamable(f"{at!r} is a result on the cluster, which has no lasting name")
            missing = [dep for dep in node.dependencies if dep not in names and dep != at]
            if missing:
                stack += missing
                continue
            names[at] = _hash(self._node(node))
            stack.pop()
        return names[key]

    def _node(self, node: GraphNode) -> Any:
        if isinstance(node, Alias):
            return "alias", self._ref(node.target)
        if isinstance(node, DataNode):
            return "data", self._value(node.value)
        assert isinstance(node, Task)
        named = sorted((name, self._value(value)) for name, value in node.kwargs.items())
        return "task", self._function(node.func), [self._value(arg) for arg in node.args], named

    def _ref(self, key: Any) -> Any:
        known = self._names.get(key)
        return ("inside", repr(key)) if known is None else ("input", known)

    def _value(self, value: Any) -> Any:
        if isinstance(value, TaskRef):
            return self._ref(value.key)
        if isinstance(value, GraphNode):
            return self._node(value)
        if type(value) in (list, tuple):
            return type(value).__name__, [self._value(part) for part in value]
        if type(value) is dict:
            return "dict", [(repr(key), self._value(part)) for key, part in value.items()]
        if callable(value):
            return self._function(value)
        return token_of(value)

    def _function(self, function: Any) -> str:
        known = self._functions.get(id(function))
        if known is None:
            known = self._functions[id(function)] = fingerprint(function)
        return known


def _hash(parts: Any) -> str:
    return blake2b(repr(parts).encode(errors="backslashreplace"), digest_size=20).hexdigest()
