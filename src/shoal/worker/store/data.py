"""The store as users index it: `Worker.data`. The worker itself uses the store."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

from shoal._base.keys import decode_key, encode_key
from shoal.worker.store.store import Store

__all__ = ["Data"]


class Data(MutableMapping[Any, Any]):
    """The values that a worker holds, by the users' keys; those on disk are read when asked for.

    A change here changes this worker only: the scheduler is not told.

    Examples
    --------
    >>> data = Data(Store())
    >>> data["x", 0] = 1
    >>> dict(data)
    {('x', 0): 1}
    """

    __slots__ = ("_store",)

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getitem__(self, key: Any) -> Any:
        try:
            return self._store.get(encode_key(key))
        except KeyError:
            raise KeyError(key) from None

    def __setitem__(self, key: Any, value: Any) -> None:
        self._store.put(encode_key(key), value)

    def __delitem__(self, key: Any) -> None:
        if not self._store.pop(encode_key(key)):
            raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        return encode_key(key) in self._store

    def __iter__(self) -> Iterator[Any]:
        return map(decode_key, self._store)

    def __len__(self) -> int:
        return len(self._store)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self)} values>"
