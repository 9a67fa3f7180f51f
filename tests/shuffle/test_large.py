"""A partition or a side of a join that is long beside the worker's limit lies in a file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

np: Any = pytest.importorskip("numpy")
pd: Any = pytest.importorskip("pandas")
pa: Any = pytest.importorskip("pyarrow")
pytest.importorskip("dask.dataframe")

from shoal import task_context  # noqa: E402
from shoal.shuffle import joining, large, strings  # noqa: E402
from shoal.shuffle.frames import join_frames, split_frame  # noqa: E402
from shoal.shuffle.joining import join_sides  # noqa: E402
from shoal.shuffle.reading import Piece, read_parts  # noqa: E402
from shoal.wire import pickling  # noqa: E402
from shoal.worker.store import Store  # noqa: E402

_current: Any = task_context.current


class _Worker:
    """As much of a worker as is asked for what is large."""

    def __init__(self, folder: Path, limit: int) -> None:
        self.local_directory = str(folder)
        self.memory_limit = limit


class _Context:
    def __init__(self, worker: _Worker) -> None:
        self.worker = worker


@pytest.fixture
def small_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Worker]:
    """Have 10,000 bytes be large."""
    monkeypatch.setattr(pickling, "_reducers", dict(pickling._reducers))
    worker = _Worker(tmp_path, 40_000)
    token = _current.set(_Context(worker))
    yield worker
    _current.reset(token)


def _pieces(frames: list[Any]) -> list[Piece]:
    values = [split_frame(frame.assign(p=0), "p", 1) for frame in frames]
    return read_parts(values, [(0, 1)] * len(values))


def _frame(i: int, rows: int = 500) -> Any:
    rng = np.random.default_rng(i)
    words = [None if n % 7 == 3 else f"{i}:" + "ä" * (n % 9) for n in range(rows)]
    return pd.DataFrame(
        {
            "k": rng.integers(0, 4, rows),
            "x": rng.random(rows),
            "word": pd.Series(words, dtype="str"),
            "plain": pd.Series([str(n) for n in range(rows)], dtype="str"),
            "lists": pd.array(
                [[n] for n in range(rows)], dtype=pd.ArrowDtype(pa.list_(pa.int64()))
            ),
        }
    )


def _mapped() -> int:
    """Return how many files without a name this process has mapped."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return sum("(deleted)" in line and "memfd" not in line for line in lines)


@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="looks at the process's mappings")
def test_a_long_partition_lies_in_a_file_and_is_the_same(small_worker: _Worker) -> None:
    frames = [_frame(i) for i in range(6)]
    before = _mapped()
    found = join_frames(_pieces(frames), frames[0])
    assert _mapped() - before >= 3  # numbers, batches, ends and letters of words
    pd.testing.assert_frame_equal(found, pd.concat(frames))
    assert found.word.array._pa_array.num_chunks == 1
    found.loc[0, "x"] = -1.0  # it can be written to
    assert not os.listdir(small_worker.local_directory)
    del found
    assert _mapped() == before


def test_a_short_one_is_in_memory(small_worker: _Worker) -> None:
    small_worker.memory_limit = 100_000_000
    frames = [_frame(i) for i in range(2)]
    pd.testing.assert_frame_equal(join_frames(_pieces(frames), frames[0]), pd.concat(frames))
    assert not large.is_large(1000)


