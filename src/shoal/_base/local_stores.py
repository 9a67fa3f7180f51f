"""Stores of workers in this very process: their values get to others in it without a pickle.

Workers announce their stores, by address; clients look here first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol
from weakref import WeakValueDictionary

__all__ = ["LocalStore", "StoresInReach", "announce_store"]


class LocalStore(Protocol):
    """The methods of a store for others in its process."""

    def in_memory(self, keys: list[str]) -> dict[str, Any]:
        """Return the values of those keys that are in memory."""


_stores: WeakValueDictionary[str, LocalStore] = WeakValueDictionary()


def announce_store(address: str, store: LocalStore) -> None:
    """Let others in this process find a store, as long as it is there."""
    _stores[address] = store


class StoresInReach:
    """The stores that a client may take values from as they are.

    Attributes
    ----------
    own : str or None
        The address of the worker whose tasks use the client.
    in_process : bool
        Whether client and scheduler, and so all workers, are in this process. Workers that merely
        are in it, on sockets, are as far away as others: what they give is a copy.
    """

    __slots__ = ("in_process", "own")

    def __init__(self) -> None:
        self.own: str | None = None
        self.in_process = False

    @property
    def any_in_reach(self) -> bool:
        """Whether there may be one."""
        return self.in_process or self.own is not None

    def at(self, address: str | None) -> LocalStore | None:
        """Return the store of the worker at an address, where it is in reach."""
        if address and (self.in_process or address == self.own):
            return _stores.get(address)
        return None

    def values(self, key: str) -> Iterator[Any]:
        """All values of this key; whether they are of the key's present life is not said."""
        if self.in_process:
            stores = list(_stores.values())
        else:
            store = self.at(self.own)
            stores = [] if store is None else [store]
        for store in stores:
            yield from store.in_memory([key]).values()
