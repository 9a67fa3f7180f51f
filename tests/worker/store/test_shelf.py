"""The shelf: limits of bytes and files; copies go with their values, first when memory is short."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.shared_memory import SharedBlob, borrow
from shoal.wire.pickling import dumps
from shoal.worker.store import Store
from shoal.worker.store.shelf import Shelf

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux only")

SIZE = 100_000


class Fake:
    """As a `SharedBlob`, without memory."""

    def __init__(self, nbytes: int, files: int) -> None:
        self.nbytes, self.files, self.closed = nbytes, files, False

    def close(self) -> None:
        assert not self.closed
        self.closed = True


def blob() -> SharedBlob:
    return SharedBlob.write(dumps(np.ones(SIZE, "u1")))


STEPS = st.tuples(
    st.sampled_from(["own", "borrowed", "get", "drop", "shrink"]),
    st.sampled_from("abcdef"),
    st.integers(0, 60),
    st.integers(1, 3),
)


@given(steps=st.lists(STEPS, max_size=40))
@settings(deadline=None)
def test_limits_hold_and_all_that_leaves_is_closed(steps: list[Any]) -> None:
    shelf = Shelf(max_bytes=100, max_files=6)
    made: list[Any] = []
    own: set[Any] = set()
    for what, key, nbytes, files in steps:
        if what in ("own", "borrowed"):
            made.append(Fake(nbytes, files))
            if what == "own":
                own.add(made[-1])
            shelf.put(key, made[-1], own=what == "own")
            assert shelf.get(key) is made[-1]  # nothing makes room for itself
        elif what == "get":
            found = shelf.get(key)
            assert found is None or list(shelf.blobs)[-1] == key
        elif what == "drop":
            shelf.drop(key)
            assert shelf.get(key) is None
        else:
            shelf.shrink(nbytes)
        there = list(shelf.blobs.values())
        assert shelf.own_bytes == sum(b.nbytes for b in there if b in own) <= 100
        assert sum(b.files for b in there) <= 6
        assert all(b.closed == (b not in there) for b in made)
    shelf.close()
    assert all(b.closed for b in made) and shelf.own_bytes == 0


def test_files_are_limited_by_what_the_process_may_open() -> None:
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert 1 <= Shelf(1).max_files < soft


def test_a_copy_goes_with_its_value(tmp_path: Path) -> None:
    store = Store(str(tmp_path), max_shared=10 * SIZE)
    for leave in (
        lambda: store.pop("x"),
        lambda: store.drop(["x"]),
        lambda: store.put("x", 1),
        lambda: store.evict(10**9) and store.pop("x"),
        lambda: store.close(),
    ):
        value = np.ones(SIZE, "u1")
        store.put("x", value)
        store.share("x", value, blob(), own=True)
        copy = store.shared("x")
        assert copy is not None and store.shared_bytes == SIZE
        reference = copy.reference()
        leave()
        assert store.shared("x") is None and store.shared_bytes == 0
        assert borrow({"x": reference})[1] == ["x"]


def test_when_memory_is_short_copies_go_before_values(tmp_path: Path) -> None:
    store = Store(str(tmp_path), max_shared=10 * SIZE)
    for key in "ab":
        value = np.ones(SIZE, "u1")
        store.put(key, value)
        store.share(key, value, blob(), own=True)
    value = np.ones(SIZE, "u1")
    store.put("c", value)
    store.share("c", value, blob(), own=False)  # our value is that memory: nothing is gained
    assert store.evict(1) == SIZE
    assert store.shared("a") is None and store.shared("b") is not None
    assert store.evict(SIZE + 1) >= SIZE + 1
    assert store.shared("b") is None and store.shared("c") is not None
    assert store.is_on_disk("a") and not store.is_on_disk("b")
    store.close()


def test_a_value_on_disk_is_not_in_shared_memory(tmp_path: Path) -> None:
    store = Store(str(tmp_path), max_shared=10 * SIZE)
    value = np.ones(SIZE, "u1")
    store.put("x", value)
    store.share("x", value, blob(), own=False)
    store.evict(SIZE)
    assert store.is_on_disk("x") and store.shared("x") is None
    store.close()


def test_a_copy_of_what_is_not_there_any_more_is_closed() -> None:
    store = Store(max_shared=10 * SIZE)
    value = np.ones(SIZE, "u1")
    for put in (None, np.zeros(SIZE, "u1")):
        if put is not None:
            store.put("x", put)
        late = blob()
        store.share("x", value, late, own=True)
        assert store.shared("x") is None
        with pytest.raises(ValueError, match="closed"):
            late.reference()
    store.close()


def test_what_is_too_large_or_fixed_is_not_shareable() -> None:
    store = Store(max_shared=SIZE)
    store.put("large", 1, SIZE + 1)
    store.put("actor", 1, 10, fixed=True)
    store.put("good", 1, SIZE)
    assert store.shareable("good") == 1
    for key in ("large", "actor", "absent"):
        with pytest.raises(KeyError):
            store.shareable(key)
