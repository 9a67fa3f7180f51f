"""The plan of a rebalance: what moves, and what it may never do."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shoal.scheduler.core.policies.rebalancing import Limits, plan_rebalance


def worker(*sizes: int, limit: int = 1000, running: bool = True, shared: bool = False) -> Any:
    ws = SimpleNamespace(
        info=SimpleNamespace(memory_limit=limit), running=running, pending={}, held={}
    )
    # Compared and hashed by identity, as the real ones are.
    ws = type("Worker", (), vars(ws))()
    for i, size in enumerate(sizes):
        ts = type("Task", (), {})()
        ts.key, ts.nbytes, ts.dependents = f"{id(ws)}-{i}", size, None
        ts.who_has = (ws, ws) if shared else (ws,)
        ts.options = SimpleNamespace(actor=False)
        ws.held[i] = ts
    return ws


def plan(*workers: Any, limits: Limits = Limits(), keys: Any = None) -> list[Any]:  # noqa: B008
    used = {ws: sum(ts.nbytes for ts in ws.held.values()) for ws in workers}
    return plan_rebalance(workers, used, limits, keys)


def test_half_of_it_moves_oldest_first() -> None:
    a, b = worker(*[100] * 8), worker()
    moves = plan(a, b)
    assert [m.task for m in moves] == list(a.held.values())[:4]
    assert all(m.sender is a and m.recipient is b for m in moves)


def test_what_stays() -> None:
    assert plan(worker(100, 100), worker()) == [], "below sender-min"
    assert plan(worker(*[100] * 6), worker(*[110] * 5)) == [], "within the gap"
    assert plan(worker(*[100] * 8), worker(running=False)) == [], "nobody takes"
    assert plan(worker(*[100] * 8, shared=True), worker()) == [], "there are copies"
    assert plan(worker(800), worker()) == [], "it would only swap"
    assert plan(worker(*[100] * 8)) == [], "alone"
    assert plan() == []
    full = worker(*[100] * 7)
    assert plan(worker(*[300] * 8, limit=3000), full) == [], "above recipient-max"
    a = worker(*[100] * 8)
    (first, *_) = a.held.values()
    assert [m.task for m in plan(a, worker(), keys={first.key})] == [first]


@given(st.lists(st.lists(st.integers(1, 300), max_size=12), min_size=2, max_size=6))
def test_no_worker_gets_worse_than_the_worst_and_the_spread_never_grows(
    sizes: list[list[int]],
) -> None:
    workers = [worker(*some, limit=0) for some in sizes]
    used = {ws: sum(ts.nbytes for ts in ws.held.values()) for ws in workers}
    spread = max(used.values()) - min(used.values())
    seen = set()
    for move in plan(*workers):
        assert move.task not in seen
        seen.add(move.task)
        assert move.sender is not move.recipient
        used[move.sender] -= move.task.nbytes
        used[move.recipient] += move.task.nbytes
        assert used[move.sender] >= 0
        now = max(used.values()) - min(used.values())
        assert now <= spread
        spread = now
