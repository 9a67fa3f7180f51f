"""Runs that must be alone on their worker, and the board that says what runs."""

from __future__ import annotations

import asyncio
import operator
import threading
from typing import Any

import msgspec

from shoal._base.running_board import BoardFile, RunningBoard
from shoal.task_context import secede
from shoal.wire import messages as m
from shoal.worker.core import TaskRun

from .harness import TIMEOUT, Bench

EVENTS: dict[str, threading.Event] = {}
SEEN: list[str] = []


def wait_for(name: str) -> None:
    SEEN.append(name)
    assert EVENTS[name].wait(TIMEOUT)


async def wait_on_loop(name: str) -> None:
    SEEN.append(name)
    while not EVENTS[name].is_set():
        await asyncio.sleep(0)


def secede_and_wait(name: str) -> None:
    secede()
    wait_for(name)


def events(*names: str) -> None:
    SEEN.clear()
    EVENTS.update({name: threading.Event() for name in names})


def alone(bench: Bench, function: Any, *args: Any) -> TaskRun:
    task = bench.task(function, *args)
    options = task.compute.options or m.TaskOptions()
    task.compute.options = msgspec.structs.replace(options, alone=True)
    return task


async def until(condition: Any) -> None:
    async with asyncio.timeout(TIMEOUT):
        while not condition():
            await asyncio.sleep(0)


def test_it_begins_when_the_others_have_ended_and_nothing_begins_beside_it() -> None:
    async def main() -> None:
        events("first", "alone", "later")
        async with Bench(nthreads=2) as bench:
            first = bench.submit(wait_for, "first")
            await until(lambda: SEEN == ["first"])
            lonely = alone(bench, wait_for, "alone")
            later = bench.task(wait_for, "later")
            bench.pool.submit([lonely, later])
            EVENTS["first"].set()
            await bench.outcome(first)
            await until(lambda: SEEN == ["first", "alone"])
            assert list(bench.pool.running) == [lonely]
            EVENTS["alone"].set()
            await until(lambda: SEEN == ["first", "alone", "later"])
            EVENTS["later"].set()
            await bench.outcome(later)

    asyncio.run(main())


def test_with_one_thread_the_rest_goes_on() -> None:
    async def main() -> None:
        events("a", "b")
        for event in EVENTS.values():
            event.set()
        async with Bench(nthreads=1) as bench:
            tasks = [alone(bench, wait_for, "a"), alone(bench, wait_for, "b")]
            plain = bench.task(operator.neg, 1)
            bench.pool.submit([plain, *tasks])
            for task in [*tasks, plain]:
                assert (await bench.outcome(task)).kind == "ok"
            assert not bench.pool._wanted_back

    asyncio.run(main())


def test_a_coroutine_is_alone_too() -> None:
    async def main() -> None:
        events("coroutine", "other")
        async with Bench(nthreads=2) as bench:
            lonely = alone(bench, wait_on_loop, "coroutine")
            other = alone(bench, wait_for, "other")
            bench.pool.submit([lonely, other])
            await until(lambda: SEEN == ["coroutine"])
            await asyncio.sleep(0)
            assert other in bench.pool.unstarted
            EVENTS["coroutine"].set()
            await until(lambda: SEEN == ["coroutine", "other"])
            EVENTS["other"].set()
            await bench.outcome(other)

    asyncio.run(main())


def test_one_that_secedes_lets_the_next_begin() -> None:
    """It may wait for the next."""

    async def main() -> None:
        events("parent", "child")
        async with Bench(nthreads=1) as bench:
            parent = alone(bench, secede_and_wait, "parent")
            child = alone(bench, wait_for, "child")
            bench.pool.submit([parent, child])
            await until(lambda: set(SEEN) == {"parent", "child"})
            EVENTS["child"].set()
            EVENTS["parent"].set()
            await bench.outcome(parent)
            await bench.outcome(child)

    asyncio.run(main())


def test_what_is_taken_back_keeps_nobody_waiting() -> None:
    async def main() -> None:
        events("first")
        async with Bench(nthreads=1) as bench:
            first = bench.submit(wait_for, "first")
            await until(lambda: SEEN == ["first"])
            lonely = alone(bench, operator.neg, 1)
            plain = bench.task(operator.neg, 2)
            bench.pool.submit([lonely, plain])
            assert bench.pool.revoke([lonely]) == ([lonely], [])
            EVENTS["first"].set()
            await bench.outcome(first)
            assert (await bench.outcome(plain)).kind == "ok"

    asyncio.run(main())


def test_the_board_says_what_runs() -> None:
    async def main() -> None:
        events("thread", "coroutine", "seceded")
        file = BoardFile()
        async with Bench(nthreads=1, board=RunningBoard(file.path)) as bench:
            assert file.running() == []
            tasks = [
                bench.submit(wait_on_loop, "coroutine"),
                bench.submit(secede_and_wait, "seceded"),
                bench.submit(wait_for, "thread"),
            ]
            await until(lambda: len(SEEN) == 3)
            assert sorted(file.running()) == sorted(task.run for task in tasks)
            for event in EVENTS.values():
                event.set()
            for task in tasks:
                await bench.outcome(task)
            await until(lambda: file.running() == [])
        file.close()

    asyncio.run(main())
