"""When a journal is written, synced, compacted, given up for a while, and begun anew. No file here.

    open --> suspended     the disk refuses: all go on, and nothing is kept
    suspended --> open     there is room again: a new file begins with a snapshot

A record is written before anything that follows from it is carried out: what is acknowledged
outlives this process under any policy. Policies differ in what outlives the machine. With
``always`` what follows waits until the record is on disk, where records of one turn, and of the
time that the disk takes for those before them, share one sync. With ``turn`` a sync begins at the
end of the turn, and nobody waits for it. With ``never`` the system writes when it likes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from shoal.scheduler.core.journal.format import encode_file, encode_record, renumber
from shoal.scheduler.core.journal.recorder import Change

__all__ = ["POLICIES", "Disk", "JournalWriter"]

POLICIES = ("always", "turn", "never")

_SMALL = 2**20  # bytes that a journal may have beyond twice what was alive


class Disk(Protocol):
    """The file's disk. A step that fails raises `OSError`."""

    def append(self, data: bytes, /) -> None:
        """Write at the end. Where it fails, part of it may be there."""

    def read(self, start: int, stop: int, /) -> bytes:
        """Return a part of the file."""

    def replace(self, data: bytes, /) -> None:
        """Put another file in its place, whole and on disk, or leave it."""

    def sync_soon(self) -> None:
        """At the end of the turn call `sync_begins`, sync, then call `sync_ended`."""

    def compact_soon(self, size: int, nonce: int, /) -> None:
        """Have `format.compact` make another file of the first bytes, aside, on disk.

        Then call `compacted`. None of it may hold up the turn.
        """

    def adopt(self, tail: bytes, /) -> None:
        """Append to the file made aside, sync it, and put it in the place of the journal."""

    def retry_later(self) -> None:
        """Call `retry` in a while."""


class JournalWriter:
    """Writes a journal.

    Parameters
    ----------
    disk : Disk
        Where.
    policy : {"always", "turn", "never"}
        The policy of when records must be on disk.
    snapshot : callable
        Returns all that the journal has to say.
    nonce : int
        A number that no earlier file of this journal had; those of the next files follow.
    on_synced : callable
        Called when what waits for the disk may go on; in the midst of an event, too, so it has it
        go on later.
    tell : callable
        Called with what people must know: a level, a text.
    small : int
        Bytes from which on it is compacted, if it is twice as large as what was alive.

    Attributes
    ----------
    position, synced : int
        See `shoal.scheduler.applier.Journal`.
    size : int
        Bytes of the file.
    suspended : bool
        Whether nothing is kept at present.
    """

    def __init__(
        self,
        disk: Disk,
        policy: str,
        snapshot: Callable[[], list[Change]],
        nonce: int,
        on_synced: Callable[[], None],
        tell: Callable[[str, str], None],
        small: int = _SMALL,
    ) -> None:
        self._disk = disk
        self._waits = policy == "always"
        self._syncs = policy != "never"
        self._snapshot = snapshot
        self._nonce = nonce & 0xFFFFFFFF
        self._newest = self._nonce  # of the files begun so far
        self._on_synced = on_synced
        self._tell = tell
        self._small = small
        self.position = 0
        self.synced = 0
        self.size = 0
        self.suspended = True
        self._number = 0  # of the last record
        self._limit = 0
        self._syncing = False
        self._covered = 0  # by the sync under way
        self._file = 0  # counts files: words about an earlier one are dropped
        self._compacting: tuple[int, int] | None = None  # bytes and records that are compacted

    def begin(self) -> None:
        """Begin a new file with all that is alive.

        Raises
        ------
        OSError
            When the disk refuses; what was there is left.
        """
        nonce = self._next_nonce()
        file = encode_file(self._snapshot(), nonce)
        self._disk.replace(file.data)
        self._took(nonce, len(file.data), file.number, len(file.data))
        self.suspended = False

    def _next_nonce(self) -> int:
        self._newest = (self._newest + 1) & 0xFFFFFFFF
        return self._newest

    def _took(self, nonce: int, size: int, number: int, alive: int) -> None:
        """Another file is the journal from now on, all of it on disk."""
        self._file += 1
        self._nonce, self.size, self._number = nonce, size, number
        self._limit = 2 * alive + self._small
        self._syncing = False
        self._compacting = None
        self.synced = self.position

    def append(self, changes: Sequence[Change]) -> None:
        """Write what an event changed."""
        self.position += 1
        if self.suspended:
            self.synced = self.position
            return
        record = encode_record(changes, self._nonce, self._number + 1)
        try:
            self._disk.append(record)
        except OSError as error:
            self._suspend(error)
            return
        self._number += 1
        self.size += len(record)
        if not self._waits:
            self.synced = self.position
        if self._syncs and not self._syncing:
            self._syncing = True
            self._disk.sync_soon()
        if self.size > self._limit and self._compacting is None:
            self._compacting = (self.size, self._number)
            self._disk.compact_soon(self.size, self._next_nonce())

    # -- the disk ------------------------------------------------------------------------

    def sync_begins(self) -> int:
        """The turn is over; return which file is synced."""
        self._covered = self.position
        return self._file

    def sync_ended(self, file: int, error: OSError | None) -> None:
        """The bytes written before `sync_begins` are on disk, or their fate is unknown."""
        if file != self._file or self.suspended:
            return
        if error is not None:
            self._suspend(error)  # after a sync that failed, nothing says what the next one means
            return
        self._syncing = False
        self.synced = max(self.synced, self._covered)
        if self.position > self._covered:
            self._syncing = True
            self._disk.sync_soon()
        self._on_synced()

    def compacted(self, nonce: int, size: int, number: int, error: OSError | None) -> None:
        """The file that was made aside is there: this size, so many records. Take it."""
        begun = self._compacting
        if begun is None or nonce != self._newest or self.suspended:
            return  # another one was begun meanwhile
        try:
            if error is not None:
                raise error
            tail = self._disk.read(begun[0], self.size)
            rest = renumber(tail, (self._nonce, begun[1]), nonce, number)
            self._disk.adopt(rest.data)
        except OSError as failed:
            self._compacting = None
            self._limit = 2 * self.size
            self._tell("warning", f"the journal could not be compacted, and grows: {failed}")
            return
        self._took(nonce, size + len(rest.data), rest.number, size)
        self._on_synced()

    # -- when the disk refuses -------------------------------------------------------------

    def _suspend(self, error: OSError) -> None:
        self.suspended = True
        self._file += 1
        self._compacting = None
        self._tell(
            "error",
            f"the journal cannot be written ({error}): the cluster goes on, but a scheduler that "
            "starts anew will know nothing of what happens from now on. It is tried again",
        )
        self.synced = self.position
        self._disk.retry_later()
        self._on_synced()

    def retry(self) -> None:
        """Try to write again."""
        if not self.suspended:
            return
        try:
            self.begin()
        except OSError:
            self._disk.retry_later()
        else:
            self._tell("warning", "the journal is written again, and complete")
