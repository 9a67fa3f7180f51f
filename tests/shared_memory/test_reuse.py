"""Memory is used again, and whoever still reads a value never sees another one."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from ast import literal_eval
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from helpers import wait_until
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.shared_memory.pool import Pool

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
if sys.platform == "linux":
    from shoal.shared_memory import writing
    from shoal.shared_memory.segment import Segment
    from shoal.shared_memory.writing import OwnSegment

PAGE = 4096


def inode(segment: Any) -> list[int]:
    return [os.stat(f"/proc/self/fd/{n}").st_ino for n in segment.reference()["files"]]


@contextmanager
def pool(max_bytes: int = 1 << 20) -> Iterator[Pool]:
    made = Pool(max_bytes, 10.0)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def many_files(count: int = 2) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "_FILE_FROM", 2 * PAGE)
        patch.setattr(os, "sched_getaffinity", lambda _: range(count))
        yield


def test_the_next_value_is_written_into_the_same_memory() -> None:
    with pool() as spare:
        first = OwnSegment.write([b"a" * 10_000, bytearray(b"x")], spare)
        where, stale = inode(first), first.reference()
        (kept, _) = first.map()
        first.close()
        other = OwnSegment.write([b"b" * 10_000], spare)
        assert inode(other) != where  # somebody maps the first
        other.close()
        kept[:3] = b"me!"
        assert bytes(kept) == b"me!" + b"a" * 9_997
        del kept, _
        second, third = (OwnSegment.write([c * 9_000], spare) for c in (b"c", b"d"))
        assert where in (inode(second), inode(third)) and spare.files == 0
        with pytest.raises((OSError, ValueError)):
            Segment.open(stale)
        for segment, content in ((second, b"c"), (third, b"d")):
            (part,) = segment.map()
            assert bytes(part) == content * 9_000 and segment.hidden == 0
            part[:] = bytes(9_000)
            assert bytes(segment.map()[0]) == content * 9_000
            segment.close()
            del part


def test_a_value_of_another_size_takes_what_is_there_and_new_memory() -> None:
    with pool() as spare, many_files():
        first = OwnSegment.write([b"a" * 8 * PAGE], spare)
        used = inode(first)
        assert len(used) == 2
        first.close()
        second = OwnSegment.write([b"b" * 9 * PAGE, b"c" * 5000], spare)
        assert sorted(inode(second)[:2]) == sorted(used) and second.files > 2
        assert [bytes(part) for part in second.map()] == [b"b" * 9 * PAGE, b"c" * 5000]
        used = inode(second)
        second.close()
        third = OwnSegment.write([b"d" * 11_000], spare)  # in the smallest that holds it
        assert inode(third) == used[2:] and third.nbytes == 3 * PAGE
        assert bytes(third.map()[0]) == b"d" * 11_000
        third.close()


def test_a_failed_copy_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with pool() as spare:
        first = OwnSegment.write([b"a" * 8000], spare)
        stale = first.reference()
        first.close()
        monkeypatch.setattr("shoal.shared_memory.file.copy_into", fail)
        with pytest.raises(OSError, match="No space"):
            OwnSegment.write([b"b" * 8000], spare)
        assert spare.files == 0
        with pytest.raises((OSError, ValueError)):
            Segment.open(stale)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["write", "write", "close", "open", "open", "leave", "stale", "shrink"]),
        st.integers(0, 1000),
        st.sampled_from([1, PAGE, 2 * PAGE, 5 * PAGE, 9 * PAGE]),  # few, so that they fit again
    ),
    max_size=40,
)


@given(steps=STEPS)
@settings(deadline=None)
def test_nobody_ever_sees_another_value(steps: list[tuple[str, int, int]]) -> None:
    live: list[tuple[int, Any]] = []
    readers: list[tuple[int, Any]] = []
    references: list[tuple[int, Any]] = []
    with pool(60 * PAGE) as spare, many_files():
        for value, (what, which, nbytes) in enumerate(steps):
            if what == "write":
                content = bytes([value]) * nbytes
                live.append((value, OwnSegment.write([content, b"", content[:70]], spare)))
                references.append((value, live[-1][1].reference()))
            elif what == "close" and live:
                live.pop(which % len(live))[1].close()
            elif what == "open" and live:
                known, segment = live[which % len(live)]
                reader = Segment.open(segment.reference())
                readers.append((known, reader.map()))
                reader.close()
            elif what == "stale" and references:
                known, reference = references[which % len(references)]
                try:
                    reader = Segment.open(reference)
                except (OSError, ValueError):
                    assert all(number != known for number, _ in live)
                else:  # not overwritten yet
                    readers.append((known, reader.map()))
                    reader.close()
            elif what == "leave" and readers:
                readers.pop(which % len(readers))
            elif what == "shrink":
                spare.shrink(nbytes)
            for known, parts in readers:
                assert all(set(part) <= {known} for part in map(bytes, parts))
        for _, segment in live:
            segment.close()


# A process that maps what it is told to, forks children that go on mapping it, and looks.
READER = """
import os, signal, sys
from ast import literal_eval
from shoal.shared_memory.segment import Segment

