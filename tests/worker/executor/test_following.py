"""Runs that follow others, on the pool's threads."""

from __future__ import annotations

import asyncio
import operator
from itertools import pairwise
from typing import Any

import pytest

from .harness import Bench
from .test_pool import Gate, wait_for


def _raise(*_: Any) -> None:
    raise ValueError("no")


@pytest.mark.parametrize("nthreads", [1, 3])
def test_a_chain_runs_without_the_loop(nthreads: int) -> None:
    async def main() -> None:
        async with Bench(nthreads=nthreads) as bench:
            tasks = [bench.task(operator.add, 0, 0)]
            for _ in range(100):
                tasks.append(bench.task(operator.add, 1, deps=[tasks[-1].key]))
            after = {task: (before,) for before, task in pairwise(tasks)}
            bench.pool.submit(tasks, after)
            await bench.until(lambda: len(bench.outcomes) == len(tasks))
            assert [outcome.value for outcome in bench.outcomes] == list(range(101))
            assert not bench.pool.fresh

    asyncio.run(main())


def test_it_waits_for_all_that_it_follows() -> None:
    async def main() -> None:
        gate = Gate("follow")
        async with Bench(nthreads=2) as bench:
            held = bench.task(wait_for, gate)
            quick = bench.task(operator.neg, 1)
            last = bench.task(_second, deps=[held.key, quick.key])
            bench.pool.submit([last, held, quick], {last: (held, quick)})
            await bench.outcome(quick)
            assert len(bench.outcomes) == 1
            gate.set()
            assert (await bench.outcome(last)).value == -1

    asyncio.run(main())


def _second(_: Any, second: int) -> int:
    return second


def test_what_it_follows_has_ended_and_the_loop_has_not_heard() -> None:
    async def main() -> None:
        async with Bench(nthreads=1) as bench:
            first = bench.submit(operator.neg, 7)
            while bench.pool.executing or bench.pool.ready:  # the loop has no chance to look
                pass
            task = bench.task(operator.neg, deps=[first.key])
            bench.pool.submit([task], {task: (first,)})
            assert (await bench.outcome(task)).value == 7

    asyncio.run(main())


def test_what_it_follows_ended_long_ago() -> None:
    async def main() -> None:
        async with Bench(nthreads=1) as bench:
            first = bench.submit(operator.neg, 7)
            await bench.outcome(first)
            task = bench.task(operator.neg, deps=[first.key])
            bench.pool.submit([task], {task: (first,)})
            assert (await bench.outcome(task)).value == 7

    asyncio.run(main())


def test_what_it_follows_fails() -> None:
    async def main() -> None:
        async with Bench(nthreads=1) as bench:
            first = bench.task(_raise)
            task = bench.task(operator.neg, deps=[first.key])
            bench.pool.submit([first, task], {task: (first,)})
            outcome = await bench.outcome(task)
            assert (outcome.kind, outcome.missing) == ("missing", (first.key,))

    asyncio.run(main())


def test_what_it_follows_is_taken_back() -> None:
    async def main() -> None:
        gate = Gate("follow-revoke")
        async with Bench(nthreads=1) as bench:
            busy = bench.submit(wait_for, gate)
            first = bench.task(operator.neg, 7)
            task = bench.task(operator.neg, deps=[first.key])
            bench.pool.submit([first, task], {task: (first,)})
            assert bench.pool.revoke([first]) == ([first], [])
            gate.set()
            await bench.outcome(busy)
            assert (await bench.outcome(task)).kind == "missing"

    asyncio.run(main())


def test_it_is_taken_back_itself() -> None:
    async def main() -> None:
        gate = Gate("follow-itself")
        async with Bench(nthreads=1) as bench:
            first = bench.submit(wait_for, gate)
            task = bench.task(_raise, deps=[first.key])
            bench.pool.submit([task], {task: (first,)})
            assert bench.pool.revoke([task]) == ([task], [])
            gate.set()
            await bench.outcome(first)
            assert (await bench.run(operator.neg, 1)).value == -1
            assert len(bench.outcomes) == 2

    asyncio.run(main())


def test_better_priorities_go_first() -> None:
    async def main() -> None:
        gate = Gate("follow-order")
        async with Bench(nthreads=1) as bench:
            first = bench.submit(wait_for, gate)
            others = [bench.task(operator.neg, i, priority=i) for i in range(10)]
            task = bench.task(_first, 5, deps=[first.key], priority=5)
            bench.pool.submit([*others, task], {task: (first,)})
            gate.set()
            await bench.until(lambda: len(bench.outcomes) == 12)
            keys = [outcome.key for outcome in bench.outcomes[1:]]
            assert keys.index(task.key) == 6

    asyncio.run(main())


def test_among_others_with_options() -> None:
    async def main() -> None:
        async with Bench(nthreads=1) as bench:
            first = bench.task(operator.neg, 7)
            other = bench.task(operator.neg, 1, executor="default")
            task = bench.task(operator.neg, deps=[first.key])
            bench.pool.submit([task, other, first], {task: (first,)})
            await bench.until(lambda: len(bench.outcomes) == 3)
            assert [outcome.value for outcome in bench.outcomes] == [-1, -7, 7]

    asyncio.run(main())


def _first(_: Any, first: int) -> int:
    return first
