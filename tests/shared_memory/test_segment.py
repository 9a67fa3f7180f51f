"""Segments: what is written is what others map, privately; nothing else is ever taken for one."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
if sys.platform == "linux":
    from shoal.shared_memory import writing as module
    from shoal.shared_memory.segment import MAX_FILES, Segment, layout
    from shoal.shared_memory.writing import OwnSegment


def shared_files() -> list[str]:
    """What this process has open that is a segment's, or mapped."""
    links = [os.readlink(entry.path) for entry in os.scandir("/proc/self/fd") if is_link(entry)]
    with open("/proc/self/maps") as maps:
        return [link for link in [*links, *maps] if "/memfd:shoal" in link]


def is_link(entry: os.DirEntry[str]) -> bool:
    return os.path.lexists(entry.path)


@pytest.fixture(autouse=True)
def _nothing_stays_open() -> Any:
    before = shared_files()
    yield
    assert shared_files() == before


@given(parts=st.lists(st.binary(max_size=20_000), max_size=6), count=st.integers(1, 4))
@settings(deadline=None)
def test_what_is_mapped_is_what_was_written(parts: list[bytes], count: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_FILE_FROM", 4096)
        patch.setattr(os, "sched_getaffinity", lambda _: range(count))
        segment = OwnSegment.write(parts)
    opened = Segment.open(segment.reference())
    assert opened.nbytes == sum(map(len, parts)) <= segment.nbytes
    assert 1 <= opened.files <= count
    segment.close()
    mapped = opened.map()
    opened.close()
    assert [bytes(part) for part in mapped] == parts


def test_every_mapping_is_writable_and_private() -> None:
    segment = OwnSegment.write([b"a" * 5000])
    (first,), (second,) = segment.map(), segment.map()
    first[:2] = b"xy"
    second[4000:] = bytes(1000)
    assert bytes(first[:4]) == b"xyaa" and bytes(second[:4]) == b"aaaa"
    assert bytes(first[4000:]) == b"a" * 1000
    (third,) = segment.map()
    assert bytes(third) == b"a" * 5000
    segment.close()


def test_nobody_can_write_or_cut_the_memory_itself() -> None:
    segment = OwnSegment.write([b"a" * 5000])
    (number,) = segment.reference()["files"]
    descriptor = os.open(f"/proc/self/fd/{number}", os.O_RDWR)
    for change in (
        lambda: os.pwrite(descriptor, b"b", 4096),
        lambda: os.pwrite(number, b"b", 4096),  # not even the owner so
        lambda: mmap.mmap(descriptor, 4096, access=mmap.ACCESS_WRITE),
        lambda: os.ftruncate(descriptor, 10),
        lambda: os.ftruncate(descriptor, 100_000),
    ):
        with pytest.raises(PermissionError):
            change()
    os.close(descriptor)
    segment.close()


def test_parts_are_aligned() -> None:
    segment = OwnSegment.write([b"a", b"b" * 65, b"c"])
    reference = segment.reference()
    assert reference["lengths"] == [1, 65, 1]
    assert layout(reference["lengths"]) == ([0, 64, 192], 193) and reference["ends"] == [193]
    segment.close()


def test_a_closed_segment_is_not_referred_to_and_not_mapped() -> None:
    segment = OwnSegment.write([b"abc"])
    reference = segment.reference()
    segment.close()
    segment.close()
    for use in (segment.reference, segment.map):
        with pytest.raises(ValueError, match="closed"):
            use()
    with pytest.raises((OSError, ValueError)):
        Segment.open(reference)


def wrong(**changes: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda reference: {**reference, **changes}


@pytest.mark.parametrize(
    "change",
    [
        wrong(pid="1"),
        wrong(pid=-1),
        wrong(pid=True),
        wrong(files=[]),
        wrong(files=None),
        wrong(files=["../../etc/passwd"]),
        wrong(files=[3] * (MAX_FILES + 1), ends=[*range(0, 4096 * MAX_FILES, 4096), 3]),
        wrong(files=[3, 3]),
        wrong(ends=[]),
        wrong(ends=[2]),
        wrong(files=[3, 3], ends=[1, 3]),
        wrong(files=[3, 3], ends=[3, 3]),
        wrong(token=b"short"),
        wrong(token="x" * 16),
        wrong(lengths=[-5]),
        wrong(lengths=[1 << 70]),
        wrong(lengths=3),
        lambda reference: {},
    ],
)
def test_what_is_no_reference_is_refused(change: Any) -> None:
    segment = OwnSegment.write([b"abc"])
    with pytest.raises(ValueError, match="not a reference to shared memory"):
        Segment.open(change(segment.reference()))
    segment.close()


def test_another_file_is_not_taken_for_the_segment() -> None:
    segment, other = OwnSegment.write([b"abc"]), OwnSegment.write([b"abc"])
    mine, its = segment.reference(), other.reference()
    read, write = os.pipe()
    plain = os.memfd_create("something-else")
    for file, match in [
        (its["files"][0], "another segment"),
        (read, "not shared memory of shoal"),  # opening it would wait for a writer
        (plain, "not shared memory of shoal"),
    ]:
        with pytest.raises(ValueError, match=match):
            Segment.open({**mine, "files": [file]})
    with pytest.raises(ValueError, match="another segment"):
        Segment.open({**mine, "lengths": [5000], "ends": [5000]})
    for descriptor in (read, write, plain):
        os.close(descriptor)
    segment.close()
    other.close()


def test_an_owner_that_is_gone_is_an_error_of_the_system() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    segment = OwnSegment.write([b"abc"])
    with pytest.raises(OSError):
        Segment.open({**segment.reference(), "pid": ended.pid})
    segment.close()


def test_a_failed_write_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    monkeypatch.setattr(module, "_FILE_FROM", 1)
    with pytest.raises(OSError, match="No space"):
        OwnSegment.write([b"a" * 20_000])


def test_a_forgotten_segment_closes_itself() -> None:
    OwnSegment.write([b"abc"])
    assert shared_files() == []
