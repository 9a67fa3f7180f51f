"""Which store a worker gets, and how users see it."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from shoal.shuffle.large import LARGE
from shoal.worker.settings import max_shared
from shoal.worker.store.data import Data
from shoal.worker.store.mapping_store import MappingStore, make_mapping
from shoal.worker.store.store import Store

__all__ = ["data_of", "make_store"]


def make_store(
    data: Any, local_directory: str, *, max_spill: int | None, memory_limit: int = 0, **kwargs: Any
) -> Store:
    """Return a store for a worker's values.

    Parameters
    ----------
    data : object
        The argument `data` of the worker: None for the worker's own store, which spills to disk.
    local_directory : str
        The folder of the worker.
    max_spill : int, optional
        Most bytes on disk.
    memory_limit : int
        The worker's. Copies in shared memory take a part of it; values that are large beside it are
        mapped from their spill files.
    **kwargs
        Of `Store`.
    """
    kwargs["max_shared"] = max_shared(memory_limit)
    if data is None:
        map_from = int(LARGE * memory_limit) or None
        return Store(local_directory, max_spill=max_spill, map_from=map_from, **kwargs)
    return MappingStore(make_mapping(data, local_directory), **kwargs)


def data_of(store: Store) -> MutableMapping[Any, Any]:
    """Return the values of a store as users index them: ``Worker.data``."""
    return store.mapping if isinstance(store, MappingStore) else Data(store)
