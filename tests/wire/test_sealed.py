"""Values that each user gets a copy of."""

from __future__ import annotations

import operator
import pickle

import numpy as np
import pytest
from dask.sizeof import sizeof

from shoal.wire.blob import Blob, Buffer
from shoal.wire.pickling import dumps, dumps_bytes, loads, loads_bytes
from shoal.wire.placeholder import Dependency, OwnDependency, dependency_values
from shoal.wire.program import Program, Slot
from shoal.wire.sealed import Sealed, loads_own, loads_received


@pytest.mark.parametrize("size", [10, 100_000])
def test_each_opening_is_a_copy(size: int) -> None:
    value = np.arange(size)
    blob = dumps(Sealed(value))
    assert bool(blob.buffers) is (size > 10_000)
    sealed = loads(blob)
    first, second = sealed.open(), sealed.open()
    first[:] = -1
    assert (second == value).all() and (sealed.open() == value).all() and first.flags.writeable
    assert sizeof(sealed) >= value.nbytes


def test_what_was_never_sent_opens_as_well() -> None:
    value = [1]
    sealed = Sealed(value)
    sealed.open().append(2)
    assert sealed.open() == [1]
    again = pickle.loads(pickle.dumps(loads_bytes(dumps_bytes(sealed))))
    assert again.open() == [1]


@pytest.mark.parametrize("value", [np.ones(100_000), b"x" * 100_000, bytearray(100_000)])
def test_a_blob_can_be_opened_again_and_again(value: object) -> None:
    blob = dumps(value)
    first = loads_own(blob)
    if not isinstance(value, bytes):
        first[:10] = first[10:20] * 2
    assert np.array_equal(loads_own(blob), value)


def test_placeholders_of_sealed_values() -> None:
    data = dumps_bytes((OwnDependency(0), OwnDependency(0), Dependency(1)))
    values = [Sealed([1]), [2]]
    with dependency_values(values):
        one, same, other = loads_bytes(data)
    assert one == [1] and other is values[1]
    one.append(3)
    with dependency_values(values):
        assert loads_bytes(data)[0] == [1]
    assert loads_bytes(data) == (OwnDependency(0), OwnDependency(0), Dependency(1))
    assert OwnDependency(0) != Dependency(0) and same is not None


def test_a_program_has_its_own_constants_in_each_run() -> None:
    steps = [
        (operator.iadd, (Slot(1), Slot(0)), None, (0,)),
        (len, (Slot(2),), None, ()),
    ]
    program = loads_bytes(dumps_bytes(Program(steps, "len", Sealed(([1, 2],)))))
    assert [program([3]), program([4])] == [3, 3]


def test_only_memory_of_others_is_copied() -> None:
    value = np.arange(100_000)
    blob = dumps((1, value))
    loads_received(blob)[1][:] = -1
    assert value[5] == 5, "the sender's array was changed"
    memory = bytearray(value.tobytes())
    array = loads_received(Blob(blob.data, [Buffer(memoryview(memory))]))[1]
    array[0] = 7
    assert memory[0] == 7, "what came through a socket is not copied again"
