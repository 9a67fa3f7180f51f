"""Schedulers with a journal die at any write, and what was acknowledged is there. Bugs are seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from shoal.scheduler.applier import SchedulerApplier
from shoal.scheduler.core.coordination.queue import Queue
from shoal.scheduler.core.coordination.state import CoordinationState
from shoal.scheduler.core.journal import format as files
from shoal.scheduler.core.journal import recorder as r
from shoal.scheduler.core.journal import restoring
from shoal.scheduler.core.journal.recorder import Recorder
from shoal.scheduler.core.journal.writer import JournalWriter
from shoal.simulation import Coverage, journal_disk, run_seed
from shoal.simulation.profiles import JOURNAL


@pytest.mark.parametrize("block", range(8))
def test_what_was_acknowledged_is_there_wherever_the_scheduler_died(block: int) -> None:
    for seed in range(25 * block, 25 * block + 25):
        result = run_seed(seed, Coverage(), JOURNAL, tasks=3)
        assert result.failure is None, f"seed {seed}: {result.failure}"


def is_seen() -> bool:
    seeds = range(1000, 1060)
    return any(run_seed(seed, Coverage(), JOURNAL, tasks=3).failure is not None for seed in seeds)


Patch = Callable[[pytest.MonkeyPatch], None]


def answers_before_the_sync(patch: pytest.MonkeyPatch) -> None:
    def hold(self: Any, effects: Any, send: Any) -> bool:
        if effects.journal:
            self._written.append(effects.journal)
        return False

    patch.setattr(SchedulerApplier, "_hold", hold)


def answers_before_the_write(patch: pytest.MonkeyPatch) -> None:
    def hold(self: Any, effects: Any, send: Any) -> bool:
        return False

    def write(self: Any, effects: Any, send: Any) -> None:
        self._written.append(effects.journal)

    patch.setattr(SchedulerApplier, "_hold", hold)
    patch.setattr(SchedulerApplier, "_more", write)  # long after the answers
    patch.setattr(SchedulerApplier, "_journal", lambda self, effects, send: None)
    patch.setattr(SchedulerApplier, "_next_deadline", after(write, SchedulerApplier._next_deadline))


def after(first: Any, then: Any) -> Any:
    def both(self: Any, effects: Any, send: Any) -> None:
        then(self, effects, send)
        if effects.journal:
            first(self, effects, send)

    return both


def serves_the_last_putter_first(patch: pytest.MonkeyPatch) -> None:
    serve = Queue.serve

    def backwards(self: Queue, coordination: CoordinationState) -> None:
        self.putters = dict(reversed(self.putters.items()))
        serve(self, coordination)

    patch.setattr(Queue, "serve", backwards)


def takes_a_sync_for_a_later_write(patch: pytest.MonkeyPatch) -> None:
    ended = JournalWriter.sync_ended

    def sync_ended(self: JournalWriter, file: int, error: OSError | None) -> None:
        self._covered = self.position
        ended(self, file, error)

    patch.setattr(JournalWriter, "sync_ended", sync_ended)


def loses(kind: int) -> Patch:
    def lose(patch: pytest.MonkeyPatch) -> None:
        put = Recorder.put

        def put_most(self: Recorder, k: int, key: Any, value: Any = None) -> None:
            if k != kind:
                put(self, k, key, value)

        patch.setattr(Recorder, "put", put_most)

    return lose


def keeps(kind: int) -> Patch:
    def keep(patch: pytest.MonkeyPatch) -> None:
        drop = Recorder.drop

        def drop_most(self: Recorder, k: int, key: Any) -> None:
            if k != kind:
                drop(self, k, key)

        patch.setattr(Recorder, "drop", drop_most)

    return keep


def loses_a_record(patch: pytest.MonkeyPatch) -> None:
    append = JournalWriter.append

    def most(self: JournalWriter, changes: Any) -> None:
        self.lost = getattr(self, "lost", 0) + 1  # type: ignore[attr-defined]
        append(self, changes if self.lost % 20 else [])  # type: ignore[attr-defined]

    patch.setattr(JournalWriter, "append", most)


def does_not_cut_the_tail(patch: pytest.MonkeyPatch) -> None:
    """It goes on writing to the file that is there, behind what is no record."""
    begin = JournalWriter.begin

    def go_on(self: JournalWriter) -> None:
        data = self._disk._platter.data  # type: ignore[attr-defined]
        begin(self)
        if data:
            self._disk._platter.place(data + self._disk._platter.data)  # type: ignore[attr-defined]

    patch.setattr(JournalWriter, "begin", go_on)


def takes_a_record_that_is_there_twice(patch: pytest.MonkeyPatch) -> None:
    def payloads(data: bytes, nonce: int, start: int, last: int | None) -> Iterable[Any]:
        at = start
        while len(data) - at >= 16:
            length, checksum, number = files._RECORD.unpack_from(data, at)
            payload = memoryview(data)[at + 16 : at + 16 + length]
            at += 16 + length
            if at > len(data) or files._checksum(payload, nonce, number) != checksum:
                return
            yield payload, at

    patch.setattr(files, "_payloads", payloads)


def compacts_too_much(patch: pytest.MonkeyPatch) -> None:
    compact = files.compact

    def some(data: bytes, nonce: int) -> files.Written:
        made = files.read(compact(data, nonce).data).changes
        return files.encode_file(made[: len(made) * 3 // 4], nonce)

    patch.setattr(files, "compact", some)


def compacts_without_the_tail(patch: pytest.MonkeyPatch) -> None:
    adopt = journal_disk.DiskPort.adopt
    patch.setattr(journal_disk.DiskPort, "adopt", lambda self, tail: adopt(self, b""))


def begins_again_without_a_snapshot(patch: pytest.MonkeyPatch) -> None:
    def retry(self: JournalWriter) -> None:
        if self._disk._platter.full:  # type: ignore[attr-defined]
            self._disk.retry_later()
        else:
            self.suspended = False

    patch.setattr(JournalWriter, "retry", retry)


def forgets_what_was_answered(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(CoordinationState, "repeat", lambda self, request: False)


def gives_back_what_is_on_its_way(patch: pytest.MonkeyPatch) -> None:
    restore = restoring._restore_coordination

    def at_once(coordination: CoordinationState, rows: Any) -> None:
        restore(coordination, rows)
        for client in list(coordination.unacked):
            for id in list(coordination.unacked[client]):
                coordination.return_delivery(client, id)

    patch.setattr(restoring, "_restore_coordination", at_once)


BUGS: list[Patch] = [
    serves_the_last_putter_first,
    answers_before_the_sync,
    answers_before_the_write,
    takes_a_sync_for_a_later_write,
    loses_a_record,
    does_not_cut_the_tail,
    takes_a_record_that_is_there_twice,
    compacts_too_much,
    compacts_without_the_tail,
    begins_again_without_a_snapshot,
    forgets_what_was_answered,
    gives_back_what_is_on_its_way,
]
LOST = [
    r.ITEM,
    r.DELIVERY,
    r.VARIABLE,
    r.DATASET,
    r.FLAG,
    r.HELD,
    r.ANSWER,
    r.TASK,
    r.FIRED,
    r.NOTE,
]
KEPT = [r.ITEM, r.DELIVERY, r.VARIABLE, r.DATASET, r.FLAG, r.HELD]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_a_deliberate_bug_is_seen(bug: Patch, monkeypatch: pytest.MonkeyPatch) -> None:
    without_the_comparison(monkeypatch)
    bug(monkeypatch)
    assert is_seen()


@pytest.mark.parametrize("kind", LOST)
def test_a_kind_of_change_that_is_not_written_is_seen(
    kind: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_the_comparison(monkeypatch)
    loses(kind)(monkeypatch)
    assert is_seen()


@pytest.mark.parametrize("kind", KEPT)
def test_a_kind_of_end_that_is_not_written_is_seen(
    kind: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeps(kind)(monkeypatch)
    assert is_seen()


def without_the_comparison(patch: pytest.MonkeyPatch) -> None:
    """Clients see it, not the comparison of the file with the state."""
    patch.setattr("shoal.simulation.scheduler_node.check_journal", lambda platter, machine: None)
