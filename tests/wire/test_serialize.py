"""Families, dispatch by type, and what stays uncopied."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse

from shoal.wire.pickling import dumps, loads
from shoal.wire.serialize import (
    Serialize,
    Serialized,
    dask_deserialize,
    dask_serialize,
    deserialize,
    deserialize_bytes,
    register_generic,
    register_serialization,
    register_serialization_family,
    serialize,
    serialize_bytelist,
    serialize_bytes,
    to_serialize,
)
from shoal.wire.serialize.families import families


class Human:
    def __init__(self, name: str) -> None:
        self.name = name

    def __reduce__(self) -> Any:
        raise TypeError("pickle must not be asked")


class Plain:
    def __init__(self, x: Any) -> None:
        self.x = x


@pytest.fixture(autouse=True, scope="module")
def _register() -> None:
    register_serialization(
        Human,
        lambda human: ({"kind": "human"}, [human.name.encode()]),
        lambda header, frames: Human(bytes(frames[0]).decode()),
    )


@pytest.mark.parametrize("value", [1, "x", b"x", [1, {"a": None}], (1, 2), {1, 2}, 2**80, print])
def test_round_trip(value: Any) -> None:
    assert deserialize(*serialize(value)) == value
    assert deserialize_bytes(serialize_bytes(value)) == value
    assert b"".join(serialize_bytelist(value)) == serialize_bytes(value)


def test_a_registered_class_goes_its_own_way_wherever_it_is() -> None:
    header, frames = serialize(Human("Alice"))
    assert header["serializer"] == "dask"
    assert deserialize(header, frames).name == "Alice"
    assert loads(dumps({"deep": [Human("Bob")]}))["deep"][0].name == "Bob"
    # cloudpickle's way as well
    human, function = loads(dumps((Human("Eve"), lambda: 5)))
    assert human.name == "Eve" and function() == 5


def test_dispatch_by_decorator() -> None:
    class Other:
        x = 0

    @dask_serialize.register(Other)
    def _(obj: Other) -> Any:
        return {"x": obj.x}, []

    @dask_deserialize.register(Other)
    def _(header: Any, frames: Any) -> Other:
        other = Other()
        other.x = header["x"] + 1
        return other

    assert deserialize(*serialize(Other())).x == 1


def test_generic_classes() -> None:
    register_generic(Plain)
    array = np.arange(100_000)
    header, frames = serialize(Plain(array))
    assert header["serializer"] == "dask"
    assert (deserialize(header, frames).x == array).all()


@pytest.mark.parametrize(
    "value",
    [
        np.arange(100_000),
        np.asfortranarray(np.ones((400, 400))),
        pd.DataFrame({"a": np.arange(100_000), "b": np.arange(100_000.0)}),
        pa.array(np.arange(100_000)),
        pa.table({"a": np.arange(100_000)}),
        scipy.sparse.random(500, 500, 0.5, format="csr", random_state=0),
        bytearray(100_000),
    ],
    ids=lambda value: type(value).__name__,
)
def test_buffers_of_known_types_travel_out_of_band(value: Any) -> None:
    blob = dumps(value)
    total = blob.nbytes()
    assert sum(memoryview(b.data).nbytes for b in blob.buffers) > 0.9 * total
    back = loads(blob)
    assert type(back) is type(value)


def test_small_buffers_stay_inside() -> None:
    assert dumps(np.arange(10)).buffers == []


def test_families_are_tried_in_order_and_restricted() -> None:
    header, frames = serialize([1, "x"], serializers=["msgpack", "pickle"])
    assert header["serializer"] == "msgpack"
    assert serialize((1,), serializers=["msgpack", "pickle"])[0]["serializer"] == "pickle"
    with pytest.raises(TypeError, match=r"serialized by 'msgpack', but only \['pickle'\]"):
        deserialize(header, frames, deserializers=["pickle"])


def test_what_no_family_knows_is_an_error_here_or_there() -> None:
    with pytest.raises(TypeError, match="msgpack does not know function"):
        serialize(lambda: 1, serializers=["msgpack"], on_error="raise")
    header, frames = serialize(lambda: 1, serializers=["msgpack"])
    with pytest.raises(TypeError, match="could not serialize an object of type function"):
        deserialize(header, frames)
    with pytest.raises(TypeError, match="unknown serializer 'nope'; known are"):
        serialize(1, serializers=["nope"])
    with pytest.raises(ValueError, match="on_error"):
        serialize(lambda: 1, serializers=["msgpack"], on_error="shrug")


def test_a_family_of_ones_own() -> None:
    register_serialization_family(
        "upper", lambda x: ({}, [x.upper().encode()]), lambda header, frames: bytes(frames[0])
    )
    try:
        header, frames = serialize("abc", serializers=["upper"])
        assert header["serializer"] == "upper" and deserialize(header, frames) == b"ABC"
    finally:
        del families["upper"]


def test_marks() -> None:
    assert to_serialize is Serialize
    assert deserialize(*serialize(Serialize([1]))) == [1]
    assert deserialize(*serialize(Serialized.of([2]))) == [2]


def test_bytes_that_are_none_of_ours_are_named() -> None:
    for bad in (b"", b"abc", serialize_bytes([1])[:-1], b"\xff" * 100):
        with pytest.raises(ValueError, match="serialize_bytes"):
            deserialize_bytes(bad)


def test_what_cannot_be_pickled_is_named() -> None:
    import threading

    with pytest.raises(TypeError, match=r"cannot pickle builtins.list object: .*lock"):
        dumps([threading.Lock()])
