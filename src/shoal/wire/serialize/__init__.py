"""Serialization as users and extensions see it: families, dispatch by type, marks in messages."""

from __future__ import annotations

from shoal.wire.serialize.api import (
    deserialize,
    deserialize_bytes,
    serialize,
    serialize_bytelist,
    serialize_bytes,
)
from shoal.wire.serialize.dispatch import (
    dask_deserialize,
    dask_serialize,
    register_generic,
    register_serialization,
    register_serialization_lazy,
)
from shoal.wire.serialize.families import register_serialization_family
from shoal.wire.serialize.wrappers import Serialize, Serialized, to_serialize

__all__ = [
    "Serialize",
    "Serialized",
    "dask_deserialize",
    "dask_serialize",
    "deserialize",
    "deserialize_bytes",
    "register_generic",
    "register_serialization",
    "register_serialization_family",
    "register_serialization_lazy",
    "serialize",
    "serialize_bytelist",
    "serialize_bytes",
    "to_serialize",
]
