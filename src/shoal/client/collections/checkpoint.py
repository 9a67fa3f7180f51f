"""Collections whose parts are on durable storage once they were computed."""

from __future__ import annotations

from typing import Any

from dask.base import is_dask_collection

from shoal.cache.store import store_of
from shoal.client.collections.dask_private import flatten
from shoal.client.collections.graphs import materialize
from shoal.client.collections.kept import keep_results

__all__ = ["checkpoint"]


def checkpoint(collection: Any, cache: Any) -> Any:
    """Return a collection that means the same, whose parts are kept when they are computed.

    Parts that are there already, of another run, cluster or user, are loaded, and nothing runs that
    only they need. They are known by what computes them: the code of functions, arguments, inputs.
    Any scheduler of dask computes it.

    Parameters
    ----------
    collection : dask collection
        An array, a frame, a bag, or something delayed.
    cache : str, path or Store
        A folder, or an address that fsspec knows.

    Returns
    -------
    collection
        Made now: parts that others keep later are not seen by this one.

    Raises
    ------
    TypeError
        When it is no dask collection, or `cache` is no store.

    Examples
    --------
    >>> import dask.array as da
    >>> x = checkpoint(da.ones((4, 4), chunks=2) + 1, "parts")
    >>> float(x.sum().compute())  # doctest: +SKIP
    32.0
    """
    if not is_dask_collection(collection):
        raise TypeError(f"checkpoint() takes a dask collection, not {type(collection).__name__}")
    store = store_of(cache)
    graph, _, _ = materialize(collection)
    keys = list(flatten(collection.__dask_keys__()))
    kept, _ = keep_results(graph, dict.fromkeys(keys, store))
    rebuild, arguments = collection.__dask_postpersist__()
    if type(collection).__module__.startswith("dask.dataframe"):  # all of a graph would be parts
        import dask.dataframe

        from_graph: Any = dask.dataframe.from_graph
        meta, divisions, prefix = arguments
        return from_graph(kept, meta, divisions, keys, prefix)
    return rebuild(kept, *arguments)
