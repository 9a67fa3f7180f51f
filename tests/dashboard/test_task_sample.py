"""All runs are shown while they are few, evenly chosen ones else, and failures always."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.dashboard.task_sample import TaskSample
from shoal.wire import messages as m
from shoal.wire.blob import Blob


def finished(keys: list[str]) -> m.Finished:
    n = len(keys)
    return m.Finished(keys, [0] * n, [-1] * n, ["int"] * n, [1.0] * n, [2.0] * n, [None] * n)


def failed(key: str) -> m.Failed:
    nothing = Blob(b"", [])
    return m.Failed(key, 0, nothing, nothing, "", "", 1.0, 2.0)


def test_few_runs_are_all_told_once() -> None:
    sample = TaskSample(10)
    sample.note("w", [finished(["a", "b"]), failed("c")])
    runs = sample.take()
    assert [(run.key, run.failed, run.nbytes) for run in runs] == [
        ("a", False, 0),
        ("b", False, 0),
        ("c", True, 0),
    ]
    assert sample.seen == 3 and sample.take() == []


@settings(deadline=None)
@given(
    sizes=st.lists(st.integers(0, 50), max_size=40),
    budget=st.integers(1, 60),
)
def test_many_runs_are_chosen_evenly_within_the_budget(sizes: list[int], budget: int) -> None:
    sample = TaskSample(budget)
    names = iter(range(10**6))
    for size in sizes:
        sample.note("w", [finished([str(next(names)) for _ in range(size)])])
    total = sum(sizes)
    chosen = [int(run.key) for run in sample.take()]
    assert sample.seen == total
    assert len(chosen) <= budget
    assert len(chosen) >= min(total, budget) // 2
    gaps = {b - a for a, b in pairwise(chosen)}
    assert len(gaps) <= 1  # every n-th of all, whatever the batches


def test_failures_are_told_also_where_runs_are_many() -> None:
    sample = TaskSample(10)
    sample.note("w", [finished([str(i) for i in range(1000)]), failed("bad")])
    assert "bad" in {run.key for run in sample.take()}


def test_other_messages_cost_nothing() -> None:
    sample = TaskSample(10)
    sample.note("w", [object()])
    assert sample.take() == [] and sample.seen == 0
