"""Serialization by chosen families: for those who refuse pickle, or have a family of their own.

Everything in shoal travels as msgpack or in pickles. Where somebody names the families that may be
used, what msgpack does not know is serialized by the first of them that knows it, and the pickle
carries the result only; and a reader that does not allow pickle opens such pickles only, as no
other code is reachable from them.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Sequence
from typing import Any

from shoal.wire.blob import Blob
from shoal.wire.serialize.api import deserialize, serialize
from shoal.wire.serialize.dispatch import dask_deserialize
from shoal.wire.serialize.families import get_family
from shoal.wire.serialize.wrappers import Serialize, Serialized

__all__ = ["by_families", "loads_by_families", "needs_choosing", "opener_of"]

_PLAIN = frozenset({type(None), bool, int, float, str, bytes})
_USUAL = frozenset({"dask", "msgpack", "error"})  # the families that shoal's pickles cover anyway
_CARRIER = (__name__, "open_carried")

# The names in pickles of plain data and of numpy's arrays; none of them runs code of the sender.
_HARMLESS = {("builtins", name) for name in ("bytes", "bytearray", "set", "frozenset", "complex")}
_ARRAYS = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    *(
        (f"numpy.{core}.multiarray", n)
        for core in ("core", "_core")
        for n in ("_reconstruct", "scalar")
    ),
    *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
}


def needs_choosing(families: Sequence[str] | None) -> bool:
    """Return whether families were named that something else than the usual pickle must serve.

    Raises
    ------
    TypeError
        When one of them is not known; the message lists those there are.
    """
    if families is None:
        return False
    names = list(families)
    for name in names:
        get_family(name)
    if "pickle" not in names:
        return True
    return not _USUAL.issuperset(names[: names.index("pickle")])


class _Carried:
    """A value that a family serialized already; unpickling it gives the value."""

    __slots__ = ("frames", "header")

    def __init__(self, header: dict[str, Any], frames: list[Any]) -> None:
        self.header = header
        self.frames = frames

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return open_carried, (self.header, [pickle.PickleBuffer(frame) for frame in self.frames])


def open_carried(header: dict[str, Any], frames: list[Any]) -> Any:
    """Return the value of header and frames; pickles refer to this function by name."""
    return deserialize(header, [memoryview(frame) for frame in frames])


def by_families(
    obj: Any, families: Sequence[str], as_they_are: frozenset[type] = frozenset()
) -> Any:
    """Return an object for which its pickle is what the families make of it.

    Plain data is returned as it is; lists, tuples, sets and dicts are looked into. Objects of the
    types `as_they_are` are left to pickle.

    Raises
    ------
    TypeError
        When no family knows the object, or something in it.
    """
    kind = type(obj)
    if kind in _PLAIN or kind in (Serialized, Blob) or kind in as_they_are:
        return obj
    if kind is Serialize:
        return Serialize(by_families(obj.data, families, as_they_are))
    if kind in (list, tuple, set, frozenset):
        return kind(by_families(item, families, as_they_are) for item in obj)
    if kind is dict:
        return {
            by_families(k, families, as_they_are): by_families(v, families, as_they_are)
            for k, v in obj.items()
        }
    return _Carried(*serialize(obj, serializers=families, on_error="raise"))


def loads_by_families(blob: Blob, families: Sequence[str]) -> Any:
    """Unpickle a value that only these families may have serialized.

    Raises
    ------
    TypeError
        When another one did, or the value was pickled as usual.
    """
    data, buffers = blob.data, [buffer.data for buffer in blob.buffers]
    if not len(data) and buffers:
        data, buffers = buffers[0], buffers[1:]
    return _Unpickler(bytes(data), buffers, families).load()


def opener_of(families: Sequence[str]) -> Callable[[Blob], Any]:
    """Return a function that opens a blob by these families, or leaves it `Serialized`."""

    def open_or_keep(blob: Blob) -> Any:
        try:
            return loads_by_families(blob, families)
        except TypeError:
            return Serialized(blob)

    return open_or_keep


class _Unpickler(pickle.Unpickler):
    """Finds only what `families` allow."""

    def __init__(self, data: bytes, buffers: list[Any], families: Sequence[str]) -> None:
        super().__init__(io.BytesIO(data), buffers=buffers)
        self._families = families

    def find_class(self, module: str, name: str) -> Any:
        known = (module, name)
        if "pickle" in self._families or known in _HARMLESS:
            return super().find_class(module, name)
        if known == _CARRIER:
            return self._open
        if "dask" in self._families:
            if known in _ARRAYS:
                return super().find_class(module, name)
            if known == ("shoal.wire.serialize.dispatch", "_rebuild"):
                return self._rebuild
        raise TypeError(
            f"the data was serialized by 'pickle' (it needs {module}.{name}), but only "
            f"{list(self._families)} may be used"
        )

    def _open(self, header: dict[str, Any], frames: list[Any]) -> Any:
        if header.get("serializer") == "dask" and "pickle" not in self._families:
            return self._rebuild(header, frames)
        views = [memoryview(frame) for frame in frames]
        return deserialize(header, views, deserializers=self._families)

    def _rebuild(self, header: dict[str, Any], frames: list[Any]) -> Any:
        if "dask" not in self._families:
            raise TypeError(
                f"the data was serialized by 'dask', but only {list(self._families)} may be used"
            )
        cls = _Registered(header["type-serialized"]).load()
        views = [memoryview(frame) for frame in frames]
        return dask_deserialize.dispatch(cls)(header["sub-header"], views)


class _Registered(pickle.Unpickler):
    """Unpickles nothing but a class that is registered with `dask_deserialize`."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data))

    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name)
        if isinstance(found, type):
            try:
                dask_deserialize.dispatch(found)
            except TypeError:
                pass
            else:
                return found
        raise TypeError(f"{module}.{name} is not a class that is registered with dask_deserialize")
