"""Values in parts: in memory, in shared memory, pickled, and in a spill file."""

from __future__ import annotations

import gc
import pickle
from pathlib import Path

import pytest

from shoal.shared_memory import host_identity
from shoal.shared_memory.host import AVAILABLE
from shoal.shuffle.partitioned import Partitioned, born
from shoal.shuffle.reading import read_parts
from shoal.wire.pickling import dumps, loads
from shoal.worker.store import Store

LARGE = 300_000


def value(size: int = 10) -> Partitioned:
    """Three parts; the second is empty, the third has two chunks of other heads."""
    parts = [[(size, 0, 7)], [], [(size, 0, 8), (2 * size, 1, 9)]]
    pieces = [b"a" * size, b"b" * size, b"c" * (2 * size)]
    return Partitioned.write([b"head", b"other"], parts, pieces)


def contents(partitioned: Partitioned, part: int) -> list[tuple[bytes, bytes, int]]:
    found = []
    for piece in read_parts([partitioned], [(part, part + 1)]):
        data = bytearray(piece.chunk[0])
        half = len(data) // 2
        piece.read_into([memoryview(data)[:half], memoryview(data)[half:]])
        found.append((piece.head, bytes(data[:1] + data[-1:]), piece.chunk[2]))
    return found


EXPECTED = [
    [(b"head", b"aa", 7)],
    [],
    [(b"head", b"bb", 8), (b"other", b"cc", 9)],
]


@pytest.mark.parametrize("size", [10, LARGE, 5_000_000])
def test_parts_come_out_as_they_went_in(size: int) -> None:
    made = value(size)
    assert [contents(made, i) for i in range(3)] == EXPECTED
    assert made.nbytes == 4 * size + len(b"headother")
    copy = pickle.loads(pickle.dumps(made, 5))
    assert [contents(copy, i) for i in range(3)] == EXPECTED
    copy = loads(dumps(made))
    assert [contents(copy, i) for i in range(3)] == EXPECTED


@pytest.mark.skipif(not AVAILABLE, reason="this system does not share memory")
def test_large_ones_are_born_in_shared_memory_and_counted() -> None:
    before = (born.hidden, born.files)
    small, large = value(), value(LARGE)
    assert small.reference() is None
    reference = large.reference()
    assert reference is not None
    assert born.hidden - before[0] >= large.nbytes and born.files > before[1]
    assert host_identity() is not None
    del large
    gc.collect()
    assert (born.hidden, born.files) == before


@pytest.mark.parametrize("size", [10, LARGE])
def test_spilled_ones_are_read_from_their_file(tmp_path: Path, size: int) -> None:
    store = Store(str(tmp_path))
    store.put("x", value(size))
    assert store.evict(10**9) > 0
    assert store.is_on_disk("x")
    found = store.in_place("x")
    assert found is not None
    spilled, file = found
    assert store.is_on_disk("x")  # nothing was brought back
    assert [contents(spilled, i) for i in range(3)] == EXPECTED
    if file is None:
        assert size == 10  # it is in the pickle
    else:
        path, offset = file
        start, stop = spilled.place(0, 1)
        assert Path(path).read_bytes()[offset + start : offset + stop] == b"a" * size
    assert store.in_place("y") is None
    store.close()


def test_parts_that_are_not_there() -> None:
    made = value()
    with pytest.raises(ValueError, match="have 104 bytes, and have 9"):
        Partitioned.write([b"head"], [[(100, 0)]], [b"short"])
    assert contents(made, 0) == EXPECTED[0]
