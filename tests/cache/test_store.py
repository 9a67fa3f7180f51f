"""A store gives back what was put, whole or not at all; what fails harms nobody."""

from __future__ import annotations

import logging
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import wait_until

from shoal import Store
from shoal.cache import packs
from shoal.cache import store as module
from shoal.cache.entries import BadEntry, pack_entry, unpack_entry
from shoal.cache.folders import LocalFolder
from shoal.cache.packs import entries_of, join

LARGE = np.arange(100_000)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "kept")


def anew(store: Store) -> Store:
    """The same, as another process sees it."""
    module._backends.clear()
    return Store(store.url, version=store.version, expire=store.expire)


@pytest.mark.parametrize("value", [1, None, "text", {"a": [1, 2]}, LARGE, b"x" * 200_000])
def test_values_come_back_in_another_process(store: Store, value: Any) -> None:
    store.put("aa", value, "f")
    store.flush()
    found = anew(store).get("aa")
    assert type(found) is type(value)
    assert np.array_equal(found, value) if value is LARGE else found == value
    if value is LARGE:
        found += 1  # it is the reader's own


def test_what_is_not_there_is_the_default(store: Store) -> None:
    assert store.get("aa") is None and store.get("aa", 5) == 5 and "aa" not in store
    store.put("aa", None)
    assert "aa" in store


def test_small_ones_are_together_and_large_ones_alone(store: Store) -> None:
    for i in range(1000):
        store.put(f"{i:040}", i, "small")
    store.put("large", LARGE, "large")
    store.flush()
    folder = LocalFolder(store.url)
    assert len(list(folder.names("packs"))) == 1
    assert len(list(folder.names("objects"))) == 1
    other = anew(store)
    assert [other.get(f"{i:040}") for i in range(1000)] == list(range(1000))


def test_small_ones_are_written_soon(store: Store) -> None:
    store.put("aa", 1)
    wait_until(lambda: list(LocalFolder(store.url).names("packs")))


def test_when_a_process_ends_what_waits_is_written(tmp_path: Path) -> None:
    program = f"from shoal import Store; Store({str(tmp_path)!r}).put('aa', 7)"
    subprocess.run([sys.executable, "-c", program], check=True)
    assert Store(tmp_path).get("aa") == 7


def test_what_others_write_is_seen_after_a_moment(store: Store) -> None:
    assert store.get("bb") is None
    folder = LocalFolder(store.url)
    entry = bytes(pack_entry("bb", "f", "", time.time(), 5))
    folder.write("packs/00000000000000000001-x.pack", join({"bb": entry}))
    assert wait_until(lambda: store.get("bb")) == 5


