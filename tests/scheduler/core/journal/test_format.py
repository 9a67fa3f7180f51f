"""What a file says when it ended anywhere, and that it is said when it does not say all."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.errors import JournalError
from shoal.scheduler.core.journal.format import (
    compact,
    encode_file,
    encode_record,
    read,
    renumber,
)
from shoal.scheduler.core.journal.recorder import FLAG, ITEM, NOTE, VARIABLE
from shoal.scheduler.core.journal.restoring import fold

ALIVE = [(VARIABLE, "x", [b"1", []]), (NOTE, "n", {"a": (1, {2})})]
CHANGES: list[list[Any]] = [
    [(ITEM, 1, ["q", b"one", []])],
    [(ITEM, 1), (FLAG, "e", None)],
    [(VARIABLE, "x", [b"2", ["k"]]), (FLAG, "e")],
]


def parts(nonce: int = 7) -> list[bytes]:
    start = encode_file(ALIVE, nonce)
    numbered = enumerate(CHANGES, start.number + 1)
    return [start.data, *(encode_record(some, nonce, number) for number, some in numbered)]


def test_a_file_says_what_was_written() -> None:
    found = read(b"".join(parts()))
    assert found.changes == [*ALIVE, *[change for some in CHANGES for change in some]]
    assert not found.problem


def test_a_file_that_ends_anywhere_says_what_was_whole() -> None:
    start, *records = parts()
    whole = b"".join([start, *records])
    for end in range(len(start), len(whole)):
        found = read(whole[:end])
        n = sum(len(start) + len(b"".join(records[: i + 1])) <= end for i in range(len(records)))
        assert found.changes[len(ALIVE) :] == [c for some in CHANGES[:n] for c in some]
        assert bool(found.problem) == (found.size < end)


def test_a_byte_that_changed_ends_what_counts() -> None:
    start, *records = parts()
    for at in range(len(start), len(start) + len(records[0])):
        data = bytearray(b"".join([start, *records]))
        data[at] ^= 0x41
        found = read(bytes(data))
        assert found.changes == ALIVE
        assert found.problem


def test_records_count_once_and_in_their_order() -> None:
    start, one, two, three = parts()
    assert fold(read(start + one + one + two + two + one + three).changes) == fold(
        read(start + one + two + three).changes
    )
    for torn in (start + two + one + three, start + two, start + three):
        assert read(torn).changes == ALIVE
        assert read(torn).problem


def test_what_another_file_left_on_the_disk_is_no_record() -> None:
    start, *_ = parts()
    found = read(start + b"".join(parts(nonce=8)[1:]))
    assert found.changes == ALIVE
    assert found.problem


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is no journal"),
        (b"something else that is long enough", "is no journal"),
        (parts()[0][:-5], "is damaged"),
        (parts()[0][:20] + b"xxxx" + parts()[0][24:], "in its header"),
        (parts()[0][:14] + b"\2\1" + parts()[0][16:], "later version"),
    ],
)
def test_what_cannot_be_read_is_said(data: bytes, says: str) -> None:
    with pytest.raises(JournalError, match=says):
        read(data, "/x/journal")


@given(st.lists(st.tuples(st.sampled_from([ITEM, FLAG]), st.integers(0, 5), st.integers())))
def test_compaction_changes_nothing(changes: list[tuple[int, int, int]]) -> None:
    rows = [(kind, key, value) if value % 2 else (kind, key) for kind, key, value in changes]
    file = encode_file([], 7)
    numbered = enumerate(rows, file.number + 1)
    data = file.data + b"".join([encode_record([row], 7, n) for n, row in numbered])
    half = len(rows) // 2
    done = file.data + b"".join(
        [encode_record([row], 7, file.number + 1 + i) for i, row in enumerate(rows[:half])]
    )
    made = compact(done, 8)
    rest = renumber(data[len(done) :], (7, file.number + half), 8, made.number)
    found = read(made.data + rest.data)
    assert not found.problem
    assert fold(found.changes) == fold(rows)
