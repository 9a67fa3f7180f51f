"""Shared copies: limits of bytes and files; they go with their values, first when memory is low."""

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
from shoal.worker.store.shared_copies import SharedCopyCache

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux only")

SIZE = 25 * 4096


class Fake:
    """As a `SharedBlob`, without memory."""

    def __init__(self, nbytes: int, files: int) -> None:
        self.nbytes, self.hidden, self.files, self.closed = nbytes, nbytes, files, False

    def close(self, *, reuse: bool = True) -> None:
        assert not self.closed
        self.closed = True


class FakePool:
    """As a `Pool`, of one size."""

    def __init__(self) -> None:
        self.nbytes = self.hidden = self.files = 0

    def shrink(self, nbytes: int) -> int:
        freed = max(0, min(nbytes, self.nbytes))
        self.nbytes = self.hidden = self.nbytes - freed
        return freed

    def limit_files(self, most: int) -> None:
        self.files = min(self.files, max(0, most))

    def close(self) -> None:
        self.nbytes = self.hidden = self.files = 0


def blob(store: Store | None = None) -> SharedBlob:
    pool = None if store is None else store.pool
    return SharedBlob.write(dumps(np.ones(SIZE, "u1")), pool)


STEPS = st.tuples(
    st.sampled_from(["own", "borrowed", "get", "drop", "shrink", "room", "pool"]),
    st.sampled_from("abcdef"),
    st.integers(0, 60),
    st.integers(1, 3),
)


@given(steps=st.lists(STEPS, max_size=40))
@settings(deadline=None)
def test_limits_hold_and_all_that_leaves_is_closed(steps: list[Any]) -> None:
    pool: Any = FakePool()
    cache = SharedCopyCache(max_bytes=100, max_files=6, pool=pool)
    made: list[Any] = []
    own: set[Any] = set()
    for what, key, nbytes, files in steps:
        if what in ("own", "borrowed"):
            made.append(Fake(nbytes, files))
            if what == "own":
                own.add(made[-1])
            cache.put(key, made[-1], own=what == "own")
            assert cache.get(key) is made[-1]  # nothing makes room for itself
        elif what == "get":
            found = cache.get(key)
            assert found is None or list(cache.blobs)[-1] == key
        elif what == "drop":
            cache.drop(key)
            assert cache.get(key) is None
        elif what == "room":
            cache.make_room(nbytes)
            assert cache.own_bytes + nbytes <= 100
        elif what == "pool":  # what others gave it; the cache sees to its limits at the next copy
            pool.nbytes, pool.files = pool.nbytes + nbytes, pool.files + files
            continue
        else:
            before = pool.nbytes, cache.own_bytes
            assert cache.shrink(nbytes) >= min(nbytes, sum(before))
            assert cache.own_bytes == before[1] or pool.nbytes == 0  # the pool goes first
        there = list(cache.blobs.values())
        assert cache.own_bytes == sum(b.nbytes for b in there if b in own) <= 100
        assert sum(b.files for b in there) <= 6
        assert cache.hidden == cache.own_bytes + pool.hidden
        if what in ("own", "borrowed"):
            assert cache.own_bytes + pool.nbytes <= 100
            assert sum(b.files for b in there) + pool.files <= 6
        assert all(b.closed == (b not in there) for b in made)
    cache.close()
    assert all(b.closed for b in made) and cache.own_bytes == 0


def test_files_are_limited_by_what_the_process_may_open() -> None:
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert 1 <= SharedCopyCache(1).max_files < soft


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


def test_the_memory_of_a_copy_is_kept_for_the_next_and_counted() -> None:
    store = Store(max_shared=10 * SIZE)
    for turn in range(3):
        value = np.full(SIZE, turn, "u1")
        store.put("x", value)
        store.share("x", value, blob(store), own=True)
        # Once written through a mapping it is memory that the system counts by itself.
        assert store.shared_bytes == (0 if turn else SIZE) and store.pool.nbytes == 0
        store.pop("x")
        assert store.shared_bytes == (0 if turn else SIZE) and store.pool.nbytes == SIZE
    store.close()
    assert store.pool.nbytes == 0


def test_pool_and_copies_together_keep_their_limit() -> None:
    store = Store(max_shared=4 * SIZE)
    for key in "abcdef":
        value = np.ones(SIZE, "u1")
        store.put(key, value)
        store.make_room_for_copy(SIZE)
        store.share(key, value, blob(store), own=True)
        if key == "b":
            store.pop("a")
    # The oldest left its memory to the last.
    assert [key for key in "abcdef" if store.shared(key)] == ["c", "d", "e", "f"]
    assert store.pool.nbytes == 0
    store.drop("cdef")
    assert store.pool.nbytes == 2 * SIZE  # half of what copies may take
    store.close()


def test_when_memory_is_short_the_pool_goes_before_copies() -> None:
    store = Store(max_shared=10 * SIZE)
    values = {key: np.ones(SIZE, "u1") for key in "abc"}
    for key, value in values.items():
        store.put(key, value)
        store.share(key, value, blob(store), own=True)
    store.drop("a")
    assert store.pool.nbytes == SIZE
    assert store.evict(1) == SIZE
    assert store.pool.nbytes == 0 and store.shared("b") and store.shared("c")
    store.drop("b")
    assert store.evict(2 * SIZE) == 2 * SIZE  # and what leaves then is not kept
    assert store.shared_bytes == store.pool.nbytes == 0 and store.shared("c") is None
    store.close()


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
