"""Base classes of extensions of a worker's memory: bytes in files, values that can make room."""

from __future__ import annotations

import os
from collections.abc import Iterator, MutableMapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

__all__ = ["AnyKeyFile", "ManualEvictProto"]


@runtime_checkable
class ManualEvictProto(Protocol):
    """The interface of a mapping of a worker's data that can be told to make room."""

    @property
    def fast(self) -> Any:
        """The part in memory; false when nothing is left in it to evict."""

    def evict(self) -> int:
        """Move a value to where there is more room; return its size in bytes, -1 on failure."""


class AnyKeyFile(MutableMapping[Any, bytes]):
    """A mapping whose values are files in a folder; a key may be anything hashable.

    Parameters
    ----------
    directory : str or Path
        The folder, made when it is not there. It is the mapping's own: what is found in it is
        not read, and closing leaves it.

    Examples
    --------
    >>> import tempfile
    >>> files = AnyKeyFile(tempfile.mkdtemp())
    >>> files[("x", 0)] = b"123"
    >>> files[("x", 0)]
    b'123'
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = Path(directory)
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._names: dict[Any, str] = {}
        self._count = 0

    def _path(self, key: Any) -> Path:
        return self.directory / self._names[key]

    def __getitem__(self, key: Any) -> bytes:
        return self._path(key).read_bytes()

    def __setitem__(self, key: Any, value: Any) -> None:
        """Write a bytes-like, or a list of them, one after the other."""
        # A new file each time: a reader of the old one reads it to its end.
        self._count += 1
        name = f"{sha256(repr(key).encode()).hexdigest()[:32]}-{self._count}"
        parts = value if isinstance(value, (list, tuple)) else [value]
        with open(self.directory / name, "wb") as file:
            file.writelines(parts)
        old = self._names.get(key)
        self._names[key] = name
        if old is not None:
            os.unlink(self.directory / old)

    def __delitem__(self, key: Any) -> None:
        os.unlink(self._path(key))
        del self._names[key]

    def __contains__(self, key: object) -> bool:
        return key in self._names

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._names))

    def __len__(self) -> int:
        return len(self._names)
