"""Files and their locks: who has one open or mapped, in whatever process, keeps its content."""

from __future__ import annotations

import fcntl
import mmap
import os
import signal
import subprocess
import sys
from typing import Any

import pytest
from helpers import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
if sys.platform == "linux":
    from shoal.shared_memory import file as module
    from shoal.shared_memory import mapped
    from shoal.shared_memory.file import HEAD, OwnFile, head, open_file
    from shoal.shared_memory.segment import Segment
    from shoal.shared_memory.writing import OwnSegment

OLD, NEW = (head(letter * 16, 0) for letter in (b"o", b"n"))


def written(content: bytes = b"old") -> OwnFile:
    file = OwnFile(len(content))
    file.write(OLD, [memoryview(content)], [0])
    return file


def path(file: OwnFile) -> str:
    return f"/proc/{os.getpid()}/fd/{file.descriptor}"


def is_free(file: OwnFile) -> bool:
    claimed = file.claim()
    if claimed:
        file.release()
    return claimed


def test_what_is_open_or_mapped_is_not_claimed() -> None:
    segment = OwnSegment.write([b"a" * 10_000, b"b" * 10_000])
    (file,) = segment._files
    assert is_free(file)
    reader = Segment.open(segment.reference())
    assert not is_free(file)
    first, second = reader.map()
    reader.close()
    assert not is_free(file)  # the descriptor is closed, the mapping is left
    del first
    assert bytes(second) == b"b" * 10_000 and not is_free(file)
    del second
    assert is_free(file)
    segment.close()


def test_what_a_borrower_lends_on_is_not_claimed() -> None:
    segment = OwnSegment.write([b"a" * 5000])
    first = Segment.open(segment.reference())
    second = Segment.open(first.reference())
    first.close()
    assert not is_free(segment._files[0])
    second.close()
    assert is_free(segment._files[0])
    segment.close()


def test_a_part_of_a_mapping_keeps_the_whole() -> None:
    file = written(b"a" * 3 * HEAD)
    descriptor = open_file(path(file), OLD, 1)
    address = mapped._map(0, 3 * HEAD, mmap.MAP_PRIVATE, descriptor, 0)
    os.close(descriptor)
    mapped.unmap(address, HEAD)
    assert not is_free(file)
    mapped.unmap(address + HEAD, 2 * HEAD)
    assert is_free(file)
    file.close()


def test_a_forked_child_keeps_what_its_parent_mapped_until_it_is_killed() -> None:
    segment = OwnSegment.write([b"a" * 5000])
    (part,) = segment.map()
    child = os.fork()
    if not child:
        signal.pause()
        os._exit(0)
    try:
        del part
        assert not is_free(segment._files[0])
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert is_free(segment._files[0])
    segment.close()


def test_a_killed_reader_blocks_nothing() -> None:
    segment = OwnSegment.write([b"a" * 5000])
    script = (
        "import ast, sys\n"
        "from shoal.shared_memory.segment import Segment\n"
        "parts = Segment.open(ast.literal_eval(sys.argv[1])).map()\n"
        "print('mapped', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, repr(segment.reference())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as reader:
        assert reader.stdout is not None and reader.stdout.readline() == b"mapped\n"
        assert not is_free(segment._files[0])
        reader.kill()
    wait_until(lambda: is_free(segment._files[0]))
    segment.close()


def test_a_child_of_the_owner_uses_nothing_of_its_parent() -> None:
    """The memory is not mapped there, and the lock would be the parent's."""
    file = written()
    child = os.fork()
    if not child:
        claimed = file.claim() or file.reusable
        file.close()  # and takes nothing away that may be at that address by now
        os._exit(int(claimed))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert is_free(file)
    file.close()


def test_what_is_claimed_cannot_be_opened_until_it_is_written() -> None:
    file = written()
    assert file.claim()
    with pytest.raises(BlockingIOError):
        open_file(path(file), OLD, 1)
    file.write(NEW, [memoryview(b"new")], [0])
    with pytest.raises(ValueError, match="another segment"):
        open_file(path(file), OLD, 1)  # a stale reference
    descriptor = open_file(path(file), NEW, 3)
    assert os.pread(descriptor, 3, HEAD) == b"new"
    assert file.hidden == 0 < file.capacity
    os.close(descriptor)
    file.close()


def test_where_there_are_no_locks_nothing_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    file = written()

    def none(*_: Any) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    assert not file.claim()
    with pytest.raises(OSError, match="No locks"):
        open_file(path(file), OLD, 1)
    file.close()


def test_where_one_writer_cannot_be_sealed_in_there_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add, seals = module._add_seals, []

    def refuse(descriptor: int, wanted: int) -> None:
        seals.append(wanted)
        if wanted & module._NO_NEW_WRITER:
            raise OSError(22, "Invalid argument")
        add(descriptor, wanted)

    monkeypatch.setattr(module, "_add_seals", refuse)
    file = written()
    assert len(seals) == 2 and not file.reusable and not file.claim()
    descriptor = open_file(path(file), OLD, 3)
    assert os.pread(descriptor, 3, HEAD) == b"old"
    os.close(descriptor)
    file.close()
