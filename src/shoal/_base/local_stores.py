"""What workers of this very process hold: it needs no pickle to get to others in the process.

Workers announce their stores, by address; clients and other workers look here first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol
from weakref import WeakValueDictionary

__all__ = ["LocalStore", "announce_store", "store_at", "values_here"]


class LocalStore(Protocol):
    """What a store lets others in its process do."""

    def in_memory(self, keys: list[str]) -> dict[str, Any]:
        """Return the values of those keys that are in memory."""


_stores: WeakValueDictionary[str, LocalStore] = WeakValueDictionary()


def announce_store(address: str, store: LocalStore) -> None:
    """Let others in this process find a store, as long as it is there."""
    _stores[address] = store


def store_at(address: str | None) -> LocalStore | None:
    """Return the store of the worker at an address, if that is in this process."""
    return _stores.get(address) if _stores and address else None


def values_here(key: str) -> Iterator[Any]:
    """All values of this key in memory; whether they are of the key's present life is not said."""
    for store in list(_stores.values()) if _stores else ():
        yield from store.in_memory([key]).values()
