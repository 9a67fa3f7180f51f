"""The methods of `Client` for collections and graphs."""

from __future__ import annotations

from typing import Any

from shoal.client.collections import compute as work
from shoal.client.collections.options import Options
from shoal.client.session.context import ClientContext

__all__ = ["CollectionMethods"]


class CollectionMethods(ClientContext):
    """Methods of `Client` for dask collections."""

    def compute(
        self,
        collections: Any,
        sync: bool = False,
        optimize_graph: bool = True,
        workers: Any = None,
        allow_other_workers: Any = False,
        resources: dict[Any, Any] | None = None,
        retries: Any = 0,
        priority: Any = 0,
        fifo_timeout: float | str = "60s",
        actors: Any = None,
        traverse: bool = True,
        timeout: Any = None,
        cache: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Compute dask collections on the cluster.

        Parameters
        ----------
        collections : collection, or list of collections
            The collections to compute. A container with collections in it is computed as one.
        sync : bool
            Wait, and return values instead of futures.
        optimize_graph : bool
            Whether to optimize the graphs.
        workers : str, list of str, or dict
            Addresses, names or hosts of workers that may run the tasks; for all tasks, or by key,
            tuple of keys, or collection.
        allow_other_workers : bool or list
            Whether others may if none of these is there; or for which keys.
        resources, retries, priority, timeout : as in `submit`, or dict
            For all tasks, or by key or collection.
        fifo_timeout : float or str
            Calls within this time have the same priority.
        cache : str, path or Store
            Where results are kept, and looked up first: a folder, or an address that fsspec knows.
        actors : bool, collection, list or dict
            Whether results are actors: for all tasks, those of a collection or of some keys, or by
            key or collection.
        traverse : bool
            Whether to look for collections in containers in the list.
        **kwargs
            Accepted for compatibility.

        Returns
        -------
        Future, or list of futures
            One for each collection; values with ``sync=True``. Other arguments come back as
            it is.

        Examples
        --------
        >>> xx, yy = client.compute([x, y])  # doctest: +SKIP
        """
        self._check_open()
        options = _options(locals())
        return work.compute(
            self,
            collections,
            options,
            sync=sync,
            optimize_graph=optimize_graph,
            traverse=traverse,
            asynchronous=self.asynchronous,
        )

    def persist(
        self,
        collections: Any,
        optimize_graph: bool = True,
        workers: Any = None,
        allow_other_workers: Any = None,
        resources: dict[Any, Any] | None = None,
        retries: Any = None,
        priority: Any = 0,
        fifo_timeout: float | str = "60s",
        actors: Any = None,
        timeout: Any = None,
        cache: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Begin to compute dask collections; return collections that are made of the futures.

        Parameters
        ----------
        collections : collection, or list of collections
            The collections to compute.
        optimize_graph, workers, allow_other_workers, resources, retries, priority, fifo_timeout,
        timeout, cache
            As in `compute`.

        Returns
        -------
        collection, or list of collections
            They mean the same as before, and their parts are on the cluster, now or soon.

        Examples
        --------
        >>> x = client.persist(x)  # doctest: +SKIP
        """
        self._check_open()
        return work.persist(self, collections, _options(locals()), optimize_graph)

    def get(
        self,
        dsk: Any,
        keys: Any,
        workers: Any = None,
        allow_other_workers: Any = None,
        resources: dict[Any, Any] | None = None,
        sync: bool = True,
        asynchronous: bool | None = None,
        direct: bool | None = None,
        retries: Any = None,
        priority: Any = 0,
        fifo_timeout: float | str = "60s",
        actors: Any = None,
        timeout: Any = None,
        cache: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Compute keys of a dask graph.

        Parameters
        ----------
        dsk : dict, HighLevelGraph, or expression
            The graph.
        keys : key, or nested lists of keys
            The collections to compute.
        sync : bool
            False: return futures.
        direct : bool, optional
            Fetch results from the workers, or through the scheduler.
        workers, allow_other_workers, resources, retries, priority, fifo_timeout,
        timeout, cache
            As in `compute`.

        Returns
        -------
        object
            Values, or futures, nested as the keys are.

        Examples
        --------
        >>> client.get({"x": (add, 1, 2)}, "x")  # doctest: +SKIP
        3
        """
        self._check_open()
        is_async = self.asynchronous if asynchronous is None else asynchronous
        return work.get(
            self,
            dsk,
            keys,
            _options(locals()),
            sync=sync,
            asynchronous=is_async,
            direct=direct,
        )

    def normalize_collection(self, collection: Any) -> Any:
        """Return a collection in whose graph futures stand for what is computed already."""
        return work.normalize_collection(self, collection)

    @staticmethod
    def collections_to_dsk(collections: Any, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        """Return one graph of several collections, optimized unless ``optimize_graph=False``."""
        return work.collections_to_dsk(collections, *args, **kwargs)


_ASKED = (
    *("workers", "allow_other_workers", "resources", "retries", "priority", "actors"),
    *("timeout", "cache"),
)


def _options(arguments: dict[str, Any]) -> Options:
    asked = {name: arguments[name] for name in _ASKED}
    return Options(fifo_timeout=arguments["fifo_timeout"], **asked)
