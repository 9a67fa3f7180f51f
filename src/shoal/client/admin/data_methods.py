"""Methods of `Client` for data on the cluster: datasets, metadata, copies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal._base.later import later
from shoal.client.admin import notes
from shoal.client.admin.memory_manager import MemoryManagerProxy
from shoal.client.session.context import ClientContext
from shoal.coordination.dataset import (
    NO_DEFAULT,
    Datasets,
    get_dataset,
    list_datasets,
    publish_datasets,
    unpublish_dataset,
)

if TYPE_CHECKING:
    from shoal.client.admin import copies
else:
    copies = later("shoal.client.admin.copies")

__all__ = ["DataMethods"]


class DataMethods(ClientContext):
    """Datasets, metadata, replication."""

    # ------------------------------------------------------------------ datasets

    def publish_dataset(
        self, *args: Any, name: Any = None, override: bool = False, **kwargs: Any
    ) -> Any:
        """Give collections or futures names under which all clients find them.

        They are kept until they are unpublished, whether or not this client goes on. Collections
        are published as they are: `persist` them before.

        Parameters
        ----------
        *args
            One object, which is published as `name`; several, which are published together, as a
            tuple; or a dict of objects by name.
        name : str, number or tuple, optional
            The name.
        override : bool
            Replace what has the name already.
        **kwargs
            Objects by name.

        Raises
        ------
        KeyError
            When a name is taken.

        Examples
        --------
        >>> client.publish_dataset(my_dataset=df)  # doctest: +SKIP
        >>> client.publish_dataset(df, name="my_dataset")  # doctest: +SKIP
        >>> other_client.get_dataset("my_dataset")  # doctest: +SKIP
        """
        datasets: dict[Any, Any] = dict(kwargs)
        if name is None and len(args) == 1 and isinstance(args[0], dict):
            datasets.update(args[0])
        elif args or name is not None:
            if not args or name is None:
                raise ValueError(
                    "If name is provided, expecting call signature like publish_dataset(df, "
                    "name='ds'); several are published as keywords, publish_dataset(df=df, "
                    "other=other), or as a dict"
                )
            datasets[name] = args[0] if len(args) == 1 else args
        return self.sync(publish_datasets, self, datasets, override)

    def unpublish_dataset(self, name: Any, **kwargs: Any) -> Any:
        """Take a name away; what has no other futures is dropped.

        Nothing happens when nothing has that name.
        """
        return self.sync(unpublish_dataset, self, name)

    def list_datasets(self, **kwargs: Any) -> Any:
        """Return the names of published datasets."""
        return self.sync(list_datasets, self)

    def get_dataset(self, name: Any, default: Any = NO_DEFAULT, **kwargs: Any) -> Any:
        """Return a published dataset; its futures are this client's.

        Parameters
        ----------
        name : str or tuple
            Its name.
        default : object, optional
            The value to return where there is none, instead of raising `KeyError`.
        """
        return self.sync(get_dataset, self, name, default)

    @property
    def datasets(self) -> Datasets:
        """The published datasets as a mapping."""
        return Datasets(self)

    # ------------------------------------------------------------------ metadata

    def get_metadata(self, keys: Any, default: Any = notes.NO_DEFAULT) -> Any:
        """Return what was noted with `set_metadata`.

        Parameters
        ----------
        keys : key or list
            A list goes down into nested dicts.
        default : object, optional
            The value to return where there is nothing, instead of raising `KeyError`.
        """
        return self.sync(notes.get_metadata, self, keys, default)

    def set_metadata(self, key: Any, value: Any) -> Any:
        """Note plain data at the scheduler.

        Metadata under the key of a task is forgotten with the task.

        Parameters
        ----------
        key : key or list
            A list goes down into nested dicts, which are made, in place of other values there.
        value : object
            Texts, numbers, lists, dicts.

        Examples
        --------
        >>> client.set_metadata(["x", "y"], 123)  # doctest: +SKIP
        >>> client.get_metadata("x")  # doctest: +SKIP
        {'y': 123}
        """
        return self.sync(notes.set_metadata, self, key, value)

    # ------------------------------------------------------------------ copies

    def replicate(
        self,
        futures: Any,
        n: int | None = None,
        workers: Any = None,
        branching_factor: int = 2,
        **kwargs: Any,
    ) -> Any:
        """Have results on several workers; waits until they are there.

        Each result spreads as a tree: workers that have it give it to others.

        Parameters
        ----------
        futures : list of Future
            The futures to copy; unfinished ones are waited for.
        n : int, optional
            On how many workers each is to be: more are made, or some dropped. All by default.
        workers : list of str, optional
            Addresses, names or hosts of the workers that count; all by default.
        branching_factor : int
            To how many others each worker gives a copy in one generation.

        Examples
        --------
        >>> client.replicate([x])  # to all workers  # doctest: +SKIP
        >>> client.replicate([x], n=3)  # doctest: +SKIP
        >>> client.replicate([x], n=1)  # keep one copy  # doctest: +SKIP
        """
        return self.sync(copies.replicate, self, futures, n, workers, branching_factor)

    def rebalance(self, futures: Any = None, workers: Any = None, **kwargs: Any) -> Any:
        """Move results between workers, so that all use about the same memory.

        Parameters
        ----------
        futures : list of Future, optional
            The results that may be moved; all by default.
        workers : list of str, optional
            Between which workers; all by default.
        """
        return self.sync(copies.rebalance, self, futures, workers)

    @property
    def amm(self) -> MemoryManagerProxy:
        """The active memory manager of the scheduler, which drops copies that nobody needs."""
        return MemoryManagerProxy(self)
