"""Deliberate bugs in what carries out effects, and in the order of graphs: the simulator sees them.

The real shells carry effects out with the same appliers: a bug that is seen here is one of theirs.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import compress
from typing import Any

import pytest

from shoal._base import applier as applying
from shoal._base.applier import Applier
from shoal.client.core.effects import Effects as ClientEffects
from shoal.client.core.pending_graphs import SubmissionOrder
from shoal.client.session.applier import ClientApplier
from shoal.scheduler.applier import SchedulerApplier
from shoal.scheduler.core import Effects as SchedulerEffects
from shoal.simulation import Coverage, run, run_seed
from shoal.worker.applier import WorkerApplier
from shoal.worker.core import Effects as WorkerEffects

FIELDS = {
    SchedulerApplier: SchedulerEffects.__struct_fields__,
    WorkerApplier: WorkerEffects.__struct_fields__,
    ClientApplier: ClientEffects.__struct_fields__,
}

# Effects whose loss is seen soon. The others are for people, or lost peers make up for them.
LOST = [
    (SchedulerApplier, "to_workers"),
    (SchedulerApplier, "to_clients"),
    (SchedulerApplier, "retired"),
    (SchedulerApplier, "more"),
    (SchedulerApplier, "next_deadline"),
    (WorkerApplier, "register"),
    (WorkerApplier, "keep"),
    (WorkerApplier, "define"),
    (WorkerApplier, "discard"),
    (WorkerApplier, "drop"),
    (WorkerApplier, "evict"),
    (WorkerApplier, "interrupt"),
    (WorkerApplier, "revoke"),
    (WorkerApplier, "execute"),
    (WorkerApplier, "fetch"),
    (WorkerApplier, "resume"),
    (WorkerApplier, "send"),
    (ClientApplier, "changed"),
]

# Effects that may not be carried out twice. The others change nothing the second time: a worker
# knows a task that it was told of before.
TWICE = [
    (SchedulerApplier, "to_clients"),
    (WorkerApplier, "register"),
    (WorkerApplier, "revoke"),
    (WorkerApplier, "execute"),
]

# Effects that come too late when they come after another one.
TOO_LATE = [
    (WorkerApplier, "keep", "execute"),
    (WorkerApplier, "define", "execute"),
]


def is_seen(kind: str | None = None) -> bool:
    return any(run_seed(seed, Coverage(), kind, tasks=12).failure is not None for seed in range(40))


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


@pytest.mark.parametrize("applier", FIELDS)
def test_the_steps_as_they_are_are_good(applier: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the tests below would see something else than the bug."""
    carry_out_in(monkeypatch, applier, list(FIELDS[applier]))
    for seed in range(10):
        result = run_seed(seed, Coverage(), tasks=12)
        assert result.failure is None, f"seed {seed}: {result.failure}"


@pytest.mark.parametrize(("applier", "lost"), LOST)
def test_a_lost_effect_is_seen(applier: Any, lost: str, monkeypatch: pytest.MonkeyPatch) -> None:
    carry_out_in(monkeypatch, applier, [name for name in FIELDS[applier] if name != lost])
    assert is_seen()


@pytest.mark.parametrize(("applier", "twice"), TWICE)
def test_an_effect_carried_out_twice_is_seen(
    applier: Any, twice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = [name for name in FIELDS[applier] for _ in range(1 + (name == twice))]
    carry_out_in(monkeypatch, applier, fields)
    assert is_seen()


@pytest.mark.parametrize(("applier", "late", "after"), TOO_LATE)
def test_an_effect_that_comes_too_late_is_seen(
    applier: Any, late: str, after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = [name for name in FIELDS[applier] if name != late]
    fields.insert(fields.index(after) + 1, late)
    carry_out_in(monkeypatch, applier, fields)
    assert is_seen() or is_seen("calm")  # where nothing is lost, no input may be missing


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
