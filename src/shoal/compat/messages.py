"""Whole messages as lists of frames, as connections send them, and memory to receive into."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from shoal._base.network import get_ip, get_ipv6
from shoal.wire import open_codec

__all__ = ["dumps", "ensure_concrete_host", "from_frames", "host_array", "loads", "to_frames"]


def dumps(
    msg: Any,
    serializers: Sequence[str] | None = None,
    on_error: str = "message",
    context: Any = None,
    frame_split_size: int | None = None,
) -> list[Any]:
    """Return the frames of a message: msgpack first, then large buffers.

    Parameters
    ----------
    msg : object
        Any Python object; what msgpack does not know is pickled.
    serializers, context, frame_split_size
        Accepted for compatibility.
    on_error : {"message", "raise"}
        Whether what cannot be pickled becomes the error itself, or the error is raised.
    """
    try:
        return list(open_codec.encode(msg))
    except Exception as error:
        if on_error == "raise":
            raise
        return list(open_codec.encode(error))


def loads(
    frames: Sequence[Any], deserialize: bool = True, deserializers: Sequence[str] | None = None
) -> Any:
    """Return the message of frames; without `deserialize`, pickled parts stay `Serialized`."""
    unpickle = deserialize and (deserializers is None or "pickle" in deserializers)
    return open_codec.decode(list(frames), deserialize=unpickle)


async def to_frames(
    msg: Any,
    allow_offload: bool = True,
    serializers: Sequence[str] | None = None,
    on_error: str = "message",
    context: Any = None,
) -> list[Any]:
    """Return the frames of a message; see `dumps`."""
    return dumps(msg, serializers, on_error)


async def from_frames(
    frames: Sequence[Any],
    deserialize: bool = True,
    deserializers: Sequence[str] | None = None,
    allow_offload: bool = True,
) -> Any:
    """Return the message of frames; see `loads`."""
    return loads(frames, deserialize, deserializers)


def host_array(n: int) -> memoryview:
    """Return `n` bytes of writable memory, not cleared where numpy is there to give it."""
    try:
        numpy = importlib.import_module("numpy")
    except ImportError:
        return memoryview(bytearray(n))
    return memoryview(numpy.empty((n,), dtype="u1"))


def ensure_concrete_host(host: str, default_host: str | None = None) -> str:
    """Return a host that others can connect to, for one that may mean all addresses of this host.

    Examples
    --------
    >>> ensure_concrete_host("192.168.0.1")
    '192.168.0.1'
    """
    if host in ("0.0.0.0", ""):
        return default_host or get_ip()
    return (default_host or get_ipv6()) if host == "::" else host
