"""When a journal is written, synced, compacted, given up and begun anew."""

from __future__ import annotations

from shoal.scheduler.core.journal.format import compact, read
from shoal.scheduler.core.journal.recorder import VARIABLE, Change
from shoal.scheduler.core.journal.restoring import fold
from shoal.scheduler.core.journal.writer import JournalWriter


class FakeDisk:
    """Does what it is asked when the test says so."""

    def __init__(self) -> None:
        self.data = b""
        self.aside = b""
        self.full = False
        self.wishes: list[str] = []
        self.compaction = (0, 0)

    def append(self, data: bytes) -> None:
        self._look()
        self.data += data

    def read(self, start: int, stop: int) -> bytes:
        return self.data[start:stop]

    def replace(self, data: bytes) -> None:
        self._look()
        self.data = data

    def adopt(self, tail: bytes) -> None:
        self._look()
        self.data = self.aside + tail

    def sync_soon(self) -> None:
        self.wishes.append("sync")

    def compact_soon(self, size: int, nonce: int) -> None:
        self.wishes.append("compact")
        self.compaction = (size, nonce)

    def retry_later(self) -> None:
        self.wishes.append("retry")

    def _look(self) -> None:
        if self.full:
            raise OSError(28, "no space left on device")


class Journal:
    """A writer, and a state of variables of which it tells."""

    def __init__(self, policy: str = "turn", small: int = 2**20) -> None:
        self.disk = FakeDisk()
        self.alive: dict[str, int] = {}
        self.said: list[tuple[str, str]] = []
        self.went_on = 0
        self.writer = JournalWriter(
            self.disk,
            policy,
            self.snapshot,
            1,
            self.go_on,
            lambda *said: self.said.append(said),
            small,
        )
        self.writer.begin()

    def snapshot(self) -> list[Change]:
        return [(VARIABLE, name, value) for name, value in self.alive.items()]

    def go_on(self) -> None:
        self.went_on += 1

    def set(self, name: str, value: int) -> None:
        self.alive[name] = value
        self.writer.append([(VARIABLE, name, value)])

    def sync(self) -> None:
        self.disk.wishes.remove("sync")
        self.writer.sync_ended(self.writer.sync_begins(), None)

    @property
    def says(self) -> dict[str, int]:
        found = read(self.disk.data)
        assert not found.problem
        return {name: value for (_, name), value in fold(found.changes).items()}


def test_always_waits_for_the_disk_and_many_share_one_sync() -> None:
    journal = Journal("always")
    writer = journal.writer
    journal.set("x", 1)
    journal.set("y", 2)
    assert journal.disk.wishes == ["sync"]
    file = writer.sync_begins()
    journal.set("z", 3)
    assert (writer.position, writer.synced) == (3, 0)
    writer.sync_ended(file, None)
    assert writer.synced == 2
    assert journal.went_on == 1
    journal.sync()  # asked for z meanwhile, twice over all
    assert writer.synced == 3


def test_turn_waits_for_nobody_and_never_asks_for_nothing() -> None:
    journal = Journal("turn")
    journal.set("x", 1)
    assert journal.writer.synced == journal.writer.position == 1
    assert journal.disk.wishes == ["sync"]
    journal = Journal("never")
    journal.set("x", 1)
    assert journal.writer.synced == 1
    assert not journal.disk.wishes
    assert journal.says == {"x": 1}


def test_a_full_disk_is_said_and_all_is_there_when_there_is_room() -> None:
    journal = Journal("always")
    journal.set("x", 1)
    journal.disk.full = True
    journal.set("x", 2)
    assert journal.writer.suspended
    assert journal.writer.synced == journal.writer.position, "the cluster goes on"
    assert [level for level, _ in journal.said] == ["error"]
    journal.set("y", 3)
    journal.writer.retry()
    assert journal.disk.wishes.count("retry") == 2
    journal.disk.full = False
    journal.writer.retry()
    assert journal.says == {"x": 2, "y": 3}
    assert [level for level, _ in journal.said] == ["error", "warning"]
    journal.set("z", 4)
    assert journal.says == {"x": 2, "y": 3, "z": 4}


def test_after_a_sync_that_failed_all_is_written_anew() -> None:
    journal = Journal("always")
    journal.set("x", 1)
    journal.writer.sync_ended(journal.writer.sync_begins(), OSError(5, "input/output error"))
    assert journal.writer.suspended
    journal.writer.retry()
    assert journal.says == {"x": 1}


def test_a_word_about_a_file_that_was_replaced_is_dropped() -> None:
    journal = Journal("always")
    journal.set("x", 1)
    file = journal.writer.sync_begins()
    journal.disk.full = True
    journal.set("x", 2)
    journal.disk.full = False
    journal.writer.retry()
    journal.set("x", 3)
    journal.writer.sync_ended(file, None)
    assert journal.writer.synced < journal.writer.position


def test_its_size_is_bounded_by_what_is_alive() -> None:
    journal = Journal("turn", small=1000)
    most = 0
    for n in range(5000):
        journal.set(f"v{n % 5}", n)
        if "compact" in journal.disk.wishes:
            journal.disk.wishes.remove("compact")
            size, nonce = journal.disk.compaction
            made = compact(journal.disk.data[:size], nonce)
            journal.disk.aside = made.data
            journal.set("late", n)  # while it was made
            journal.writer.compacted(nonce, len(made.data), made.number, None)
        assert journal.writer.size == len(journal.disk.data)
        most = max(most, len(journal.disk.data))
    assert journal.says == journal.alive
    assert most < 2000
    assert not journal.said


def test_a_compaction_that_fails_is_said_and_nothing_is_lost() -> None:
    journal = Journal("turn", small=100)
    for n in range(20):
        journal.set("x", n)
    journal.writer.compacted(journal.disk.compaction[1], 0, 0, OSError(28, "no space left"))
    assert journal.says == {"x": 19}
    assert [level for level, _ in journal.said] == ["warning"]