@pytest.mark.parametrize("where", ["objects", "packs"])
def test_nothing_torn_is_ever_read(store: Store, where: str, caplog: Any) -> None:
    """Whatever is left of a file, or changed in it: the value as it was, or none."""
    store.put("aa", LARGE if where == "objects" else 12345)
    store.flush()
    [name] = LocalFolder(store.url).names(where)
    path = Path(store.url) / name
    whole = path.read_bytes()
    cuts = [*range(min(len(whole), 300)), len(whole) // 2, len(whole) - 1]
    caplog.set_level(logging.ERROR)
    for end in cuts:
        path.write_bytes(whole[:end])
        assert anew(store).get("aa") is None, end
    for at in [*range(0, min(len(whole), 300), 7), len(whole) - 1]:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        found = anew(store).get("aa")
        assert found is None or np.array_equal(found, LARGE if where == "objects" else 12345), at
    path.write_bytes(whole)
    assert anew(store).get("aa") is not None


def test_what_was_not_finished_does_not_show(store: Store, monkeypatch: Any) -> None:
    def fail(*args: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError):
        store.put("aa", LARGE)
    monkeypatch.undo()
    assert list(store.ls()) == [] and not any(Path(store.url).rglob("*.part-*"))
    part = Path(store.url) / "objects" / "aa" / "aa.part-of-one-that-was-killed"
    part.parent.mkdir(parents=True, exist_ok=True)
    part.write_bytes(b"half")
    assert list(store.ls()) == [] and store.verify() == []


def test_an_entry_under_a_wrong_name_is_not_read(store: Store) -> None:
    store.put("aa", LARGE)
    [name] = LocalFolder(store.url).names("objects")
    (Path(store.url) / "objects" / "bb").mkdir()
    os.rename(Path(store.url) / name, Path(store.url) / "objects" / "bb" / "bb")
    assert store.get("bb") is None


def test_a_version_and_an_age(tmp_path: Path, monkeypatch: Any) -> None:
    Store(tmp_path).put("aa", 1)
    assert Store(tmp_path, expire="1 hour").get("aa") == 1
    now = time.time()
    monkeypatch.setattr(module.time, "time", lambda: now + 7200)
    assert Store(tmp_path, expire="1 hour").get("aa") is None
    assert Store(tmp_path, expire="3 hours").get("aa") == 1


def test_list_and_drop(store: Store, monkeypatch: Any) -> None:
    for i in range(5):
        store.put(f"s{i}", i, "small")
    store.put("big", LARGE, "large")
    assert sorted(entry.name for entry in store.ls()) == ["big", "s0", "s1", "s2", "s3", "s4"]
    [large] = store.ls("large")
    assert large.nbytes >= LARGE.nbytes and large.function == "large"
    assert store.rm("s2") == 1
    assert [anew(store).get(f"s{i}") for i in range(5)] == [0, 1, None, 3, 4]
    assert store.rm(older="1 hour") == 0
    assert store.rm(function="small") == 4
    assert [entry.name for entry in store.ls()] == ["big"]
    assert store.rm() == 1 and list(store.ls()) == []


def test_verify_finds_and_drops_what_is_damaged(store: Store) -> None:
    store.put("good", LARGE)
    store.put("bad", LARGE)
    store.put("small", 1)
    assert store.verify() == []
    path = Path(store.url) / "objects" / "ba" / "bad"
    path.write_bytes(path.read_bytes()[:-1])
    assert store.verify() == ["objects/ba/bad"]
    assert store.verify(remove=True) == ["objects/ba/bad"]
    assert sorted(entry.name for entry in store.ls()) == ["good", "small"]
    assert store.verify() == []


def test_a_store_that_fails_is_told_of_once_and_left_alone(tmp_path: Path, caplog: Any) -> None:
    file = tmp_path / "file"
    file.write_text("no folder")
    store = Store(file / "below")
    for _ in range(5):
        store.try_put("aa", LARGE)
        assert store.try_get("aa") is module.MISSING
    said = [record for record in caplog.records if record.name == "shoal.cache"]
    assert len(said) == 1 and str(file) in said[0].getMessage()
    with pytest.raises(OSError):
        store.put("aa", LARGE)


def test_a_value_that_cannot_be_pickled_is_not_kept(store: Store, caplog: Any) -> None:
    store.try_put("aa", iter_forever())
    assert store.get("aa") is None
    assert "not kept" in caplog.text


def iter_forever() -> Iterator[int]:
    yield 1


def test_many_small_packs_and_a_pack_that_is_gone(store: Store) -> None:
    for i in range(5):
        store.put(f"s{i}", i)
        store.flush()
    other = anew(store)
    assert [other.get(f"s{i}") for i in range(5)] == list(range(5))
    for name in list(LocalFolder(store.url).names("packs")):
        LocalFolder(store.url).remove(name)
    fresh = anew(store)
    assert fresh.get("s1") is None


def test_little_of_packs_is_kept_in_memory(store: Store, monkeypatch: Any) -> None:
    monkeypatch.setattr(packs, "_KEPT_BYTES", 2000)
    for i in range(20):
        store.put(f"s{i}", "x" * 500)
        store.flush()
    other = anew(store)
    assert [len(other.get(f"s{i}")) for i in range(20)] == [500] * 20
    assert len(other._backend.reader._kept) < 6


def test_entries_and_packs_as_bytes() -> None:
    entry = bytes(pack_entry("aa", "f", "2", 5.0, [1, 2]))
    found, _ = unpack_entry(entry, "aa")
    assert (found.name, found.function, found.version, found.created) == ("aa", "f", "2", 5.0)
    with pytest.raises(BadEntry, match="of aa, not of bb"):
        unpack_entry(entry, "bb")
    assert set(entries_of(join({"aa": entry, "bb": entry}))) == {"aa", "bb"}
    assert entries_of(b"") == entries_of(b"x" * 100) == {}


def test_a_store_travels(store: Store) -> None:
    store.put("aa", 1)
    copy = pickle.loads(pickle.dumps(store))
    assert copy.url == store.url and copy.get("aa") == 1


def test_what_is_no_store_is_refused() -> None:
    with pytest.raises(TypeError, match="cache= takes"):
        module.store_of(5)
