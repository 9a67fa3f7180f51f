"""Graphs some of whose results are kept in a store: what is there is loaded, and nothing that only
it needs runs; what is not is computed and kept.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from dask._task_spec import Alias, DataNode, GraphNode, Task, TaskRef
from dask.utils import key_split

from shoal.cache.fingerprint import Unnamable
from shoal.cache.store import MISSING, Store
from shoal.client.collections.structure import Structure

__all__ = ["keep_results"]

logger = logging.getLogger("shoal.cache")


def keep_results(
    graph: Mapping[Any, GraphNode], stores: Mapping[Any, Store]
) -> tuple[dict[Any, GraphNode], dict[Any, Any]]:
    """Return a graph in which some tasks are looked up, or kept.

    Parameters
    ----------
    graph : mapping
        Nodes by key.
    stores : mapping
        The stores of the keys whose results are kept.

    Returns
    -------
    graph : dict
        The tasks of these keys load their results, or keep them.
    moved : dict
        New keys of tasks that are computed, and the keys that they had.
    """
    found = dict(graph)
    moved: dict[Any, Any] = {}
    structure = Structure(graph)
    for key, store in stores.items():
        node = graph.get(key)
        if node is None or isinstance(node, DataNode):
            continue
        try:
            name = _versioned(structure.name(key), store)
        except Unnamable as error:
            logger.warning("The result of %r is not kept: %s", key, error)
            continue
        label = str(key_split(key))
        if _has(store, name):
            found[key] = Task(key, load_kept, store, name, label)
            continue
        if isinstance(node, Alias):
            source = node.target
        else:
            source = _computed(key)
            moved[source] = key
            found[source] = node.substitute({}, key=source)
        found[key] = Task(key, keep, store, name, label, TaskRef(source))
    return found, moved


def keep(store: Store, name: str, label: str, value: Any) -> Any:
    """Keep a result, and return it."""
    store.try_put(name, value, label)
    return value


def load_kept(store: Store, name: str, label: str) -> Any:
    """Return a result that was there when the graph was sent."""
    value = store.get(name, MISSING)
    if value is MISSING:
        raise LookupError(
            f"the result of {label!r} was dropped from {store!r}, or damaged, after this "
            "computation began: compute it again"
        )
    return value


def _has(store: Store, name: str) -> bool:
    return store.try_get(name) is not MISSING


def _versioned(name: str, store: Store) -> str:
    return blake2b(f"{name}\n{store.version}".encode(), digest_size=20).hexdigest()


def _computed(key: Any) -> Any:
    if isinstance(key, tuple) and key and isinstance(key[0], str):
        return (f"computed-{key[0]}", *key[1:])
    return f"computed-{key}"
