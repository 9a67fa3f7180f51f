"""Deliberate bugs in what carries out effects, and in the order of graphs: the simulator sees them.

Each effect of each core has a row in `TABLE`: whether it is seen that it is lost, carried out
twice, before all others or after all, or why that does no harm.

The real shells carry effects out with the same appliers: a bug that is seen here is one of theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import compress
from typing import Any, NamedTuple

import pytest

from shoal._base import applier as applying
from shoal._base.applier import Applier
from shoal.client.core.effects import Effects as ClientEffects
from shoal.client.core.pending_graphs import SubmissionOrder
from shoal.client.session.applier import ClientApplier
from shoal.scheduler.applier import SchedulerApplier
from shoal.scheduler.core import Effects as SchedulerEffects
from shoal.simulation import Coverage, run, run_seed
from shoal.simulation.ledger import AFTER
from shoal.simulation.profiles import JOURNAL
from shoal.worker.applier import WorkerApplier
from shoal.worker.core import Effects as WorkerEffects

FIELDS: dict[type[Applier[Any, Any, Any]], tuple[str, ...]] = {
    SchedulerApplier: SchedulerEffects.__struct_fields__,
    WorkerApplier: WorkerEffects.__struct_fields__,
    ClientApplier: ClientEffects.__struct_fields__,
}
EFFECTS = {
    SchedulerApplier: SchedulerEffects,
    WorkerApplier: WorkerEffects,
    ClientApplier: ClientEffects,
}


class Harmless(str):
    """Why the cluster bears a bug."""


class Caught(NamedTuple):
    """In which lives a bug is seen, at the latest: the kind, and the seeds."""

    kind: str | None
    seeds: Iterable[int]


class Row(NamedTuple):
    """One effect: what the simulator makes of it when it is lost, twice, first, or last of all."""

    lost: Caught | Harmless
    twice: Caught | Harmless
    early: Caught | Harmless
    late: Caught | Harmless


def near(*seeds: int, kind: str | None = None) -> Caught:
    """Some lives are tried first, for the sake of time: the bug was seen there."""
    return Caught(kind, dict.fromkeys((*seeds, *range(20))))


OFTEN = near()
JOINS = near(5, kind="members-change")
STOPS = near(1, 6, kind="tasks-overrun")
KEEPS = near(4, kind="tasks-overrun")
KEPT = Caught(JOURNAL, range(2))

FIRST = Harmless("it is the first, or comes before all that this core asks for with it")
LAST = Harmless("it is the last, or comes after all that this core asks for with it")
NO_STEP = Harmless("the step does nothing: it is done before, see the tests below")
PART = Harmless("the step does nothing: another step carries it out, with its own")
LATER = Harmless("the port only notes it: it happens in a later turn of the loop")
ALARM = Harmless("the port takes the earlier of two times, and rings in a later turn of the loop")
SPEED = Harmless("the order within a batch decides only how soon a thread or a peer begins")
OTHER_THINGS = Harmless("it concerns other things than what comes between: no port of these asks")
ALONE = Harmless(
    "no event both ends a client and changes its workers; `ended` itself wakes after it"
)
NO_PEER = Harmless("the peer is known, and hears nothing of the batch: none of it is for this one")

TABLE: dict[type[Applier[Any, Any, Any]], dict[str, Row]] = {
    SchedulerApplier: {
        "journal": Row(NO_STEP, NO_STEP, FIRST, NO_STEP),
        "to_workers": Row(OFTEN, OFTEN, FIRST, OFTEN),
        "to_clients": Row(OFTEN, OFTEN, SPEED, OFTEN),
        "rejected": Row(near(11), near(11), NO_PEER, OTHER_THINGS),
        "close_workers": Row(near(1), near(1), NO_PEER, OTHER_THINGS),
        "close_clients": Row(near(2), near(2), near(2), OTHER_THINGS),
        "left_clients": Row(OFTEN, OFTEN, OFTEN, OTHER_THINGS),
        "retired": Row(JOINS, JOINS, JOINS, OTHER_THINGS),
        "not_retired": Row(KEEPS, KEEPS, KEEPS, OTHER_THINGS),
        "idle": Row(near(1), near(1), FIRST, LAST),
        "more": Row(near(1), near(1), LATER, LATER),
        "next_deadline": Row(OFTEN, OFTEN, ALARM, LAST),
    },
    WorkerApplier: {
        "register": Row(OFTEN, OFTEN, FIRST, OTHER_THINGS),
        "keep": Row(OFTEN, OFTEN, FIRST, OFTEN),
        "define": Row(OFTEN, OFTEN, FIRST, OFTEN),
        "revoke": Row(OFTEN, OFTEN, OTHER_THINGS, near(3, kind="members-change")),
        "discard": Row(OFTEN, OFTEN, OTHER_THINGS, OFTEN),
        "drop": Row(OFTEN, OFTEN, OFTEN, OFTEN),
        "execute": Row(OFTEN, OFTEN, OFTEN, SPEED),
        "after": Row(PART, PART, PART, PART),
        "interrupt": Row(STOPS, STOPS, STOPS, SPEED),
        "abandon": Row(STOPS, STOPS, OTHER_THINGS, SPEED),
        "forget": Row(OFTEN, OFTEN, OTHER_THINGS, OTHER_THINGS),
        "fetch": Row(OFTEN, OFTEN, LATER, LATER),
        "call_back": Row(near(103), near(103), OTHER_THINGS, OTHER_THINGS),
        "pause": Row(near(3), near(3), OTHER_THINGS, near(3)),
        "resume": Row(near(3), near(3), OTHER_THINGS, near(3)),
        "refuse": Row(near(11), near(11), OTHER_THINGS, OTHER_THINGS),
        "evict": Row(OFTEN, OFTEN, LATER, LATER),
        "in_use": Row(PART, PART, PART, PART),
        "spare": Row(PART, PART, PART, PART),
        "reclaim": Row(OFTEN, OFTEN, LATER, LATER),
        "send": Row(OFTEN, OFTEN, OFTEN, SPEED),
        "deadline": Row(near(8), near(8), ALARM, ALARM),
        "leave": Row(near(3), near(3), LATER, LATER),
        "replace": Row(STOPS, STOPS, LATER, LATER),
        "close": Row(near(3), near(3), near(3), LAST),
    },
    ClientApplier: {
        "messages": Row(NO_STEP, NO_STEP, FIRST, NO_STEP),
        "cuts": Row(NO_STEP, NO_STEP, NO_STEP, NO_STEP),
        "refused": Row(near(1), near(1), FIRST, near(1)),
        "changed": Row(near(1), near(1), near(1), OTHER_THINGS),
        "news": Row(near(12), near(12), OTHER_THINGS, OTHER_THINGS),
        "events": Row(OFTEN, OFTEN, OTHER_THINGS, OTHER_THINGS),
        "lost": Row(near(8), near(8), OTHER_THINGS, OTHER_THINGS),
        "ended": Row(OFTEN, OFTEN, OTHER_THINGS, ALONE),
        "workers_changed": Row(OFTEN, OFTEN, OTHER_THINGS, LAST),
    },
}

CASES = [
    pytest.param(applier, field, bug, caught, id=f"{applier.__name__}-{field}-{bug}")
    for applier, rows in TABLE.items()
    for field, row in rows.items()
    for bug, caught in row._asdict().items()
    if isinstance(caught, Caught)
]


def is_seen(kind: str | None = None, seeds: Iterable[int] = range(40)) -> bool:
    return any(run_seed(seed, Coverage(), kind, tasks=12).failure is not None for seed in seeds)


def carry_out_in(
    monkeypatch: pytest.MonkeyPatch, applier: type[Applier[Any, Any, Any]], fields: list[str]
) -> None:
    """Have an applier take its steps in another order, or others."""

    def steps_to_take(steps: list[Any], asked_for: tuple[Any, ...]) -> Iterator[Any]:
        if not isinstance(steps[0].__self__, applier):
            return compress(steps, asked_for)
        known = dict(zip(FIELDS[applier], zip(steps, asked_for, strict=True), strict=True))
        return iter([known[field][0] for field in fields if known[field][1]])

    monkeypatch.setattr(applying, "compress", steps_to_take)
    monkeypatch.setattr(run, "_STEPS", 60_000)  # what goes round in circles, too, is soon over


def fields_with(applier: type[Applier[Any, Any, Any]], field: str, bug: str) -> list[str]:
    """Return the fields in the order of a bug."""
    others = [name for name in FIELDS[applier] if name != field]
    if bug == "twice":
        return [name for name in FIELDS[applier] for _ in range(1 + (name == field))]
    return {"lost": others, "early": [field, *others], "late": [*others, field]}[bug]


def test_each_effect_has_a_row() -> None:
    """A new effect gets one: where the simulator sees that it is lost, twice, or out of order."""
    assert {applier: tuple(rows) for applier, rows in TABLE.items()} == FIELDS
    for applier, rows in TABLE.items():
        for row in rows.values():
            assert all(why for why in row if isinstance(why, Harmless)), applier


def test_the_reasons_of_the_order_are_kept_by_it() -> None:
    for applier, fields in FIELDS.items():
        for field, before in AFTER[EFFECTS[applier]].items():
            for other in before:
                assert fields.index(other) < fields.index(field), f"{other} before {field}"


@pytest.mark.parametrize("applier", FIELDS)
def test_the_steps_as_they_are_are_good(applier: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the tests below would see something else than the bug."""
    carry_out_in(monkeypatch, applier, list(FIELDS[applier]))
    for caught in (OFTEN, JOINS, STOPS):
        for seed in list(caught.seeds)[:3]:
            result = run_seed(seed, Coverage(), caught.kind, tasks=12)
            assert result.failure is None, f"seed {seed}: {result.failure}"


