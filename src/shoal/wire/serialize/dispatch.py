"""Serialization by type, the family ``dask``: functions that extensions register for their classes.

A registered class is serialized so wherever it is met, also deep in other objects: its functions
become pickle's way to reduce it, with the frames as out-of-band buffers.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from typing import Any

from dask.utils import Dispatch as _UntypedDispatch
from dask.utils import typename

from shoal.wire.pickling import dumps_bytes, loads_bytes, register_reducer

__all__ = [
    "dask_deserialize",
    "dask_dumps",
    "dask_loads",
    "dask_serialize",
    "register_generic",
    "register_serialization",
    "register_serialization_lazy",
]


Dispatch: Any = _UntypedDispatch  # dask is not annotated


class _SerializeDispatch(Dispatch):  # type: ignore[misc]
    """Also tells pickle of the classes that are registered."""

    def register(self, type: Any, func: Callable[..., Any] | None = None) -> Any:
        registered = super().register(type, func)
        if func is not None:
            for cls in type if isinstance(type, tuple) else (type,):
                register_reducer(cls, _reduce)
        return registered


dask_serialize: Any = _SerializeDispatch("dask_serialize")
dask_deserialize: Any = Dispatch("dask_deserialize")


def _reduce(obj: Any) -> tuple[Any, ...]:
    header, frames = dask_dumps(obj)
    return _rebuild, (header, [pickle.PickleBuffer(frame) for frame in frames])


def _rebuild(header: dict[str, Any], frames: list[Any]) -> Any:
    return dask_loads(header, [memoryview(frame) for frame in frames])


def dask_dumps(obj: Any) -> tuple[dict[str, Any], list[Any]]:
    """Return header and frames of an object of a registered class.

    Raises
    ------
    NotImplementedError
        When its class is not registered.
    """
    try:
        function = dask_serialize.dispatch(type(obj))
    except TypeError:
        raise NotImplementedError(
            f"no function is registered with dask_serialize for {typename(type(obj))}"
        ) from None
    header, frames = function(obj)
    return {
        "serializer": "dask",
        "type": typename(type(obj)),
        "type-serialized": dumps_bytes(type(obj)),
        "sub-header": header,
    }, list(frames)


def dask_loads(header: dict[str, Any], frames: Sequence[Any]) -> Any:
    """Return the object of header and frames of `dask_dumps`."""
    cls = loads_bytes(header["type-serialized"])
    return dask_deserialize.dispatch(cls)(header["sub-header"], list(frames))


def register_serialization(
    cls: type | str,
    serialize: Callable[[Any], tuple[dict[str, Any], list[Any]]],
    deserialize: Callable[[dict[str, Any], list[Any]], Any],
) -> None:
    """Register functions that serialize a class.

    Parameters
    ----------
    cls : type
        The class.
    serialize : callable
        Takes an object; returns a header (a dict of plain values) and frames (a list of
        bytes-likes).
    deserialize : callable
        Takes the two and returns the object.

    Examples
    --------
    >>> class Human:
    ...     def __init__(self, name):
    ...         self.name = name
    >>> def serialize(human):
    ...     return {}, [human.name.encode()]
    >>> def deserialize(header, frames):
    ...     return Human(bytes(frames[0]).decode())
    >>> register_serialization(Human, serialize, deserialize)
    """
    if isinstance(cls, str):
        raise TypeError(
            f"cannot register by the name {cls!r}; use register_serialization_lazy, or the class"
        )
    dask_serialize.register(cls, serialize)
    dask_deserialize.register(cls, deserialize)


def register_serialization_lazy(toplevel: str, function: Callable[[], None]) -> None:
    """Have a function called that registers classes, when a class of a package is first met."""
    dask_serialize.register_lazy(toplevel, function)
    dask_deserialize.register_lazy(toplevel, function)


def register_generic(
    cls: type,
    serializer_name: str = "dask",
    serialize_func: Any = dask_serialize,
    deserialize_func: Any = dask_deserialize,
) -> None:
    """Register a class whose state is its `__dict__`, which is serialized value by value."""

    def serialize(obj: Any) -> tuple[dict[str, Any], list[Any]]:
        frames: list[Any] = []
        data = pickle.dumps(vars(obj), 5, buffer_callback=frames.append)
        return {"pickle": data}, [frame.raw() for frame in frames]

    def deserialize(header: dict[str, Any], frames: list[Any]) -> Any:
        obj: Any = object.__new__(cls)
        vars(obj).update(pickle.loads(header["pickle"], buffers=frames))
        return obj

    serialize_func.register(cls, serialize)
    deserialize_func.register(cls, deserialize)
