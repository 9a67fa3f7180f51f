"""Arrays cut into other chunks: each block is written once, in boxes, and read where it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Any

import dask.array as da
from dask._task_spec import Alias, GraphNode, List, Task, TaskRef
from dask.array.core import normalize_chunks
from dask.array.rechunk import old_to_new, plan_rechunk
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer

from shoal.client.collections.in_place import MOST
from shoal.shuffle.arrays import Assembling, split_block

__all__ = ["rechunk_p2p"]

# dask is not annotated.
_array: Any = da.Array
_normalize_chunks: Any = normalize_chunks
_old_to_new: Any = old_to_new
_plan_rechunk: Any = plan_rechunk

_Cuts = list[list[list[int | None]]]
"""Of each axis, of each old chunk: where along it boxes end."""
_Sources = list[list[list[tuple[int, int]]]]
"""Of each axis, of each new chunk: the old chunks, and which box of each."""


def rechunk_p2p(
    x: Any,
    chunks: Any,
    *,
    threshold: int | None = None,
    block_size_limit: int | None = None,
    balance: bool = False,
) -> Any:
    """Return an array in other chunks.

    Parameters
    ----------
    x : Array
        The array.
    chunks : tuple
        The new chunks, in any form that dask knows.
    threshold, block_size_limit
        Of steps in between, which are taken where very many chunks go to very many; as in
        `dask.array.rechunk`.
    balance : bool
        Not heeded: dask balances before it asks.

    Examples
    --------
    >>> import dask.array as da
    >>> rechunk_p2p(da.ones((4, 4), chunks=(1, 4)), (4, 2)).chunks
    ((4,), (2, 2))
    """
    if x.ndim == 0 or not all(x.numblocks):
        return x.rechunk(chunks, method="tasks")
    chunks = _normalize_chunks(
        chunks, x.shape, limit=block_size_limit, dtype=x.dtype, previous_chunks=x.chunks
    )
    steps = [chunks]
    if _edges(_old_to_new(x.chunks, chunks)) > MOST:
        steps = _plan_rechunk(x.chunks, chunks, x.dtype.itemsize, threshold, block_size_limit)
    for step in steps:
        x = _rechunk(x, step)
    return x


def _edges(crossed: Sequence[Any]) -> int:
    """Return how often a task reads from another."""
    return math.prod(sum(len(new) for new in axis) for axis in crossed)


def _rechunk(x: Any, chunks: Any) -> Any:
    token = tokenize(x, chunks)
    name, cut = f"rechunk-p2p-{token}", f"rechunk-transfer-{token}"
    cuts, sources = _crossings(_old_to_new(x.chunks, chunks))
    nodes: dict[Any, GraphNode] = {}
    counts = [[len(ends) for ends in axis] for axis in cuts]
    assemble = Assembling()
    for place in product(*(range(len(axis)) for axis in sources)):
        boxes = [axis[i] for axis, i in zip(sources, place, strict=True)]
        key: Any = (name, *place)
        blocks: list[tuple[int, ...]] = []
        parts: list[int] = []
        for box in product(*boxes):
            block = tuple(old for old, _ in box)
            number = 0
            for axis, (old, which) in enumerate(box):
                number = number * counts[axis][old] + which
            blocks.append(block)
            parts.append(number)
        if len(blocks) == 1 and all(c[old] == 1 for c, old in zip(counts, blocks[0], strict=True)):
            whole: Any = (x.name, *blocks[0])
            nodes[key] = Alias(key, whole)  # it stays as it is
            continue
        refs = List(*[TaskRef((cut, *block)) for block in blocks])
        nodes[key] = Task(key, assemble, refs, parts, [len(box) for box in boxes])
        for block in blocks:
            source = (cut, *block)
            if source not in nodes:
                ends = [axis[old] for axis, old in zip(cuts, block, strict=True)]
                nodes[source] = Task(source, split_block, TaskRef((x.name, *block)), ends)
    graph = HighLevelGraph.from_collections(name, MaterializedLayer(nodes), dependencies=[x])
    return _array(graph, name, chunks, meta=x)


def _crossings(crossed: Sequence[Any]) -> tuple[_Cuts, _Sources]:
    """Return how old chunks are cut, and of what new ones consist."""
    cuts: _Cuts = []
    sources: _Sources = []
    for axis in crossed:
        ends: dict[int, list[int | None]] = {}
        found: list[list[tuple[int, int]]] = []
        for new in axis:
            row = []
            for old, where in new:
                if where.stop is not None and where.stop == where.start and len(new) > 1:
                    continue  # nothing of it
                boxes = ends.setdefault(old, [])
                row.append((old, len(boxes)))
                boxes.append(where.stop)
            found.append(row)
        cuts.append([ends.get(old, []) for old in range(max(ends) + 1)])
        sources.append(found)
    return cuts, sources