@pytest.mark.parametrize(("applier", "field", "bug", "caught"), CASES)
def test_an_effect_that_is_lost_or_twice_or_out_of_order_is_seen(
    applier: Any, field: str, bug: str, caught: Caught, monkeypatch: pytest.MonkeyPatch
) -> None:
    carry_out_in(monkeypatch, applier, fields_with(applier, field, bug))
    assert is_seen(*caught)


def hold_with(written: int) -> Any:
    """Return a way to hold a batch that writes it so many times."""
    hold = SchedulerApplier._hold

    def changed(self: Any, effects: Any, send: Any) -> bool:
        for _ in range(written - 1):
            self._written.append(effects.journal)
        if not written:
            effects.journal = ()
        return hold(self, effects, send)

    return changed


@pytest.mark.parametrize("written", [0, 2])
def test_a_journal_that_is_not_written_or_twice_is_seen(
    written: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SchedulerApplier, "_hold", hold_with(written))
    assert is_seen(*KEPT)


@pytest.mark.parametrize("times", [0, 2])
def test_a_client_that_says_nothing_or_all_twice_is_seen(
    times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = ClientEffects.batches
    monkeypatch.setattr(ClientEffects, "batches", lambda self: times * batches(self))
    assert is_seen()


def test_tasks_that_do_not_wait_for_the_graph_they_need_are_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(SubmissionOrder, "_cause", lambda *args: None)
    assert is_seen()


def test_what_waits_and_is_forgotten_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SubmissionOrder, "_wait", lambda *args: None)
    assert is_seen()


def test_a_release_that_overtakes_its_task_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SubmissionOrder, "_take_keys", lambda self, event: self._carry_out(event))
    assert is_seen()


def test_graphs_that_fail_and_do_not_say_so_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SubmissionOrder, "_refuse_all", lambda *args: None)
    assert is_seen()
