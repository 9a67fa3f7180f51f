"""`compute`, `persist` and `get`: collections and graphs in; futures, collections or values out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dask._expr import CompositeExpr, Expr, HLGExpr, _ExprSequence
from dask.base import (
    _rebuild_composite_collection,
    is_dask_collection,
)
from dask.core import get_dependencies
from dask.delayed import delayed
from dask.utils import ensure_dict

from shoal._base.keys import encode_key
from shoal.client.collections.annotated import expression_of
from shoal.client.collections.dask_private import FinalizeCompute, flatten, unpack_collections
from shoal.client.collections.default import client_as_current
from shoal.client.collections.options import Options
from shoal.client.collections.sending import begin_graph, send_graph
from shoal.client.futures.future import Future, make_future
from shoal.client.futures.gather import gather_async, gather_blocking

if TYPE_CHECKING:
    from shoal.client.session.context import ClientContext

__all__ = ["collections_to_dsk", "compute", "get", "normalize_collection", "persist"]

_CONTAINERS = (list, tuple, set, frozenset)
_SMALL = 500  # tasks that are lowered on the loop, in about 25 ms


def get(
    client: ClientContext,
    dsk: Any,
    keys: Any,
    options: Options,
    *,
    sync: bool,
    asynchronous: bool,
    direct: bool | None,
) -> Any:
    """Return the values of keys of a graph, or futures of them, nested as the keys are."""
    wanted = list(flatten(keys)) if isinstance(keys, list) else [keys]
    if asynchronous and sync:
        return _get_async(client, dsk, keys, wanted, options, direct)
    futures = send_graph(client._session, dsk, wanted, options)
    nested = _nest(keys, futures)
    if not sync:
        return nested
    try:
        return gather_blocking(client, nested, "raise", direct)
    finally:
        # An error keeps this frame alive: without this, Ctrl-C would stop nothing.
        _release(client, futures)


async def _get_async(
    client: ClientContext,
    dsk: Any,
    keys: Any,
    wanted: list[Any],
    options: Options,
    direct: Any,
) -> Any:
    futures = await asyncio.to_thread(send_graph, client._session, dsk, wanted, options)
    nested = _nest(keys, futures)
    try:
        return await gather_async(client, nested, "raise", direct)
    finally:
        _release(client, futures)


def _release(client: ClientContext, futures: dict[Any, Future]) -> None:
    held = [future for future in set(futures.values()) if future._held]
    for future in held:
        future._held = False
    client._session.release_now([future._record for future in held])


def _nest(keys: Any, futures: dict[Any, Future]) -> Any:
    if isinstance(keys, list):
        return [_nest(key, futures) for key in keys]
    return futures[keys]


def compute(
    client: ClientContext,
    collections: Any,
    options: Options,
    *,
    sync: bool = False,
    optimize_graph: bool = True,
    traverse: bool = True,
    asynchronous: bool = False,
) -> Any:
    """Return futures of collections, or their values; what is no collection comes back as it is."""
    single = not isinstance(collections, _CONTAINERS)
    items = [collections] if single else list(collections)
    if traverse:
        items = [_whole(item) for item in items]
        if asynchronous and single and isinstance(items[0], dict):
            items[0] = delayed(items[0], traverse=False)  # is awaited, whatever is in it: dask-ml
    places = [i for i, item in enumerate(items) if is_dask_collection(item)]
    futures: dict[Any, Future] = {}
    try:
        _begin_groups(client, items, places, options, optimize_graph, futures)
    except BaseException:  # frames that are kept with the error must keep no tasks
        _release(client, futures)
        raise
    result = items[0] if single else items
    if not sync or not places:
        return result
    if asynchronous:
        return _values_async(client, result, futures)
    try:
        return gather_blocking(client, result, "raise", None)
    finally:
        _release(client, futures)


def _begin_groups(
    client: ClientContext,
    items: list[Any],
    places: list[int],
    options: Options,
    optimize_graph: bool,
    futures: dict[Any, Future],
) -> None:
    """Put futures in the places of collections; they are noted in `futures` as they are made."""
    for some in _groups([items[i] for i in places], optimize_graph):
        chosen = [places[i] for i in some]
        with client_as_current(client):  # dask's optimization asks for the current client
            expr = expression_of([items[i] for i in chosen], optimize_graph)
            final = FinalizeCompute(expr).optimize()
        keys = list(flatten(final.__dask_keys__()))
        futures.update(_begin(client, final, keys, options))
        for i, key in zip(chosen, keys, strict=True):
            items[i] = futures[key]


async def _values_async(client: ClientContext, result: Any, futures: dict[Any, Future]) -> Any:
    try:
        return await gather_async(client, result, "raise", None)
    finally:
        _release(client, futures)


def _whole(item: Any) -> Any:
    """Return a container with collections in it as one collection."""
    if isinstance(item, (*_CONTAINERS, dict)):
        found, _ = unpack_collections(item)
        if found:
            return delayed(item)
    return item


def persist(
    client: ClientContext, collections: Any, options: Options, optimize_graph: bool = True
) -> Any:
    """Return collections whose parts are futures; their tasks run."""
    single = not isinstance(collections, _CONTAINERS)
    items = [collections] if single else list(collections)
    for item in items:
        if not is_dask_collection(item):
            raise TypeError(f"persist() takes dask collections, got {item!r}")
    persisted: list[Any] = list(items)
    for some in _groups(items, optimize_graph):
        chosen = [items[i] for i in some]
        for i, one in zip(some, _persist(client, chosen, options, optimize_graph), strict=True):
            persisted[i] = one
    return persisted[0] if single else persisted


def _persist(
    client: ClientContext, items: list[Any], options: Options, optimize_graph: bool
) -> Iterator[Any]:
    with client_as_current(client):  # dask's optimization asks for the current client
        expr: Any = expression_of(items, optimize_graph)
        composite = [isinstance(one, CompositeExpr) for one in _each(expr)]
        expr = expr.optimize()
    exprs = _each(expr) if any(composite) else [None] * len(items)
    keys = [list(flatten(one)) for one in expr.__dask_keys__()]
    futures = _begin(client, expr, [k for some in keys for k in some], options)
    for item, part, own in zip(items, exprs, keys, strict=True):
        if isinstance(part, CompositeExpr):
            yield _rebuild_composite_collection(item, part, futures, cull_to_child_keys=True)
        else:
            rebuild, state = item.__dask_postpersist__()
            yield rebuild({key: futures[key] for key in own}, *state)


def _begin(
    client: ClientContext, expr: Any, keys: list[Any], options: Options
) -> dict[Any, Future]:
    """Return futures of keys; the loop that runs here must not stand still meanwhile."""
    session = client._session
    if asyncio._get_running_loop() is not None and session.asynchronous and _is_large(expr):
        return begin_graph(session, expr, keys, options)
    return send_graph(session, expr, keys, options)


def _is_large(expr: Any) -> bool:
    """Whether lowering takes longer than a loop should stand still; nothing is made for it."""
    tasks = 0
    node: Any
    for node in expr.walk():
        try:
            if type(node).__name__.startswith("HLG"):
                for layer in getattr(node.operand("dsk"), "layers", {}).values():
                    tasks += len(layer)
                    if tasks > _SMALL:
                        return True
            else:
                tasks += int(getattr(node, "npartitions", 1))
        except Exception:  # it does not know: then it may be anything
            return True
        if tasks > _SMALL:
            return True
    return False


def _groups(parts: list[Any], optimize_graph: bool) -> list[list[int]]:
    """Return the places of collections, in groups to optimize and send together.

    Graphs and expressions apart, as dask would make graphs of all, with a warning. And graphs that
    are optimized alike side by side: dask moves them there, and then mixes up whose results are
    whose.
    """
    if not parts:
        return []
    graphs: dict[Any, list[int]] = {}
    expressions: list[int] = []
    for i, part in enumerate(_each(expression_of(parts, optimize_graph))):
        if isinstance(part, HLGExpr):
            graphs.setdefault(part.low_level_optimizer, []).append(i)
        else:
            expressions.append(i)
    together = [i for places in graphs.values() for i in places]
    return [group for group in (together, expressions) if group]


def _each(expr: Expr) -> list[Any]:
    return list(expr.operands) if isinstance(expr, _ExprSequence) else [expr]


def normalize_collection(client: ClientContext, collection: Any) -> Any:
    """Return a collection in whose graph futures stand for what this client computes already."""
    graph = ensure_dict(collection.__dask_graph__())
    futures = _known_futures(client, graph)
    if not futures:
        return collection
    kept: dict[Any, Any] = {}
    wanted = list(flatten(collection.__dask_keys__()))
    stack = list(wanted)
    while stack:
        key = stack.pop()
        if key in kept or key not in graph:
            continue
        kept[key] = futures.get(key, graph[key])
        if key not in futures:
            stack += get_dependencies(graph, key)
    if isinstance(getattr(collection, "expr", None), Expr) and len(kept) > len(wanted):
        return collection  # these take their outputs only; what is known is found in `compute`
    rebuild, state = collection.__dask_postpersist__()
    return rebuild(kept, *state)


def _known_futures(client: ClientContext, graph: dict[Any, Any]) -> dict[Any, Future]:
    session = client._session
    found: dict[Any, Future] = {}
    for key in graph:
        name = encode_key(key)
        if name in session.records:
            record = session.find(name)
            if record is not None:
                found[key] = make_future(session, record)
    return found


def collections_to_dsk(collections: Any, optimize_graph: bool = True) -> dict[Any, Any]:
    """Return one graph of several collections, optimized."""
    expr: Any = expression_of(collections, optimize_graph)
    return dict(expr.optimize().__dask_graph__() if optimize_graph else expr.__dask_graph__())
