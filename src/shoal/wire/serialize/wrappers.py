"""Marks for parts of open messages: to be pickled by the sender, or pickled already."""

from __future__ import annotations

from typing import Any

from shoal.wire.blob import Blob
from shoal.wire.pickling import dumps, loads

__all__ = ["Serialize", "Serialized", "to_serialize"]


class Serialize:
    """Marks an object that is to be serialized when it is sent; its receiver gets the object.

    Examples
    --------
    >>> Serialize([1, 2]).data
    [1, 2]
    """

    __slots__ = ("data",)

    def __init__(self, data: Any) -> None:
        self.data = data

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Serialize) and bool(self.data == other.data)

    def __hash__(self) -> int:
        return hash(self.data)

    def __repr__(self) -> str:
        return f"<Serialize: {self.data!r}>"


to_serialize = Serialize


class Serialized:
    """An object in its serialized form, as a receiver that does not deserialize gets it."""

    __slots__ = ("blob",)

    def __init__(self, blob: Blob) -> None:
        self.blob = blob

    @classmethod
    def of(cls, obj: Any) -> Serialized:
        """Serialize an object now."""
        return cls(dumps(obj))

    def deserialize(self) -> Any:
        """Return the object."""
        return loads(self.blob)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Serialized) and self.blob == other.blob

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Serialized of {self.blob.nbytes()} bytes>"
