"""The disk that a simulated scheduler journals to, and all that a file system may do to it.

Written bytes outlive the process, and the write that it died in may be torn. Where the host dies,
bytes that were not synced may be there in parts: a later write without an earlier one, whose place
is empty then, one of them torn, one of them twice. A file that was put in the place of another is
there whole, or the other still is.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from shoal.scheduler.core.journal import format as files
from shoal.scheduler.core.journal.restoring import fold

if TYPE_CHECKING:
    from shoal.scheduler.core import Machine
    from shoal.scheduler.core.journal.recorder import Change
    from shoal.scheduler.core.journal.writer import JournalWriter
    from shoal.simulation.clock import Clock

__all__ = ["DiskPort", "Platter", "SchedulerDied"]

SMALL = 3000  # bytes that a journal may have beyond what is alive
_RETRY = 0.5
_RECENT = 8


class SchedulerDied(BaseException):
    """The process ends here, in the midst of what it does."""


class Platter:
    """The file that outlives the scheduler.

    Parameters
    ----------
    seed : int
        Chance.
    clock : Clock
        Time.
    note : callable
        Called with the name of each fault.
    policy : str
        The sync policy of the journal. With ``"always"`` the host dies with the scheduler.
    """

    def __init__(self, seed: int, clock: Clock, note: Callable[[str], None], policy: str) -> None:
        self.clock = clock
        self._note = note
        self.policy = policy
        self.rng = Random(f"disk {seed}")
        self.data = b""
        self.safe = 0  # bytes that are on disk, whatever happens
        self.writes: list[int] = []  # where those end that are not
        self.recent: list[bytes] = []  # the last writes to this file
        self.kills_left = self.rng.randint(1, 4)
        self.share = self.rng.choice([0.01, 0.05, 0.2])  # of writes and syncs that are the last
        self.full_until = 0.0
        self.stopped = False

    @property
    def full(self) -> bool:
        """Whether nothing can be written at present."""
        return self.clock.now < self.full_until and not self.stopped

    def changes(self) -> list[Change]:
        """Return what a scheduler that starts anew reads."""
        return files.read(self.data).changes if self.data else []

    def may_die(self, where: str) -> bool:
        """Whether the scheduler dies at this point."""
        if self.stopped or not self.kills_left or self.rng.random() >= self.share:
            return False
        self.kills_left -= 1
        self._note(f"died-{where.replace(' ', '-')}")
        return True

    def put(self, data: bytes) -> None:
        """Write at the end."""
        self.data += data
        self.writes.append(len(self.data))
        self.recent = [*self.recent[-_RECENT:], data]

    def sync(self, size: int) -> None:
        """So many bytes are on disk from now on."""
        self.safe = max(self.safe, size)
        self.writes = [end for end in self.writes if end > self.safe]

    def place(self, data: bytes) -> None:
        """Put another file in the place of this one."""
        self.data, self.safe, self.writes, self.recent = data, len(data), [], []

    def crash(self) -> None:
        """The scheduler died; its host as well, where that may not matter."""
        rng = self.rng
        if self.policy == "always":
            self.data = self.data[: self.safe] + b"".join(self._left_of_writes())
        if self.recent and rng.random() < 0.3:
            self.data += rng.choice(self.recent)  # an append that was done twice
        self.safe, self.writes, self.recent = len(self.data), [], []

    def _left_of_writes(self) -> list[bytes]:
        """Return what is there of writes that were not synced."""
        rng = self.rng
        left: list[bytes] = []
        at = self.safe
        last = rng.randrange(len(self.writes) + 1)
        for end in self.writes[:last]:
            part = self.data[at:end]
            left.append(part if rng.random() < 0.6 else bytes(len(part)))
            at = end
        if left and rng.random() < 0.5:
            left[-1] = left[-1][: rng.randrange(len(left[-1]) + 1)]
        return left


class DiskPort:
    """One scheduler's way to the disk: `shoal.scheduler.core.journal.writer.Disk`.

    Parameters
    ----------
    platter : Platter
        The disk.
    lives : callable
        Says whether the scheduler is still there.
    died : callable
        Called when it dies in the midst of something that it did not do within an event.
    """

    def __init__(
        self, platter: Platter, lives: Callable[[], bool], died: Callable[[], None]
    ) -> None:
        self.writer: JournalWriter
        self._platter = platter
        self._lives = lives
        self._died = died
        self._aside = b""
        self._begun = False

    def _later(self, function: Callable[[], None], *seconds: float) -> None:
        def happen() -> None:
            if self._lives():
                try:
                    function()
                except SchedulerDied:
                    self._died()

        self._platter.clock.call_later(self._platter.rng.choice(seconds), happen)

    def append(self, data: bytes) -> None:
        """Write at the end, whole or not."""
        platter = self._platter
        if platter.may_die("writing"):
            platter.put(
                data[: platter.rng.choice([0, platter.rng.randrange(len(data)), len(data)])]
            )
            raise SchedulerDied
        if platter.full:
            platter.put(data[: platter.rng.randrange(len(data))])
            raise OSError(28, "no space left on device")
        platter.put(data)

    def read(self, start: int, stop: int) -> bytes:
        """Return a part of the file."""
        return self._platter.data[start:stop]

    def replace(self, data: bytes) -> None:
        """Put another file in its place."""
        # Not before it says that it keeps all again: until then it keeps nothing, and says so.
        may_die, self._begun = not self._begun, True
        self._place(data, "beginning" if may_die else "")

    def adopt(self, tail: bytes) -> None:
        """Put the file made aside in its place."""
        self._place(self._aside + tail, "compacting")

    def _place(self, data: bytes, where: str) -> None:
        platter = self._platter
        if platter.full:
            raise OSError(28, "no space left on device")
        dies = bool(where) and platter.may_die(where)
        if not dies or platter.rng.random() < 0.5:
            platter.place(data)
        if dies:
            raise SchedulerDied

    def sync_soon(self) -> None:
        """Sync at the end of the turn."""
        self._later(self._sync, 0.0, 0.001)

    def _sync(self) -> None:
        platter = self._platter
        file = self.writer.sync_begins()
        size = len(platter.data)
        same = platter.data

        def done() -> None:
            if not self.writer.suspended and platter.may_die("syncing"):
                raise SchedulerDied
            if platter.data[:size] == same:
                platter.sync(size)
            self.writer.sync_ended(file, None)
            if platter.may_die("having synced"):
                self._later(self._end, 0.0005, 0.005)

        self._later(done, 0.0, 0.001, 0.02, 0.1)

    def _end(self) -> None:
        if not self.writer.suspended:
            raise SchedulerDied

    def compact_soon(self, size: int, nonce: int) -> None:
        """Make a snapshot of the first bytes, aside."""
        data = self._platter.data[:size]

        def done() -> None:
            made = files.compact(data, nonce)
            self._aside = made.data
            self.writer.compacted(nonce, len(made.data), made.number, None)

        self._later(done, 0.0, 0.01, 0.1)

    def retry_later(self) -> None:
        """Try again in a while."""
        self._later(lambda: self.writer.retry(), _RETRY)


def check_journal(platter: Platter, machine: Machine) -> None:
    """Raise `AssertionError` unless the file says what there is."""
    written = fold(platter.changes())
    there = fold(files.read(files.encode_file(machine.snapshot(), 0).data).changes)
    differ = [key for key in written.keys() | there if written.get(key, "") != there.get(key, "")]
    assert not differ, f"the journal and the state differ: {differ[:5]}"
