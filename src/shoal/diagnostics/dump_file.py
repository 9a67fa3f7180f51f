"""A dump of a cluster's state as bytes of a file."""

from __future__ import annotations

import gzip
import importlib
from typing import Any

import msgspec

__all__ = ["dump_ending", "encode_dump"]

_ENDINGS = {"msgpack": ".msgpack.gz", "yaml": ".yaml"}


def dump_ending(format: str) -> str:
    """Return what the name of a file of a format ends in.

    Raises
    ------
    ValueError
        When there is no such format.
    """
    if format not in _ENDINGS:
        raise ValueError(f"format= is 'msgpack' or 'yaml', got {format!r}")
    return _ENDINGS[format]


def encode_dump(state: dict[str, Any], format: str) -> bytes:
    """Return what a file of a dump contains."""
    plain = msgspec.to_builtins(state, builtin_types=(bytes,), str_keys=True)
    if format != "yaml":
        return gzip.compress(msgspec.msgpack.encode(plain), 5)
    yaml = importlib.import_module("yaml")  # large, and rarely wanted
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text: str = yaml.dump(_listed(plain), Dumper=dumper, sort_keys=False)
    return text.encode()


def _listed(value: Any) -> Any:
    """Return a value without tuples, which YAML would mark as Python's."""
    if isinstance(value, dict):
        return {key: _listed(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_listed(item) for item in value]
    return value
