"""Code that is stopped: in threads and coroutines; what was not meant goes on."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from helpers import until

from shoal.errors import TaskInterrupted, TaskTimeout
from shoal.task_context import secede
from shoal.wire.pickling import loads
from shoal.worker.core import Outcome, TaskRun

from .harness import Bench
from .test_pool import Gate, wait_for


def spin(began: Gate) -> None:
    began.set()
    while True:
        pass


def spin_without_a_place(began: Gate) -> None:
    secede()
    spin(began)


def spin_and_clean_up(began: Gate, cleaned: Gate) -> None:
    try:
        spin(began)
    except Exception:  # it is none
        raise AssertionError from None
    finally:
        cleaned.set()


def answer_all_the_same(began: Gate) -> int:
    try:
        spin(began)
    except BaseException:
        pass
    return 1


async def wait_long(began: Gate) -> None:
    began.set()
    await asyncio.Event().wait()


async def reach(bench: Bench, function: Any, *more: Any, **options: Any) -> TaskRun:
    """Submit a task and wait until its code is at work."""
    began = Gate(f"began {time.time()}")
    task = bench.submit(function, began, *more, **options)
    await until(began.is_set)
    return task


def error_of(outcome: Outcome) -> BaseException:
    assert outcome.kind == "error"
    error = loads(outcome.failure.exception)
    assert isinstance(error, BaseException)
    return error


@pytest.mark.parametrize("function", [spin, spin_without_a_place, wait_long])
def test_it_fails_and_says_where_it_was(function: Any) -> None:
    async def main() -> None:
        async with Bench() as bench:
            task = await reach(bench, function, timeout=5.0)
            await bench.until(lambda: bench.started == [(task.key, task.run)])
            [(stopped, where, elapsed)] = bench.pool.interrupt([task])
            assert stopped is task and elapsed >= 0
            name = "wait_long" if function is wait_long else "spin"
            assert f"in {name}" in where
            error = error_of(await bench.outcome(task))
            assert isinstance(error, TaskTimeout)
            assert (error.key, error.timeout, error.where) == (task.key, 5.0, where)
            assert (await bench.run(int, "3")).kind == "ok"

    asyncio.run(main())


def test_it_can_clean_up() -> None:
    async def main() -> None:
        async with Bench() as bench:
            cleaned = Gate("cleaned")
            task = await reach(bench, spin_and_clean_up, cleaned, timeout=5.0)
            bench.pool.interrupt([task])
            assert isinstance(error_of(await bench.outcome(task)), TaskTimeout)
            assert cleaned.is_set()

    asyncio.run(main())


def test_whatever_its_code_makes_of_it_its_time_was_over() -> None:
    async def main() -> None:
        async with Bench() as bench:
            task = await reach(bench, answer_all_the_same, timeout=5.0)
            bench.pool.interrupt([task])
            assert isinstance(error_of(await bench.outcome(task)), TaskTimeout)
            assert task.key not in bench.store

    asyncio.run(main())


def test_without_a_timeout_it_was_discarded_and_nobody_asks() -> None:
    async def main() -> None:
        async with Bench() as bench:
            task = await reach(bench, answer_all_the_same)
            bench.pool.discard([task])
            assert len(bench.pool.interrupt([task])) == 1
            assert (await bench.outcome(task)).kind == "discarded"

    asyncio.run(main())


def test_on_an_executor_of_the_user() -> None:
    async def main() -> None:
        async with Bench(executors={"mine": ThreadPoolExecutor(1)}) as bench:
            task = await reach(bench, spin, timeout=5.0, executor="mine")
            bench.pool.interrupt([task])
            assert isinstance(error_of(await bench.outcome(task)), TaskTimeout)
            assert (await bench.run(int, "3", executor="mine")).kind == "ok"

    asyncio.run(main())


def test_what_does_not_run_is_left_alone() -> None:
    async def main() -> None:
        async with Bench(nthreads=1) as bench:
            gate = Gate("closed")
            first = bench.submit(wait_for, gate, 1)
            second = bench.submit(wait_for, gate, 2)
            assert bench.pool.interrupt([second]) == []
            gate.set()
            assert [(await bench.outcome(task)).value for task in (first, second)] == [1, 2]
            assert bench.pool.interrupt([first, second]) == []
            assert (await bench.run(int, "3")).value == 3

    asyncio.run(main())


def test_an_exception_that_hits_another_run_has_it_run_again() -> None:
    """As would one that came too late."""

    def hit() -> None:
        raise TaskInterrupted

    async def main() -> None:
        async with Bench() as bench:
            assert (await bench.run(hit)).kind == "reschedule"

    asyncio.run(main())


def test_an_exception_in_the_pools_own_code_loses_no_run_and_no_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        async with Bench(nthreads=1) as bench:
            report = bench.pool.report
            hits = [TaskInterrupted()]

            def struck(task: TaskRun, outcome: Outcome, result: Any = None) -> None:
                if hits:
                    raise hits.pop()
                report(task, outcome, result)

            monkeypatch.setattr(bench.pool, "report", struck)
            assert (await bench.run(int, "3")).kind == "reschedule"
            for _ in range(3):
                assert (await bench.run(int, "3")).kind == "ok"
            assert bench.pool.executing == 0
            assert bench.pool._members == 1

    asyncio.run(main())


def test_a_thread_that_is_given_up_makes_room_for_another() -> None:
    async def main() -> None:
        async with Bench(nthreads=1) as bench:
            gate = Gate("stuck")
            stuck = bench.submit(wait_for, gate, 1, timeout=5.0)
            await bench.until(lambda: len(bench.started) == 1)
            bench.pool.abandon([stuck])
            assert (await bench.run(int, "3")).value == 3
            gate.set()
            assert (await bench.outcome(stuck)).value == 1
            threads = {thread.name for thread in threading.enumerate()}
            assert (await bench.run(int, "4")).value == 4
            assert bench.pool._members == 1, threads

    asyncio.run(main())


def test_only_runs_with_a_timeout_are_told_of() -> None:
    async def main() -> None:
        async with Bench() as bench:
            limited = bench.submit(int, "1", timeout=5.0)
            plain = [bench.submit(int, "2") for _ in range(5)]
            for task in (limited, *plain):
                await bench.outcome(task)
            await bench.until(lambda: bool(bench.started))
            assert bench.started == [(limited.key, limited.run)]

    asyncio.run(main())


def test_many_short_runs_and_exceptions_at_random_moments() -> None:
    """Each run ends once, as it should or to be run again, and the pool goes on."""

    async def main() -> None:
        async with Bench(nthreads=2) as bench:
            for i in range(300):
                tasks = [bench.submit(int, str(i), timeout=5.0) for _ in range(4)]
                if i % 3 == 0:
                    await asyncio.sleep(0)
                bench.pool.interrupt([tasks[i % 4]])
                kinds = [(await bench.outcome(task)).kind for task in tasks]
                assert kinds.count("ok") + kinds.count("reschedule") >= 3, kinds
            assert bench.pool.executing == bench.pool.ready == 0

    asyncio.run(main())
