"""How a journal lies in a file: a header, then records, each with its number and a checksum.

    header  magic, version, a number that is this file's own, checksum
    record  length, checksum, number, then changes as msgpack

The changes of one event are one record, so they are there together or not at all. A file begins
with a snapshot, as many records as it takes, and an empty record that says that it is complete.
Checksums are made with the file's own number: what another file left on the disk is no record of
this one. Numbers follow each other: a record that is there twice counts once, and nothing after a
gap counts. The valid part ends at the first record that is not whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from struct import Struct
from typing import Any, NamedTuple
from zlib import crc32

import msgspec

from shoal.errors import JournalError, ProtocolError
from shoal.scheduler.core.journal.recorder import EVENT, NOTE, TASK, Change
from shoal.scheduler.core.journal.restoring import fold
from shoal.wire import open_codec
from shoal.wire.messages import TaskOptions

__all__ = ["Contents", "Written", "compact", "encode_file", "encode_record", "read", "renumber"]

_MAGIC = b"shoal journal\n"
_VERSION = 1
_HEADER = Struct("<14sHII")
_RECORD = Struct("<IIQ")
_CHUNK = 500  # changes in a record of a snapshot
_LARGEST = 2**31

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[list[Any]]).decode


class Contents(NamedTuple):
    """The contents of a file.

    `changes`: in their order; `size`: how many bytes of the file count; `problem`: why the rest of
    it does not, empty where there is no rest.
    """

    changes: list[Change]
    size: int
    problem: str


class Written(NamedTuple):
    """A file that begins with a snapshot: its bytes, and the number of its last record."""

    data: bytes
    number: int


def encode_record(changes: Iterable[Change], nonce: int, number: int) -> bytes:
    """Return a record; what cannot be encoded is left out: see `packed`."""
    return _frame(_encode(list(map(packed, changes))), nonce, number)


def _frame(payload: bytes, nonce: int, number: int) -> bytes:
    return _RECORD.pack(len(payload), _checksum(payload, nonce, number), number) + payload


def _checksum(payload: bytes | memoryview, nonce: int, number: int) -> int:
    return crc32(payload, crc32(_RECORD.pack(len(payload), nonce, number)))


def packed(change: Change) -> tuple[Any, ...]:
    """Return a change as plain data: what users note and log may be anything that can be sent."""
    if len(change) == 3 and change[0] in (NOTE, EVENT):
        kind, key, value = change
        frames = [bytes(frame) for frame in open_codec.encode(value)]
        return (kind, key, frames)
    return change


def _unpacked(row: list[Any]) -> Change:
    kind, key = row[0], row[1]
    if type(key) is list:
        key = tuple(key)
    if len(row) == 2:
        return (kind, key)
    value = row[2]
    if kind in (NOTE, EVENT):
        value = open_codec.decode(value, deserialize=False)
    elif kind == TASK:
        value[6] = msgspec.convert(value[6], TaskOptions)
    return (kind, key, value)


# ---------------------------------------------------------------------- whole files


def encode_file(changes: Iterable[Change], nonce: int) -> Written:
    """Return a file that consists of a snapshot."""
    return _file(map(packed, changes), nonce)


def _file(rows: Iterable[Any], nonce: int) -> Written:
    head = _HEADER.pack(_MAGIC, _VERSION, nonce, 0)
    parts = [_HEADER.pack(_MAGIC, _VERSION, nonce, crc32(head))]
    rows = iter(rows)
    number = 0
    while chunk := list(islice(rows, _CHUNK)):
        number += 1
        parts.append(_frame(_encode(chunk), nonce, number))
    number += 1
    parts.append(_frame(_encode([]), nonce, number))
    return Written(b"".join(parts), number)


def read(data: bytes, where: str = "the journal") -> Contents:
    """Return what a file says.

    Raises
    ------
    JournalError
        When it is of a later version, no journal, or damaged in its snapshot: then nothing of what
        follows means anything.
    """
    nonce = _read_header(data, where)
    changes: list[Change] = []
    complete = False
    end = _HEADER.size
    try:
        for rows, stop in _records(data, nonce):
            end = stop
            complete = complete or not rows
            changes += map(_unpacked, rows)
    except (msgspec.MsgspecError, ProtocolError, ValueError, IndexError) as error:
        raise JournalError(
            f"{where} has a record that is whole, but not understood: {error}"
        ) from error
    if not complete:
        raise JournalError(
            f"{where} is damaged after {end} bytes, where all that was alive is listed: nothing of "
            "it can be restored. Move it away to begin anew"
        )
    left = len(data) - end
    problem = f"its last {left} bytes are no whole record" if left else ""
    return Contents(changes, end, problem)


def _read_header(data: bytes, where: str) -> int:
    if len(data) < _HEADER.size or not data.startswith(_MAGIC):
        raise JournalError(f"{where} is no journal of shoal; name another place, or move it away")
    magic, version, nonce, checksum = _HEADER.unpack_from(data)
    if version > _VERSION:
        raise JournalError(
            f"{where} was written by a later version of shoal (format {version}, this one reads up "
            f"to {_VERSION}): start that one, or move the journal away to begin anew"
        )
    if crc32(_HEADER.pack(magic, version, nonce, 0)) != checksum:
        raise JournalError(f"{where} is damaged in its header; move it away to begin anew")
    return int(nonce)


def _records(data: bytes, nonce: int, start: int = 0) -> Iterator[tuple[list[Any], int]]:
    """Yield the changes of each record that counts, and where it ends."""
    for payload, stop in _payloads(data, nonce, start or _HEADER.size, None):
        yield _decode(payload), stop


def _payloads(
    data: bytes, nonce: int, start: int, last: int | None
) -> Iterator[tuple[memoryview, int]]:
    view = memoryview(data)
    at = start
    while len(data) - at >= _RECORD.size:
        length, checksum, number = _RECORD.unpack_from(data, at)
        stop = at + _RECORD.size + length
        if length > _LARGEST or stop > len(data):
            return
        payload = view[at + _RECORD.size : stop]
        if _checksum(payload, nonce, number) != checksum:
            return
        if last is None and number != 1:
            return
        if last is not None and number <= last:
            at = stop  # it is there twice
            continue
        if last is not None and number != last + 1:
            return
        last = number
        at = stop
        yield payload, stop


# ---------------------------------------------------------------------- compaction


def compact(data: bytes, nonce: int) -> Written:
    """Return a file that says what the first bytes of another say, as a snapshot."""
    entries: dict[tuple[int, Any], Any] = {}
    for rows, _ in _records(data, _read_header(data, "the journal")):
        fold((_hashable(row) for row in rows), entries)
    return _file(((kind, key, value) for (kind, key), value in entries.items()), nonce)


def _hashable(row: list[Any]) -> Any:
    if type(row[1]) is list:
        row[1] = tuple(row[1])
    return row


def renumber(tail: bytes, old: tuple[int, int], nonce: int, number: int) -> Written:
    """Return records of a file as records of another.

    Parameters
    ----------
    tail : bytes
        Whole records.
    old : tuple
        That file's own number, and the number of the record before these.
    nonce, number : int
        The same of the other file.
    """
    parts = []
    for payload, _ in _payloads(tail, old[0], 0, old[1]):
        number += 1
        parts.append(_frame(bytes(payload), nonce, number))
    return Written(b"".join(parts), number)
