"""The store: least recently used, to disk and back, and what a disk can do wrong."""

from __future__ import annotations

import errno
import logging
import os
import stat
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.worker.store import Store
from shoal.worker.store.spill import SpillFolder


class Stubborn:
    def __reduce__(self) -> Any:
        raise TypeError("not me")


@pytest.fixture
def store(tmp_path: Path) -> Any:
    store = Store(str(tmp_path))
    yield store
    store.close()
    assert list(tmp_path.iterdir()) == []


def files(tmp_path: Path) -> list[Path]:
    return [path for path in tmp_path.rglob("*") if path.is_file()]


def test_values_are_kept_counted_and_dropped() -> None:
    store = Store()
    store.put("x", "value", 10)
    store.put("y", 2, 5)
    store.put("x", "other", 20)
    assert store.get_many(["y", "x"]) == [2, "other"]
    assert (store.memory_bytes, len(store), sorted(store)) == (25, 2, ["x", "y"])
    assert store.pop("x")
    assert not store.pop("x")
    assert "x" not in store
    assert store.memory_bytes == 5


def test_many_at_once() -> None:
    store = Store()
    for key in "abc":
        store.put(key, key.encode())
    assert store.nbytes("a") == 1
    assert store.nbytes("z") == 0
    assert store.get_present(["a", "z", "b"]) == {"a": b"a", "b": b"b"}
    store.drop(["a", "z"])
    assert sorted(store.keys()) == ["b", "c"]
    assert store.memory_bytes == 2


def test_all_missing_keys_are_named() -> None:
    store = Store()
    store.put("x", 1, 1)
    with pytest.raises(KeyError) as caught:
        store.get_many(["a", "x", "b"])
    assert caught.value.args == ("a", "b")


def test_the_least_recently_used_goes_to_disk_and_comes_back(store: Store, tmp_path: Path) -> None:
    for key in "abc":
        store.put(key, key * 3, 10)
    store.get("a")
    assert store.evict(15) == 20
    assert [store.is_on_disk(key) for key in "abc"] == [False, True, True]
    assert store.memory_bytes == 10
    assert store.disk_bytes == sum(path.stat().st_size for path in files(tmp_path)) > 0
    assert store.get("b") == "bbb"
    assert not store.is_on_disk("b")
    assert store.memory_bytes == 20


def test_arrays_survive_and_can_be_written_to(store: Store) -> None:
    array = np.arange(50_000.0)
    store.put("x", {"array": array, "small": np.ones(3)}, array.nbytes)
    store.evict(1)
    value = store.get("x")
    assert (value["array"] == array).all()
    value["array"][0] = 5


def test_a_value_that_was_read_back_is_not_written_again(store: Store, tmp_path: Path) -> None:
    store.put("x", b"x" * 100_000, 100_000)
    store.evict(1)
    [file] = files(tmp_path)
    before = file.stat().st_mtime_ns
    store.get("x")
    store.evict(1)
    assert [path.stat().st_mtime_ns for path in files(tmp_path)] == [before]
    store.pop("x")
    assert files(tmp_path) == []
    assert store.disk_bytes == store.memory_bytes == 0


@pytest.mark.skipif(os.name != "posix", reason="modes of files")
def test_files_are_private(store: Store, tmp_path: Path) -> None:
    store.put("x", 1, 1)
    store.evict(1)
    [file] = files(tmp_path)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert file.parent.name.startswith("storage-")


