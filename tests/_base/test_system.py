"""Memory of the machine and of its workers."""

from __future__ import annotations

import psutil
import pytest

from shoal._base import system
from shoal._base.system import memory_available, parse_memory_limit

TOTAL = 8 * 2**30


@pytest.fixture
def _machine(monkeypatch):
    monkeypatch.setattr(system, "memory_available", lambda: TOTAL)


@pytest.mark.usefixtures("_machine")
@pytest.mark.parametrize(
    ("limit", "bytes_"),
    [
        ("auto", TOTAL // 2),
        ("1 GiB", 2**30),
        ("1GiB", 2**30),
        ("1e8", 10**8),
        ("100000000", 10**8),
        (10**8, 10**8),
        (1e8, 10**8),
        (0.25, TOTAL // 4),
        ("0.25", TOTAL // 4),
        (1.0, TOTAL),
        (0, None),
        ("0", None),
        (None, None),
        ("none", None),
        ("1 TB", TOTAL),
    ],
)
def test_limits(limit, bytes_):
    assert parse_memory_limit(limit, nthreads=2, total_cores=4) == bytes_


@pytest.mark.usefixtures("_machine")
def test_auto_is_never_more_than_there_is():
    assert parse_memory_limit("auto", nthreads=9, total_cores=4) == TOTAL


@pytest.mark.parametrize("limit", ["lots", "4 XB", -1, "-1 GB", float("inf"), "nan", "", [], True])
def test_bad_limits_are_named(limit):
    with pytest.raises(ValueError, match="is not a memory limit; give a size"):
        parse_memory_limit(limit, nthreads=1)


@pytest.mark.parametrize("limit", [1, 4, "4", "16", "31 MiB", 1e6])
def test_limits_that_no_worker_can_live_in_are_refused(limit):
    with pytest.raises(ValueError, match=r"in which no worker can live.*give the unit"):
        parse_memory_limit(limit, nthreads=1)


def test_memory_is_at_most_that_of_the_machine():
    assert 0 < memory_available() <= psutil.virtual_memory().total


@pytest.fixture
def _fresh():
    memory_available.cache_clear()
    yield
    memory_available.cache_clear()


@pytest.mark.usefixtures("_fresh")
@pytest.mark.parametrize(("group", "file"), [("/a/b", "a/b"), ("/a/b", "a"), ("/", "")])
def test_limits_of_containers_count(group, file, tmp_path, monkeypatch):
    own = tmp_path / "own"
    own.write_text(f"1:cpu:/x\n0::{group}\n")
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / file / "memory.max").write_text("123456\n")
    monkeypatch.setattr(system, "_OWN_CGROUP", own)
    monkeypatch.setattr(system, "_CGROUP_2", tmp_path)
    assert memory_available() == 123456


@pytest.mark.usefixtures("_fresh")
def test_the_older_kind_of_containers_counts(tmp_path, monkeypatch):
    file = tmp_path / "memory.limit_in_bytes"
    file.write_text("654321\n")
    monkeypatch.setattr(system, "_CGROUP_2", tmp_path)
    monkeypatch.setattr(system, "_CGROUP_1", file)
    assert memory_available() == 654321
