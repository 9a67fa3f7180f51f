"""A task reads one part of each of its sources: on its own worker, on this host, or elsewhere.

Workers are asked for where the bytes are, each once for all of its sources. The bytes themselves
are then read straight to where they are needed, by the task's thread: out of the shared memory or
the spill file of who has them. Only those of other hosts come over a connection.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from shoal.shared_memory import host_identity
from shoal.shared_memory.host import AVAILABLE
from shoal.shuffle.counters import COUNTERS
from shoal.shuffle.partitioned import Chunk, Partitioned
from shoal.task_context import current, get_worker
from shoal.worker.parts import part_of
from shoal.worker.sources import Source, UnreadSources

if AVAILABLE:
    from shoal.shared_memory.segment import Segment, read_fully

if TYPE_CHECKING:
    from shoal.shared_memory import Pool
    from shoal.worker.context import WorkerContext

__all__ = ["Piece", "own_pool", "read_parts"]

logger = logging.getLogger("shoal.worker")

_TRIES = 4
_PAUSE = 0.1  # seconds before a worker that did not answer is asked again; then twice as long
_OPEN = 64  # sources whose files stay open while one task reads


class _Medium(Protocol):
    """Where bytes are read from."""

    def read_into(self, at: int, views: Sequence[memoryview]) -> None: ...


class Piece:
    """A chunk of one source's part, to be read.

    Attributes
    ----------
    chunk : Chunk
        Its numbers.
    head : bytes
        The facts that its codec needs.
    part : int
        Of which part of those that were asked for, from 0 on.
    """

    __slots__ = ("_at", "_medium", "chunk", "head", "part")

    def __init__(self, medium: _Medium, at: int, chunk: Chunk, head: bytes, part: int) -> None:
        self._medium = medium
        self._at = at
        self.chunk = chunk
        self.head = head
        self.part = part

    def read_into(self, views: Sequence[memoryview]) -> None:
        """Copy the chunk into views that are as long as it, one after the other."""
        self._medium.read_into(self._at, views)


class _Sent:
    """Bytes that came over a connection, or with the arguments."""

    __slots__ = ("_data", "_start")

    def __init__(self, data: Any, start: int) -> None:
        self._data = memoryview(data).cast("B")
        self._start = start

    def read_into(self, at: int, views: Sequence[memoryview]) -> None:
        at -= self._start
        for view in views:
            view[:] = self._data[at : at + view.nbytes]
            at += view.nbytes


class _Shared:
    """Shared memory of another process of this host; opened for the moment, or longer."""

    __slots__ = ("_reference", "_segment")

    def __init__(self, reference: dict[str, Any], keep: bool) -> None:
        self._reference = reference
        segment = Segment.open(reference)  # it must be there
        if keep:
            self._segment: Segment | None = segment
        else:
            self._segment = None
            segment.close()

    def read_into(self, at: int, views: Sequence[memoryview]) -> None:
        if self._segment is not None:
            self._segment.read_into(at, views)
            return
        segment = Segment.open(self._reference)
        try:
            segment.read_into(at, views)
        finally:
            segment.close()


class _File:
    """A spill file of a process of this host."""

    __slots__ = ("_descriptor", "_offset", "_path")

    def __init__(self, path: str, offset: int, keep: bool) -> None:
        self._descriptor = -1
        self._path = path
        self._offset = offset
        descriptor = self._open()
        if keep:
            self._descriptor = descriptor
        else:
            os.close(descriptor)

    def _open(self) -> int:
        return os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)

    def read_into(self, at: int, views: Sequence[memoryview]) -> None:
        kept = self._descriptor >= 0
        descriptor = self._descriptor if kept else self._open()
        try:
            read_fully(descriptor, self._offset + at, list(views))
        finally:
            if not kept:
                os.close(descriptor)

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)


def own_pool() -> Pool | None:
    """Return where a task's worker has its shared memory from; None outside of tasks."""
    context = current.get()
    pool: Pool | None = None if context is None else context.worker.store.pool
    return pool


def read_parts(
    sources: Sequence[Source | Partitioned], parts: Sequence[tuple[int, int]]
) -> list[Piece]:
    """Return the chunks of some parts of all sources, in the order of the sources.

    Parameters
    ----------
    sources : sequence of Source or Partitioned
        The sources to read; a task's dependencies that were not brought.
    parts : sequence of (int, int)
        Of each source: from which part up to, and without, which one.

    Raises
    ------
    UnreadSources
        When some cannot be read; the worker then tells the scheduler, which finds another way.
    """
    began = time.perf_counter()
    pieces: dict[int, list[Piece]] = {}
    left: dict[int, Source] = {}
    for i, source in enumerate(sources):
        if isinstance(source, Source):
            left[i] = source
        else:
            pieces[i] = _of_value(source, *parts[i])
    if left:
        _Search(get_worker(), left, parts, len(sources) <= _OPEN).run(pieces)
    COUNTERS.add(located=len(sources), located_seconds=time.perf_counter() - began)
    return [piece for i in range(len(sources)) for piece in pieces[i]]