def test_a_full_disk_is_found_out_before_it_is_used(
    small_worker: _Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, nbytes: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(large, "_reserve", full)
    room = large.room(20_000)
    room[:] = 1
    assert room.sum() == 20_000


def test_words_are_pickled_without_a_copy_once_some_were_large(small_worker: _Worker) -> None:
    frames = [_frame(i, 4000) for i in range(3)]
    word = join_frames(_pieces(frames), frames[0]).word.array
    letters = word._pa_array.chunks[0].buffers()[2]
    blob = pickling.dumps(word, small=1000)
    assert any(
        np.frombuffer(buffer.data, "u1").ctypes.data == letters.address for buffer in blob.buffers
    )
    loads: Any = pickling.loads
    assert (loads(blob) == word)[~word.isna()].all()
    few = word[5:9]  # not all of them
    assert pickling.dumps(few).nbytes() < 2000
    assert (loads(pickling.dumps(few)) == few)[~few.isna()].all()


@pytest.mark.parametrize("kind", ["string", "binary", "large_string"])
def test_words_of_all_kinds_are_joined(small_worker: _Worker, kind: str) -> None:
    chunks: list[list[Any]] = [["a", None, "bcd"], [], ["", "e"]]
    values = [
        pa.array(chunk if "string" in kind else [c and c.encode() for c in chunk], kind)
        for chunk in chunks
    ]
    column = pa.chunked_array([values[0][1:], *values[1:]])
    found = strings.join_in_file(column)
    assert found.num_chunks == 1
    assert found.equals(column)
    numbers = pa.chunked_array([[1], [2]])
    assert strings.join_in_file(numbers) is numbers


@pytest.mark.parametrize(
    ("how", "long"),
    [("inner", 0), ("left", 0), ("inner", 1), ("right", 1), ("outer", 0), ("left", 1)],
)
def test_a_long_side_is_joined_in_slices(
    small_worker: _Worker, how: str, long: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [_frame(i)[["k", "x", "word"]] for i in range(5)]
    few = pd.DataFrame({"k": [0, 1, 1, 9], "y": [0.5, 1.5, 2.5, 9.5]})
    sides = [many, [few]] if long == 0 else [[few], many]
    calls: list[int] = []

    def merge(left: Any, right: Any) -> Any:
        calls.append(len(left))
        return left.merge(right, how=how, on="k")

    metas = sides[0][0], sides[1][0]
    found = join_sides(merge, how, _pieces(sides[0]), _pieces(sides[1]), metas, False)
    sliced = (how, long) in (("inner", 0), ("left", 0), ("inner", 1), ("right", 1))
    assert (len(calls) > 5) == sliced
    right = merge(pd.concat(sides[0]), pd.concat(sides[1]))
    by = list(right.columns)
    assert list(found.index) == list(range(len(right)))
    if (how, long) == ("inner", 1):  # the order is that of the slices
        found, right = found.sort_values(by), right.sort_values(by)
        found, right = found.reset_index(drop=True), right.reset_index(drop=True)
    pd.testing.assert_frame_equal(found, right)


def test_a_join_without_rows(small_worker: _Worker) -> None:
    many = [_frame(i)[["k", "x"]] for i in range(5)]
    few = pd.DataFrame({"k": [77], "y": [0.5]})

    def merge(left: Any, right: Any) -> Any:
        return left.merge(right, on="k")

    found = join_sides(merge, "inner", _pieces(many), _pieces([few]), (many[0], few), False)
    assert len(found) == 0
    assert list(found.columns) == ["k", "x", "y"]


def test_what_is_long_is_mapped_from_its_spill_file(tmp_path: Path) -> None:
    store = Store(str(tmp_path), map_from=80_000)
    try:
        for key, rows in (("long", 20_000), ("short", 1000)):
            store.put(key, np.arange(rows, dtype="f8"))
        store.spill(10**9)
        assert store.memory_bytes == 0
        long, short = store.get("long"), store.get("short")
        assert _root(long) == "mmap"
        assert _root(short) != "mmap"
        long[0] = 5.0  # in a copy of that page
        store.spill(10**9)
        assert store.get("long")[:2].tolist() == [0.0, 1.0]
    finally:
        store.close()


def _root(array: Any) -> str:
    """Return the type of what an array's memory belongs to."""
    base = array
    while True:
        if isinstance(base, memoryview):
            base = base.obj
        elif getattr(base, "base", None) is not None:
            base = base.base
        else:
            return type(base).__name__


def test_slices_of_one_long_input(small_worker: _Worker) -> None:
    whole = _frame(0, 3000)
    slices = list(joining._slices(_pieces([whole]), whole))
    assert len(slices) > 4
    pd.testing.assert_frame_equal(pd.concat(slices), whole)
