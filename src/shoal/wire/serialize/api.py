"""Objects to a header and frames, and back, by the families of `families`."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import msgspec

from shoal.wire.serialize.families import Header, get_family
from shoal.wire.serialize.wrappers import Serialize, Serialized

__all__ = [
    "deserialize",
    "deserialize_bytes",
    "serialize",
    "serialize_bytelist",
    "serialize_bytes",
]

DEFAULT = ("dask", "pickle")


def serialize(
    x: Any,
    serializers: Sequence[str] | None = None,
    on_error: str = "message",
    context: Any = None,
) -> tuple[Header, list[Any]]:
    """Make a header and frames of an object.

    Parameters
    ----------
    x : object
        Anything.
    serializers : sequence of str, optional
        Families to try, in order; ``("dask", "pickle")`` by default.
    on_error : {"message", "raise"}
        Whether what no family knows becomes the error that `deserialize` raises, or is raised here.

    Returns
    -------
    (dict, list of bytes-like)

    Examples
    --------
    >>> header, frames = serialize([1, 2])
    >>> deserialize(header, frames)
    [1, 2]
    """
    if isinstance(x, Serialize):
        x = x.data
    elif isinstance(x, Serialized):
        x = x.deserialize()
    problems: list[str] = []
    for name in DEFAULT if serializers is None else serializers:
        dumps, _ = get_family(name)
        try:
            header, frames = dumps(x)
        except NotImplementedError as error:
            problems.append(f"{name}: {error}")
        except Exception as error:
            problems.append(f"{name}: {type(error).__name__}: {error}")
        else:
            return {**header, "serializer": name}, list(frames)
    text = f"could not serialize an object of type {type(x).__name__} ({'; '.join(problems)})"
    if on_error == "message":
        return get_family("error")[0](TypeError(text))
    if on_error == "raise":
        raise TypeError(text)
    raise ValueError(f"on_error is 'message' or 'raise', not {on_error!r}")


def deserialize(
    header: Header, frames: Sequence[Any], deserializers: Sequence[str] | None = None
) -> Any:
    """Return the object of a header and frames.

    Parameters
    ----------
    header, frames
        As `serialize` made them.
    deserializers : sequence of str, optional
        Families that may be used; all by default.

    Raises
    ------
    TypeError
        When the family is not among them, or serializing failed.
    """
    name = header.get("serializer", "pickle")
    if deserializers is not None and name not in deserializers and name != "error":
        raise TypeError(
            f"the data was serialized by {name!r}, but only {list(deserializers)} may be used"
        )
    return get_family(name)[1](header, list(frames))


def serialize_bytelist(x: Any, **kwargs: Any) -> list[Any]:
    """Return what `serialize_bytes` returns, in pieces, so that nothing is copied."""
    header, frames = serialize(x, **kwargs)
    frames = [memoryview(frame).cast("B") for frame in frames]
    head = msgspec.msgpack.encode(header)
    lengths = struct.pack(
        f"<I{len(frames) + 1}Q", len(frames) + 1, len(head), *(frame.nbytes for frame in frames)
    )
    return [lengths, head, *frames]


def serialize_bytes(x: Any, **kwargs: Any) -> bytes:
    """Serialize an object into one `bytes`."""
    return b"".join(serialize_bytelist(x, **kwargs))


def deserialize_bytes(b: Any) -> Any:
    """Return the object of `serialize_bytes`."""
    view = memoryview(b).cast("B")
    try:
        (count,) = struct.unpack_from("<I", view)
        lengths = struct.unpack_from(f"<{count}Q", view, 4)
    except struct.error:
        raise ValueError("these bytes were not made by serialize_bytes") from None
    start = 4 + 8 * count
    if not count or start + sum(lengths) != view.nbytes:
        raise ValueError("these bytes were not made by serialize_bytes, or some are missing")
    frames = []
    for length in lengths:
        frames.append(view[start : start + length])
        start += length
    header: Header = msgspec.msgpack.decode(frames[0])
    return deserialize(header, frames[1:])