class _Search:
    """Looks for sources among their holders."""

    def __init__(
        self,
        worker: WorkerContext,
        left: dict[int, Source],
        parts: Sequence[tuple[int, int]],
        keep: bool,
    ) -> None:
        self._worker = worker
        self._left = left
        self._parts = parts
        self._keep = keep
        self._absent: dict[int, list[str]] = {i: [] for i in left}
        self._unreachable: dict[int, list[str]] = {i: [] for i in left}

    def run(self, pieces: dict[int, list[Piece]]) -> None:
        """Put the pieces of each source into `pieces`."""
        for attempt in range(_TRIES):
            asked = self._whom_to_ask(attempt)
            if asked is None:
                break
            # In the end the bytes are asked for, wherever they are.
            host = host_identity() if attempt < _TRIES - 1 else None
            pause = False
            for address, rows in self._ask(asked, host).items():
                pause |= self._take(address, asked[address], rows, pieces)
            if not self._left:
                return
            COUNTERS.add(tries_again=1)
            if pause and attempt < _TRIES - 1:
                time.sleep(_PAUSE * 2**attempt)
        keys = {i: source.key for i, source in self._left.items()}
        raise UnreadSources(
            {keys[i]: sorted(set(where)) for i, where in self._absent.items() if i in keys},
            {keys[i]: sorted(set(where)) for i, where in self._unreachable.items() if i in keys},
        )

    def _whom_to_ask(self, attempt: int) -> dict[str, list[int]] | None:
        """Return who is asked for which sources; None where nobody has one of them."""
        own = self._worker.address
        asked: dict[str, list[int]] = {}
        for i, source in self._left.items():
            holders = [one for one in source.holders if one not in self._absent[i]]
            if not holders:
                return None
            address = own if own in holders else holders[(i + attempt) % len(holders)]
            asked.setdefault(address, []).append(i)
        return asked

    def _ask(self, asked: dict[str, list[int]], host: str | None) -> dict[str, list[Any] | None]:
        """Return what each worker answers; None where it did not."""
        worker = self._worker
        answers: dict[str, list[Any] | None] = {}
        others = {address: which for address, which in asked.items() if address != worker.address}
        if others:
            request = _ask_peers(worker, self._left, others, self._parts, host)
            answers = asyncio.run_coroutine_threadsafe(request, worker.pool.loop).result()
        for i in asked.get(worker.address, ()):
            source = self._left[i]
            here = worker.machine.holds(source.key, source.life)
            row = part_of(worker, source.key, self._parts[i], near=True, own=True) if here else None
            rows = answers.setdefault(worker.address, [])
            assert rows is not None
            rows.append(row)
        return answers

    def _take(
        self, address: str, which: list[int], rows: list[Any] | None, pieces: dict[int, list[Piece]]
    ) -> bool:
        """Take an answer; return whether it is better to wait before somebody is asked again."""
        if rows is None:
            for i in which:
                self._unreachable[i].append(address)
            return True
        for i, row in zip(which, rows, strict=True):
            if row is None:
                self._absent[i].append(address)
                continue
            found = _open(row, self._keep)
            if found is None:  # it went to disk, or came back, since the answer
                self._unreachable[i].append(address)
            else:
                pieces[i] = found
                del self._left[i]
        return False


async def _ask_peers(
    worker: WorkerContext,
    sources: dict[int, Source],
    asked: dict[str, list[int]],
    parts: Sequence[tuple[int, int]],
    host: str | None,
) -> dict[str, list[Any] | None]:
    async def ask(address: str, which: list[int]) -> list[Any] | None:
        some = [sources[i] for i in which]
        try:
            answer: list[Any] = await worker.peers(address).give_parts(
                keys=[source.key for source in some],
                lives=[source.life for source in some],
                parts=[parts[i] for i in which],
                host=host,
            )
        except OSError as error:
            logger.info("cannot read from %s: %s", address, error)
            return None
        return answer

    answers = await asyncio.gather(*(ask(address, which) for address, which in asked.items()))
    return dict(zip(asked, answers, strict=True))


def _open(row: dict[str, Any], keep: bool) -> list[Piece] | None:
    """Return the pieces that a worker described; None where they are not there any more."""
    parts = [[tuple(chunk) for chunk in chunks] for chunks in row["chunks"]]
    medium: _Medium
    try:
        if "value" in row:
            medium = row["value"]
            COUNTERS.add(own=1)
        elif "shared" in row:
            medium = _Shared(row["shared"], keep)
            COUNTERS.add(shared=1)
        elif "file" in row:
            path, offset = row["file"]
            medium = _File(path, offset, keep)
            COUNTERS.add(files=1)
        else:
            medium = _Sent(row["data"], row["start"])
            COUNTERS.add(sent=1)
        heads = row.get("heads_data")
        if heads is None:
            heads = bytearray(sum(row["heads"]))
            medium.read_into(row["heads_start"], [memoryview(heads)])
    except (OSError, ValueError) as error:
        logger.info("cannot open what is to be read: %s", error)
        return None
    return _pieces(medium, row["start"], parts, _cut(heads, row["heads"]))


def _of_value(value: Partitioned, first: int, last: int) -> list[Piece]:
    start, _ = value.place(first, last)
    heads_start, lengths = value.heads_place()
    heads = _cut(value.read(heads_start, heads_start + sum(lengths)), lengths)
    return _pieces(value, start, value.parts[first:last], heads)


def _pieces(
    medium: _Medium, start: int, parts: Sequence[Sequence[Chunk]], heads: Sequence[bytes]
) -> list[Piece]:
    found = []
    for part, chunks in enumerate(parts):
        for chunk in chunks:
            found.append(Piece(medium, start, chunk, heads[chunk[1]], part))
            start += chunk[0]
    return found


def _cut(data: bytes | bytearray, lengths: Sequence[int]) -> list[bytes]:
    found = []
    start = 0
    for length in lengths:
        found.append(bytes(data[start : start + length]))
        start += length
    return found
