"""Coroutines, and executors that users brought."""

from __future__ import annotations

import asyncio
import multiprocessing
import operator
import os
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import pytest

from shoal.task_context import get_worker, secede

from .harness import Bench


def test_coroutine_functions_run_on_the_loop_beside_each_other() -> None:
    async def where(x: int) -> Any:
        await asyncio.sleep(0)
        return x, threading.get_ident(), get_worker()

    async def fail() -> None:
        raise ValueError("in a coroutine")

    async def main() -> None:
        async with Bench(nthreads=1) as bench:
            task = bench.submit(where, 7)
            assert (await bench.outcome(task)).kind == "ok"
            assert bench.store.get(task.key) == (7, threading.get_ident(), "the worker")
            outcome = await bench.run(fail)
            assert "in a coroutine" in outcome.failure.exception_text
            assert bench.pool.executing == 0

    asyncio.run(main())


def test_coroutines_do_not_take_threads_and_end_with_the_pool() -> None:
    async def forever() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        async with Bench(nthreads=1) as bench:
            task = bench.submit(forever)
            await bench.run(operator.neg, 1)
            assert bench.pool.executing == 1
            assert bench.pool.discard([task]) == ([], [task])
        await asyncio.sleep(0)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            await asyncio.wait(others)
        assert [outcome.key for outcome in bench.outcomes] != [task.key]

    asyncio.run(main())


def test_named_executors_of_threads() -> None:
    def where() -> tuple[str, Any]:
        secede()
        return threading.current_thread().name, get_worker()

    async def main() -> None:
        gpu = ThreadPoolExecutor(1, thread_name_prefix="gpu")
        async with Bench(executors={"gpu": gpu}) as bench:
            task = bench.submit(where, executor="gpu")
            assert (await bench.outcome(task)).kind == "ok"
            assert bench.store.get(task.key) == ("gpu_0", "the worker")
            assert bench.seceded == [(task.key, task.run)]
            task = bench.submit(lambda: threading.current_thread().name, executor="default")
            await bench.outcome(task)
            assert bench.store.get(task.key).startswith("shoal")

    asyncio.run(main())


def test_a_default_executor_replaces_the_threads() -> None:
    async def main() -> None:
        mine = ThreadPoolExecutor(1, thread_name_prefix="mine")
        async with Bench(executors={"default": mine}) as bench:
            task = bench.submit(lambda: threading.current_thread().name)
            await bench.outcome(task)
            assert bench.store.get(task.key) == "mine_0"

    asyncio.run(main())


def test_an_unknown_executor_is_an_error_that_names_it() -> None:
    async def main() -> None:
        async with Bench(executors={"gpu": ThreadPoolExecutor(1)}) as bench:
            outcome = await bench.run(operator.neg, 1, executor="tpu")
            assert outcome.kind == "error"
            assert "'tpu'" in outcome.failure.exception_text
            assert "default, gpu" in outcome.failure.exception_text

    asyncio.run(main())


def test_an_executor_that_was_shut_down_is_an_error() -> None:
    async def main() -> None:
        gpu = ThreadPoolExecutor(1)
        async with Bench(executors={"gpu": gpu}) as bench:
            gpu.shutdown()
            outcome = await bench.run(operator.neg, 1, executor="gpu")
            assert "shutdown" in outcome.failure.exception_text

    asyncio.run(main())


def test_what_waits_in_an_executor_can_be_revoked_and_is_held_by_a_pause() -> None:
    async def main() -> None:
        gate = threading.Event()
        gpu = ThreadPoolExecutor(1)
        gpu.submit(gate.wait, 20)
        async with Bench(executors={"gpu": gpu}) as bench:
            a = bench.submit(operator.neg, 1, executor="gpu")
            assert bench.pool.revoke([a]) == ([a], [])
            bench.pool.pause()
            b = bench.submit(operator.neg, 1, executor="gpu")
            gate.set()
            await asyncio.to_thread(gpu.submit(bool).result, 20)
            assert bench.outcomes == []
            bench.pool.resume()
            await bench.outcome(b)
            assert [outcome.key for outcome in bench.outcomes] == [b.key]

    asyncio.run(main())


@pytest.mark.process
def test_executors_of_processes() -> None:
    def fail_there() -> None:
        raise LookupError("in another process")

    async def main() -> None:
        processes = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        async with Bench(executors={"processes": processes}) as bench:
            bench.store.put("a", 10)
            task = bench.submit(
                lambda x, y: (os.getpid(), x + y), 5, deps=["a"], executor="processes"
            )
            assert (await bench.outcome(task)).kind == "ok"
            pid, total = bench.store.get(task.key)
            assert pid != os.getpid()
            assert total == 15
            outcome = await bench.run(fail_there, executor="processes")
            assert "in another process" in outcome.failure.exception_text
            outcome = await bench.run(os._exit, 1, executor="processes")
            assert "BrokenProcessPool" in outcome.failure.exception_text
        processes.shutdown()

    asyncio.run(main())
