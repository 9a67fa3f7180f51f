"""Expressions of collections whose graphs have annotations, and keep them when dask optimizes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import dask.config
from dask._expr import HLGExpr, _ExprSequence, _HLGExprSequence
from dask.base import collections_to_expr
from dask.delayed import optimize as cut_delayed
from dask.highlevelgraph import HighLevelGraph

from shoal.client.collections.dask_private import flatten

__all__ = ["expression_of"]

_SEQUENCES = (_ExprSequence, _HLGExprSequence)


def expression_of(collections: Sequence[Any], optimize_graph: bool) -> Any:
    """Return the expression of collections, as dask makes it.

    Where layers have annotations, their tasks are not fused with others: dask fuses chains of tasks
    without regard to annotations, and what was fused has none.
    """
    return _careful(collections_to_expr(collections, optimize_graph))


def _careful(expr: Any) -> Any:
    if isinstance(expr, _SEQUENCES):
        parts = [_careful(part) for part in expr.operands]
        same = all(new is old for new, old in zip(parts, expr.operands, strict=True))
        return expr if same else type(expr)(*parts)
    if not isinstance(expr, HLGExpr):
        return expr
    node: Any = expr
    optimizer = node.low_level_optimizer
    layers = getattr(node.operand("dsk"), "layers", {})
    if optimizer in (None, cut_delayed) or not any(one.annotations for one in layers.values()):
        return expr
    return node.substitute_parameters({"low_level_optimizer": _without_fusion(optimizer)})


@lru_cache(maxsize=100)  # dask compares them to tell which graphs are optimized together
def _without_fusion(optimizer: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def optimize(graph: HighLevelGraph, keys: Any) -> HighLevelGraph:
        with dask.config.set({"optimization.fuse.active": False}):
            found = optimizer(graph, keys)
        if isinstance(found, HighLevelGraph):
            return found
        return graph.cull(set(flatten([keys])))  # it fuses in any case

    return optimize
