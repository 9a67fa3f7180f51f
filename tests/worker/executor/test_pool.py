"""Tasks on the worker's threads."""

from __future__ import annotations

import asyncio
import operator
import pickle
import sys
import threading
import time
import weakref
from typing import Any

import numpy as np
import pytest
from helpers import until

from shoal.errors import Reschedule
from shoal.task_context import current_task, get_worker, on_worker, rejoin, secede
from shoal.worker.core import TaskRun
from shoal.worker.executor import places, pool
from shoal.worker.unreadable import Unreadable

from .harness import TIMEOUT, Bench

SHARED: dict[str, Any] = {}  # functions pickled by reference find it here


class Gate(threading.Event):
    """An event that tasks find by its name, for it cannot be pickled."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        SHARED[name] = self

    def __reduce__(self) -> Any:
        return find, (self.name,)


def find(name: str) -> Any:
    return SHARED[name]


def wait_for(gate: Gate, result: Any = None) -> Any:
    assert gate.wait(TIMEOUT)
    return result


def test_results_are_stored_and_described() -> None:
    async def main() -> None:
        async with Bench() as bench:
            before = time.time()
            task = bench.submit(operator.add, 1, 2)
            outcome = await bench.outcome(task)
            assert (outcome.kind, outcome.nbytes, outcome.type) == ("ok", sys.getsizeof(3), "int")
            assert (type(outcome.value), outcome.value) == (int, 3)
            assert before <= outcome.start <= outcome.stop <= time.time()
            assert bench.store.get(task.key) == 3
            assert bench.pool.executing == bench.pool.ready == 0

    asyncio.run(main())


def test_dependencies_take_their_places() -> None:
    async def main() -> None:
        async with Bench() as bench:
            bench.store.put("a", 10)
            bench.store.put("b", 3)
            task = bench.submit(operator.sub, deps=["a", "b"])
            await bench.outcome(task)
            assert bench.store.get(task.key) == 7
            outcome = await bench.run(operator.sub, deps=["a", "gone"])
            assert (outcome.kind, outcome.missing) == ("missing", ("gone",))
            bench.store.put("bad", Unreadable("bad", ImportError("no module named geo")))
            outcome = await bench.run(operator.neg, deps=["bad"])
            assert "no module named geo" in outcome.failure.exception_text

    asyncio.run(main())


def test_dependencies_that_came_with_the_task_are_not_looked_for() -> None:
    async def main() -> None:
        async with Bench() as bench:
            bench.store.put("b", "stored", 28)
            task = bench.task(lambda *args: args, deps=["a", "b", "c"])
            task.compute.dep_values = (7, None, pickle.dumps([1.5]))
            bench.pool.submit([task])
            assert (await bench.outcome(task)).kind == "ok"
            assert bench.store.get(task.key) == (7, "stored", [1.5])
            assert list(bench.store) == ["b", task.key]
            broken = bench.task(str, deps=["a"])
            broken.compute.dep_values = (b"no pickle",)
            bench.pool.submit([broken])
            outcome = await bench.outcome(broken)
            assert "input 'a' cannot be unpickled" in outcome.failure.exception_text

    asyncio.run(main())


def test_a_number_comes_along_though_no_client_waits_for_it() -> None:
    async def main() -> None:
        async with Bench() as bench:
            assert (await bench.run(int, 7, wanted=False)).value == 7
            assert (await bench.run(int, 2**70, wanted=False)).value is None
            assert (await bench.run(str, 7, wanted=False)).value is None

    asyncio.run(main())


@pytest.mark.parametrize(
    ("result", "inline"),
    [
        (2**70, True),
        (None, True),
        ("text", True),
        ({"a": [1, 2]}, True),
        (np.arange(3), True),
        (b"x" * 2000, False),
        (np.ones(1000), False),
        (b"", True),
    ],
)
def test_small_results_come_along(result: Any, inline: bool) -> None:
    async def main() -> None:
        async with Bench(inline_result=1024) as bench:
            outcome = await bench.run(lambda: result)
            assert (outcome.value is not None) == inline
            if outcome.value is not None:
                assert np.array_equal(pickle.loads(outcome.value), result)
            assert (await bench.run(lambda: result, wanted=False)).value is None

    asyncio.run(main())


def test_what_hides_its_size_or_cannot_be_pickled_does_not_come_along() -> None:
    def hides() -> Any:
        class Box:
            __sizeof__ = object.__sizeof__

        box = Box()
        box.content = b"x" * 1_000_000  # type: ignore[attr-defined]
        return box

    async def main() -> None:
        async with Bench() as bench:
            for function in (hides, threading.Lock, lambda: [b"x" * 500] * 20 + [b"y" * 100_000]):
                outcome = await bench.run(function)
                assert (outcome.kind, outcome.value) == ("ok", None)

    asyncio.run(main())


@pytest.mark.parametrize("kind", [ValueError, SystemExit, KeyboardInterrupt, GeneratorExit])
def test_whatever_a_task_raises_is_a_failure_and_no_dead_thread(kind: type) -> None:
    def fail() -> None:
        raise kind("what was wrong")

    async def main() -> None:
        async with Bench(nthreads=1) as bench:
            outcome = await bench.run(fail)
            assert outcome.kind == "error"
            error = pickle.loads(outcome.failure.exception.data)
            assert type(error) is kind
            assert "what was wrong" in outcome.failure.exception_text
            assert "in fail" in outcome.failure.traceback_text
            assert (await bench.run(operator.neg, 1)).kind == "ok"

    asyncio.run(main())


def test_reschedule_and_functions_that_are_not_there() -> None:
    def again() -> None:
        raise Reschedule

    async def main() -> None:
        async with Bench() as bench:
            assert (await bench.run(again)).kind == "reschedule"
            task = bench.task(operator.neg, 1)
            bench.functions.forget(task.compute.function)
            bench.pool.submit([task])
            outcome = await bench.outcome(task)
            assert "was not sent to this worker" in outcome.failure.exception_text

    asyncio.run(main())


def test_priorities_are_kept() -> None:
    async def main() -> None:
        gate = Gate("priorities")
        async with Bench(nthreads=1) as bench:
            bench.submit(wait_for, gate)
            tasks = [bench.task(operator.neg, i, priority=(i * 7) % 10) for i in range(10)]
            bench.pool.submit(tasks)
            gate.set()
            await bench.until(lambda: len(bench.outcomes) == 11)
            order = {task.key: task.compute.priority for task in tasks}
            got = [order[outcome.key] for outcome in bench.outcomes[1:]]
            assert got == sorted(got)

    asyncio.run(main())


def test_no_outcome_waits_for_a_long_run() -> None:
    async def main() -> None:
        gate = Gate("long")
        async with Bench(nthreads=1) as bench:
            short = [bench.task(operator.neg, i) for i in range(20)]
            long = bench.task(wait_for, gate, priority=1)
            bench.pool.submit([*short, long])
            await bench.until(lambda: len(bench.outcomes) == 20)
            assert not gate.is_set()
            assert bench.pool.executing == 1
            assert bench.pool.long_running_tasks(0.0).keys() == {long.key}
            assert bench.pool.long_running_tasks(1000.0) == {}
            gate.set()
            await bench.outcome(long)

    asyncio.run(main())


def test_a_long_run_does_not_hold_those_behind_it() -> None:
    async def main() -> None:
        gate = Gate("behind")
        async with Bench(nthreads=2) as bench:
            bench.pool.submit([bench.task(wait_for, gate), bench.task(operator.neg, 1)])
            bench.pool.submit([bench.task(operator.neg, i) for i in range(50)])
            await bench.until(lambda: len(bench.outcomes) == 51)
            gate.set()

    asyncio.run(main())


def test_short_runs_are_reported_together() -> None:
    async def main() -> None:
        async with Bench() as bench:
            bench.pool.submit([bench.task(operator.neg, i) for i in range(500)])
            while bench.pool.executing or bench.pool.ready:  # the loop has no chance to look
                time.sleep(0)
            await bench.until(lambda: len(bench.outcomes) == 500)
            assert len(bench.batches) < 10

    asyncio.run(main())


def test_the_loop_is_not_woken_for_each_short_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_TOGETHER", 60.0)
    monkeypatch.setattr(pool, "_LATEST", 60.0)
    monkeypatch.setattr(pool, "_POLL_INTERVAL", 60.0)

    async def main() -> None:
        async with Bench(nthreads=1) as bench:
            bench.pool.submit([bench.task(time.sleep, 0.001) for _ in range(50)])
            await bench.until(lambda: len(bench.outcomes) == 50)
            assert len(bench.batches) <= 5

    asyncio.run(main())


def test_what_did_not_start_can_be_revoked() -> None:
    async def main() -> None:
        gate = Gate("revoke")
        async with Bench(nthreads=1) as bench:
            running = bench.submit(wait_for, gate)
            await bench_until_started(bench, 1)
            a, b, c = (bench.submit(operator.neg, i) for i in range(3))
            assert bench.pool.ready == 3
            assert bench.pool.revoke([running, a]) == ([a], [running])
            assert bench.pool.discard([b]) == ([b], [])
            assert bench.pool.ready == 1
            gate.set()
            await bench.outcome(c)
            assert bench.pool.revoke([c]) == ([], [c])
            assert [o.key for o in bench.outcomes] == [running.key, c.key]
            assert running.key in bench.store

    asyncio.run(main())


async def bench_until_started(bench: Bench, count: int) -> None:
    async with asyncio.timeout(TIMEOUT):
        while bench.pool.executing < count:
            await asyncio.sleep(0)


def test_the_result_of_a_discarded_run_is_not_stored() -> None:
    async def main() -> None:
        gate = Gate("discard")
        async with Bench(nthreads=1) as bench:
            task = bench.submit(wait_for, gate, 1)
            await bench_until_started(bench, 1)
            assert bench.pool.discard([task]) == ([], [task])
            gate.set()
            assert (await bench.outcome(task)).kind == "discarded"
            assert task.key not in bench.store

    asyncio.run(main())


def test_many_revoked_runs_do_not_stay_in_the_queue() -> None:
    async def main() -> None:
        gate = Gate("sweep")
        async with Bench(nthreads=1) as bench:
            bench.submit(wait_for, gate)
            await bench_until_started(bench, 1)
            tasks = [bench.task(operator.neg, i) for i in range(1000)]
            bench.pool.submit(tasks)
            bench.pool.revoke(tasks[:900])
            assert bench.pool.ready == 100
            assert len(bench.pool._queue) < 300
            gate.set()
            await bench.until(lambda: len(bench.outcomes) == 101)
            assert bench.pool.ready == 0

    asyncio.run(main())


def test_a_paused_pool_starts_nothing() -> None:
    async def main() -> None:
        async with Bench() as bench:
            bench.pool.pause()
            task = bench.submit(operator.neg, 1)
            other = bench.submit(operator.neg, 1)
            assert bench.pool.revoke([other]) == ([other], [])
            assert bench.pool.ready == 1
            assert bench.pool.executing == 0
            bench.pool.resume()
            await bench.outcome(task)

    asyncio.run(main())


def test_tasks_know_where_they_are() -> None:
    def look() -> Any:
        task = current_task()
        assert task is not None
        return get_worker(), task.key, task.priority

    async def main() -> None:
        async with Bench() as bench:
            task = bench.submit(look, priority=4)
            await bench.outcome(task)
            assert bench.store.get(task.key) == ("the worker", task.key, (0.0, 0, 4))

    asyncio.run(main())
    with on_worker("w"):
        assert get_worker() == "w"
        assert current_task() is None
    for function in (get_worker, secede, rejoin):
        with pytest.raises(ValueError, match="only in"):
            function()


def wait_outside(gate: Gate) -> str:
    secede()
    secede()  # once is enough
    wait_for(gate)
    return threading.current_thread().name


def test_a_task_that_secedes_gives_its_thread_away() -> None:
    async def main() -> None:
        gate = Gate("secede")
        async with Bench(nthreads=1) as bench:
            tasks = [bench.submit(wait_outside, gate) for _ in range(3)]
            await bench.run(operator.neg, 1)
            await until(lambda: len(bench.seceded) == 3)
            assert sorted(bench.seceded) == [(task.key, task.run) for task in tasks]
            assert bench.pool.executing == 3
            gate.set()
            for task in tasks:
                await bench.outcome(task)
            assert len({bench.store.get(task.key) for task in tasks}) == 3
            async with asyncio.timeout(TIMEOUT):
                while len(bench.pool._threads) > 2:  # as many are kept to spare as run tasks
                    await asyncio.sleep(0)
            assert bench.pool._members == 1
            await bench.run(operator.neg, 1)

    asyncio.run(main())


def test_what_a_seceding_thread_had_taken_ahead_is_run_by_others() -> None:
    async def main() -> None:
        gate = Gate("ahead")
        async with Bench(nthreads=1) as bench:
            first = bench.task(wait_outside, gate)
            others = [bench.task(operator.neg, i) for i in range(20)]
            bench.pool.submit([first, *others])
            await bench.until(lambda: len(bench.outcomes) == 20)
            gate.set()
            await bench.outcome(first)

    asyncio.run(main())


def test_what_a_paused_thread_had_taken_ahead_is_run_later() -> None:
    async def main() -> None:
        gate = Gate("paused")
        async with Bench(nthreads=1) as bench:
            first = bench.task(wait_for, gate)
            bench.pool.submit([first, *[bench.task(operator.neg, i) for i in range(20)]])
            await bench_until_started(bench, 1)
            bench.pool.pause()
            gate.set()
            await bench.outcome(first)
            assert bench.pool.ready == 20
            bench.pool.resume()
            await bench.until(lambda: len(bench.outcomes) == 21)

    asyncio.run(main())


def test_threads_that_come_and_go_run_everything_once() -> None:
    """Many runs, some of which secede, rejoin, are revoked or discarded, under pauses."""

    def restless(kind: int) -> None:
        if kind % 5 == 0:
            secede()
        if kind % 10 == 0:
            rejoin()

    async def main() -> None:
        async with Bench(nthreads=3) as bench:
            tasks = [bench.task(restless, i) for i in range(1500)]
            gone: list[TaskRun] = []
            for i in range(0, len(tasks), 50):
                bench.pool.submit(tasks[i : i + 50])
                if i % 200 == 0:
                    bench.pool.pause()
                await asyncio.sleep(0)
                revoked, _ = bench.pool.revoke(tasks[i : i + 50 : 9])
                gone += revoked
                revoked, _ = bench.pool.discard(tasks[i + 1 : i + 50 : 9])
                gone += revoked
                bench.pool.resume()
            await bench.until(lambda: len(bench.outcomes) == len(tasks) - len(gone))
            ended = sorted(outcome.run for outcome in bench.outcomes)
            assert ended == sorted({task.run for task in tasks} - {task.run for task in gone})
            assert bench.pool.executing == bench.pool.ready == 0
            assert bench.pool.discarded == set()
            stored = {outcome.key for outcome in bench.outcomes if outcome.kind == "ok"}
            assert set(bench.store) == stored

    asyncio.run(main())


def note(text: str) -> None:
    SHARED["log"].append(text)


def leave_and_come_back(gate: Gate) -> None:
    secede()
    wait_for(gate)
    rejoin()
    note("back")


def work(gate: Gate) -> None:
    wait_for(gate)
    note("worked")


def test_rejoining_waits_for_room() -> None:
    async def main() -> None:
        SHARED["log"] = []
        leave, finish = Gate("leave"), Gate("finish")
        async with Bench(nthreads=1) as bench:
            first = bench.submit(leave_and_come_back, leave)
            await bench.until(lambda: bool(bench.seceded))
            second = bench.submit(work, finish)
            await bench_until_started(bench, 2)
            third = bench.task(note, "third")
            bench.pool.submit([third])
            leave.set()
            async with asyncio.timeout(TIMEOUT):
                while not bench.pool._returning:
                    await asyncio.sleep(0)
            finish.set()
            for task in (first, second, third):
                assert (await bench.outcome(task)).kind == "ok"
            assert SHARED["log"] == ["worked", "back", "third"]

    asyncio.run(main())


def test_rejoining_takes_the_place_of_an_idle_thread() -> None:
    def there_and_back() -> None:
        secede()
        rejoin()

    async def main() -> None:
        async with Bench(nthreads=2) as bench:
            tasks = [bench.submit(there_and_back) for _ in range(50)]
            for task in tasks:
                assert (await bench.outcome(task)).kind == "ok"
            async with asyncio.timeout(TIMEOUT):
                while len(bench.pool._threads) > 4:  # as many are kept to spare as run tasks
                    await asyncio.sleep(0)
            assert bench.pool._members <= 2

    asyncio.run(main())


def test_a_task_that_nobody_makes_room_for_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may hold what those wait for that have all the places."""
    monkeypatch.setattr(places, "_TIMEOUT", 0.05)

    def holds(lock: Gate, others_begin: Gate) -> None:
        secede()
        wait_for(others_begin)
        rejoin()
        lock.set()

    def wants(lock: Gate, others_begin: Gate) -> Any:
        others_begin.set()
        return wait_for(lock, True)

    async def main() -> None:
        lock, others_begin = Gate("lock"), Gate("others-begin")
        async with Bench(nthreads=1) as bench:
            first = bench.submit(holds, lock, others_begin)
            second = bench.submit(wants, lock, others_begin)
            for task in (first, second):
                assert (await bench.outcome(task)).kind == "ok"
            assert bench.store.get(second.key) is True
            await bench.run(operator.neg, 1)
            await until(lambda: bench.pool._members == 1)

    asyncio.run(main())


def test_closing_does_not_wait_for_tasks_that_do_not_end() -> None:
    async def main() -> None:
        gate = Gate("close")
        bench = Bench(nthreads=2)
        async with bench:
            bench.submit(wait_for, gate)
            await bench.run(operator.neg, 1)
            threads = list(bench.pool._threads)
            assert all(thread.daemon and thread.name.startswith("shoal") for thread in threads)
            before = time.monotonic()
            bench.pool.close(0.05)
            assert time.monotonic() - before < TIMEOUT / 2
            count = len(bench.outcomes)
            gate.set()
            for thread in threads:
                thread.join(TIMEOUT)
            await asyncio.sleep(0)
            assert len(bench.outcomes) == count  # nobody is told any more

    asyncio.run(main())


def test_an_idle_thread_keeps_nothing_alive() -> None:
    class Big:
        pass

    async def main() -> None:
        async with Bench(nthreads=1) as bench:
            big = Big()
            bench.store.put("big", big)
            ref = weakref.ref(big)
            del big
            await bench.run(lambda x: None, deps=["big"])
            bench.store.drop(["big"])
            async with asyncio.timeout(TIMEOUT):
                while ref() is not None:
                    await asyncio.sleep(0)

    asyncio.run(main())