def good():
    return all(set(bytes(part)) == {value} for value, parts in mapped for part in parts)

def child(asked, answers):
    while os.read(asked, 1):
        os.write(answers, b"y" if good() else b"n")
    os._exit(0)

mapped, children = [], []
for line in sys.stdin:
    what, value, reference = literal_eval(line)
    answer = "yes"
    if what == "open":
        try:
            segment = Segment.open(reference)
            mapped.append((value, segment.map()))
            segment.close()
        except (OSError, ValueError):
            answer = "no"
    elif what == "leave" and mapped:
        mapped.pop(value % len(mapped))
    elif what == "fork" and len(children) < 2:
        (asked, ask), (answers, answered) = os.pipe(), os.pipe()
        if not os.fork():
            for other in [ask, answers, *(end for pair in children for end in pair)]:
                os.close(other)
            child(asked, answered)
        os.close(asked), os.close(answered)
        children.append((ask, answers))
    elif what == "end" and children:
        for end in children.pop():
            os.close(end)
    elif what == "check":
        for ask, answers in children:
            os.write(ask, b"?")
            if os.read(answers, 1) != b"y":
                answer = "a child sees another value"
        if not good():
            answer = "a reader sees another value"
    print(answer, flush=True)
"""


class Reader:
    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", READER], stdin=-1, stdout=-1, text=True
        )

    def ask(self, what: str, value: int = 0, reference: Any = None) -> str:
        assert self.process.stdin is not None and self.process.stdout is not None
        print((what, value, reference), file=self.process.stdin, flush=True)
        return self.process.stdout.readline().strip()

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.mark.process
@pytest.mark.parametrize("seed", [1, 2])
def test_readers_in_other_processes_never_see_another_value(seed: int) -> None:
    choose = random.Random(seed)
    readers = [Reader() for _ in range(3)]
    live: list[tuple[int, Any]] = []
    opened = again = 0
    try:
        with pool(400 * PAGE) as spare, many_files():
            seen: set[int] = set()
            for step in range(100):
                value = step % 256
                if len(live) > 2 or (live and choose.random() < 0.3):
                    live.pop(choose.randrange(len(live)))[1].close()
                content = bytes([value]) * choose.randrange(1, 30 * PAGE)
                live.append((value, OwnSegment.write([content], spare)))
                files = inode(live[-1][1])
                again += any(file in seen for file in files)
                seen.update(files)
                reader = choose.choice(readers)
                known, segment = choose.choice(live)
                assert reader.ask("open", known, segment.reference()) == "yes"
                opened += 1
                what = choose.choice(["leave", "leave", "leave", "fork", "end"])
                choose.choice(readers).ask(what, choose.randrange(100))
                if step % 30 == 29:
                    victim = readers.pop(0)
                    victim.end()
                    readers.append(Reader())
                for reader in readers:
                    assert reader.ask("check") == "yes"
            assert opened == 100 and again > 20
            for _, segment in live:
                segment.close()
            for reader in readers:
                reader.end()
            # When all of them are gone nobody blocks anything.
            wait_until(lambda: all(map(free, list(spare._since))))
    finally:
        for reader in readers:
            reader.end()


def free(file: Any) -> bool:
    claimed: bool = file.claim()
    if claimed:
        file.release()
    return claimed


@pytest.mark.process
def test_a_killed_owner_blocks_nobody_who_reads() -> None:
    script = (
        "import sys\n"
        "from shoal.shared_memory.pool import Pool\n"
        "from shoal.shared_memory.writing import OwnSegment\n"
        "pool = Pool(1 << 20, 10)\n"
        "OwnSegment.write([b'a' * 8000], pool).close()\n"
        "segment = OwnSegment.write([b'b' * 8000], pool)\n"
        "print(segment.reference(), flush=True)\n"
        "segment._files[0].claim() if sys.argv[1] == 'writing' else None\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()\n"
    )
    for state in ("read", "writing"):
        with subprocess.Popen(
            [sys.executable, "-c", script, state], stdin=-1, stdout=-1, text=True
        ) as owner:
            assert owner.stdout is not None
            reference = literal_eval(owner.stdout.readline())
            assert owner.stdout.readline() == "ready\n"
            if state == "writing":
                with pytest.raises(BlockingIOError):
                    Segment.open(reference)
                owner.kill()
                continue
            reader = Segment.open(reference)
            owner.kill()
        (part,) = reader.map()
        assert bytes(part) == b"b" * 8000
        lent = Segment.open(reader.reference())  # a borrower still lends it
        reader.close()
        assert bytes(lent.map()[0]) == b"b" * 8000
        lent.close()
