"""The runs of a process at this moment, readable by another process after this one died.

The worker writes a number into a slot before it begins a run, which costs a thread one store into
mapped memory; its nanny maps the same file. Blame is decided elsewhere.
"""

from __future__ import annotations

import logging
import mmap
import os
import struct
import tempfile
from array import array
from collections.abc import MutableSequence

__all__ = ["SLOTS", "BoardFile", "LastWords", "RunningBoard"]

SLOTS = 2048  # threads, coroutines and runs on other executors that are told apart
_WORDS = 2048  # bytes of the latest lines of the log
_LIMITS = 256  # runs with a time by which they must have ended
_LIMITS_AT = SLOTS * 8 + _WORDS
_LIMIT = struct.Struct("=Qd")
_SIZE = _LIMITS_AT + _LIMITS * 16


class RunningBoard:
    """The numbers of the runs that a process is in the midst of; 0 is none.

    Parameters
    ----------
    path : str, optional
        The file that another process made (`BoardFile`). None: nobody else reads the board.

    Attributes
    ----------
    slots : mutable sequence of int
        One for each thread that runs tasks; whoever claimed a slot writes into it.
    """

    def __init__(self, path: str | None = None) -> None:
        self.slots: MutableSequence[int] = array("Q", bytes(SLOTS * 8))
        self._map: mmap.mmap | None = None
        if path is not None:
            self._map = _map(path)
            self.slots = memoryview(self._map)[: SLOTS * 8].cast("Q")  # type: ignore[assignment]
            _remove(path)  # both have it mapped; nothing is left should both be killed
        self._free = list(range(SLOTS - 1, 0, -1))
        self.limited: dict[int, int] = {}  # where the times of runs stand
        self._free_limits = list(range(_LIMITS - 1, -1, -1))

    def claim(self) -> int:
        """Return a free slot. The first is shared by all that find none."""
        try:
            return self._free.pop()
        except IndexError:
            return 0

    def free(self, slot: int) -> None:
        """Give a slot back."""
        self.slots[slot] = 0
        if slot:
            self._free.append(slot)

    def write_words(self, text: str) -> None:
        """Leave the latest lines of the log, for the nanny that explains a death."""
        if self._map is not None:
            data = text.encode(errors="replace")[-_WORDS:]
            self._map[SLOTS * 8 : _LIMITS_AT] = data.ljust(_WORDS, b"\0")

    def limit(self, run: int, until: float) -> None:
        """Write down by when a run must have ended, by the clock of `time.monotonic`.

        For the case that this process itself cannot see to it: something holds the interpreter.
        """
        if self._map is not None and self._free_limits:
            place = self.limited[run] = self._free_limits.pop()
            at = _LIMITS_AT + place * 16
            self._map[at : at + 16] = _LIMIT.pack(run, until)

    def unlimit(self, run: int) -> None:
        """A run has ended, or others see to its end."""
        place = self.limited.pop(run, None)
        if place is not None and self._map is not None:
            at = _LIMITS_AT + place * 16
            self._map[at : at + 16] = bytes(16)
            self._free_limits.append(place)


class LastWords(logging.Handler):
    """Writes the latest warnings of a process onto its board.

    Parameters
    ----------
    board : RunningBoard
        Where they go.
    """

    def __init__(self, board: RunningBoard) -> None:
        super().__init__(logging.WARNING)
        self._board = board
        self._text = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one more line."""
        try:
            line = f"{record.levelname} {record.name}: {record.getMessage()}"
        except Exception:  # a record whose arguments do not fit its text
            return
        self._text = f"{self._text}\n{line}".strip()[-_WORDS // 4 :]
        self._board.write_words(self._text)


class BoardFile:
    """A board that a process to be started will write, and that is read when it is dead.

    Parameters
    ----------
    folder : str, optional
        Where its file is made; the folder of temporary files by default.
    """

    def __init__(self, folder: str | None = None) -> None:
        fd, self.path = tempfile.mkstemp(prefix="shoal-running-", dir=folder)
        try:
            os.write(fd, bytes(_SIZE))
        finally:
            os.close(fd)
        self._map = _map(self.path)

    def running(self) -> list[int]:
        """Return the numbers of the runs that were begun and had not ended."""
        with memoryview(self._map) as whole, whole[: SLOTS * 8] as part, part.cast("Q") as slots:
            return [run for run in slots if run]

    def overdue(self, now: float) -> list[int]:
        """Return the runs that go on though their time is over."""
        table = _LIMIT.iter_unpack(self._map[_LIMITS_AT:_SIZE])
        late = [run for run, until in table if run and until < now]
        return [run for run in self.running() if run in late] if late else []

    def words(self) -> str:
        """Return the latest warnings."""
        return self._map[SLOTS * 8 : _LIMITS_AT].rstrip(b"\0").decode(errors="replace").strip()

    def close(self) -> None:
        """Give the memory back, and remove the file if the process never came to it."""
        self._map.close()
        _remove(self.path)


def _map(path: str) -> mmap.mmap:
    fd = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
    try:
        return mmap.mmap(fd, _SIZE)
    finally:
        os.close(fd)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:  # it is gone, or mapped on a system where such files stay
        pass