def told(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Return the records, each once.

    While a local cluster is open, shoal's logger hands its records to the root's handlers and
    does not propagate; pytest 9.2 listens at the root and at loggers that do not propagate.
    """
    return list({id(record): record for record in caplog.records}.values())


def test_what_cannot_be_pickled_stays(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    store.put("x", Stubborn(), 10)
    store.put("y", Stubborn(), 10)
    store.put("z", 1, 10)
    assert store.evict(30) == 10
    assert store.evict(30) == 0
    assert len(told(caplog)) == 1
    assert "'x' cannot be spilled" in caplog.text
    assert isinstance(store.get("x"), Stubborn)


def test_fixed_values_stay(store: Store) -> None:
    store.put("actor", [], 10, fixed=True)
    assert store.evict(10) == 0


def test_a_full_disk_is_warned_of_once(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    store.put("x", 1, 10)
    with monkeypatch.context() as patch:
        patch.setattr(SpillFolder, "write", full)
        assert store.evict(10) == store.evict(10) == 0
    assert [record.levelno for record in told(caplog)] == [logging.WARNING]
    assert "No space left" in caplog.text
    assert store.get("x") == 1
    assert store.evict(10) == 10


def test_a_failed_write_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(file: Any, data: memoryview) -> None:
        file.write(data[:1])
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr("shoal.worker.store.spill._write", broken)
    with pytest.raises(OSError, match="full"):
        SpillFolder(str(tmp_path)).write(1)
    assert files(tmp_path) == []


def test_no_more_than_max_spill_goes_to_disk(tmp_path: Path) -> None:
    store = Store(str(tmp_path), max_spill=1000)
    for i in range(5):
        store.put(f"x{i}", b"x" * 400, 400)
    assert store.evict(2000) == 800
    store.close()


@pytest.mark.parametrize("damage", ["cut", "gone", "other", "length", "count"])
def test_an_unreadable_file_is_a_loss(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    lost: list[str] = []
    store = Store(str(tmp_path), on_lost=lambda keys, reason: lost.extend(keys))
    store.put("x", b"x" * 1000, 1000)
    store.put("y", 1, 1)
    store.evict(1000)
    [file] = files(tmp_path)
    content = file.read_bytes()
    match damage:
        case "cut":
            file.write_bytes(content[:-10])
        case "gone":
            file.unlink()
        case "other":
            file.write_bytes(b"something else altogether")
        case "count":
            file.write_bytes(content[:8] + b"\xff" * 4 + content[12:])
        case "length":
            file.write_bytes(content[:12] + b"\xff" * 8 + content[20:])
    with pytest.raises(KeyError) as caught:
        store.get_many(["y", "x"])
    assert caught.value.args == ("x",)
    assert lost == ["x"]
    assert "x" not in store
    assert store.disk_bytes == 0
    store.close()


def test_threads_share_one_object(store: Store) -> None:
    store.put("x", list(range(1000)), 1)
    found: list[int] = []

    def read() -> None:
        for _ in range(50):
            store.evict(1)
            value = store.get("x")
            assert value[-1] == 999
        found.append(len(value))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == [1000] * 4


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["put", "get", "pop", "evict"]),
        st.sampled_from("abcde"),
        st.integers(0, 30),
    )
)


@settings(max_examples=50, deadline=None)
@given(ACTIONS)
def test_it_is_a_dict_with_sums(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[str, str, int]]
) -> None:
    folder = tmp_path_factory.mktemp("store")
    store = Store(str(folder))
    model: dict[str, int] = {}
    for action, key, number in actions:
        if action == "put":
            store.put(key, number, number)
            model[key] = number
        elif action == "get" and key in model:
            assert store.get(key) == model[key]
        elif action == "pop":
            assert store.pop(key) == (model.pop(key, None) is not None)
        elif action == "evict":
            store.evict(number)
        in_memory = [k for k in model if not store.is_on_disk(k)]
        assert store.memory_bytes == sum(model[k] for k in in_memory)
        assert store.disk_bytes == sum(path.stat().st_size for path in files(folder))
        assert set(store) == set(model)
    store.close()
    assert files(folder) == []


def test_what_is_in_use_stays_and_what_is_spared_goes_last(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    for key in "abcd":
        store.put(key, key, 10)
    done = store.spill(15, frozenset("a"), ["d", "b"])
    assert (done.freed, done.keys, done.reason) == (20, ["c", "d"], "")
    assert store.spill(100, frozenset("a"), ["b"]).keys == ["b"]
    assert store.spill(100, frozenset("a")).freed == 0


class Used:
    at_work: Any = None

    def __reduce__(self) -> tuple[type, tuple[()]]:
        Used.at_work()
        return (Used, ())


def test_what_is_used_while_it_is_written_stays(tmp_path: Path) -> None:
    store = Store(str(tmp_path))

    Used.at_work = lambda: store.get("used")  # as a run that begins now
    store.put("used", Used(), 10)
    assert store.spill(10).freed == 0
    assert not store.is_on_disk("used") and store.memory_bytes == 10
    assert store.disk_bytes > 0  # next time nothing need be written


def test_what_peers_get_is_not_read_back_into_memory(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.put("x", [1], 10)
    store.put("y", [2], 10)
    store.spill(10)
    assert store.peek_many(["x", "y"]) == [[1], [2]]
    assert store.is_on_disk("x") and store.memory_bytes == 10
    with pytest.raises(KeyError, match="z"):
        store.peek_many(["x", "z"])


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(str(tmp_path), max_spill=5)
    store.put("x", "x" * 100, 100)
    assert "not more than 5 bytes" in store.spill(100).reason
