"""The pool: which file is taken for what, how many stay, for how long, and when all have to go."""

from __future__ import annotations

import asyncio
from typing import Any

import dask.config
import pytest
from helpers import run, until
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.shared_memory.pool import Pool, make_pool, tend


class Fake:
    """As an `OwnFile`, without memory."""

    reusable = True

    def __init__(self, capacity: int, free: bool = True) -> None:
        self.capacity, self.free, self.closed = capacity, free, False
        self.hidden = capacity // 2

    def claim(self) -> bool:
        assert not self.closed
        return self.free

    def close(self) -> None:
        assert not self.closed
        self.closed = True


def pool_of(*sizes: int, busy: tuple[int, ...] = (), max_bytes: int = 10_000) -> Any:
    pool: Any = Pool(max_bytes, 10.0)
    for size in sizes:
        pool.put(Fake(size, size not in busy))
    return pool


def sizes(pool: Any, nbytes: int) -> list[int]:
    return [file.capacity for file in pool.take(nbytes)]


@pytest.mark.parametrize(
    ("there", "busy", "nbytes", "taken"),
    [
        ((100, 120, 149, 200), (), 110, [120]),  # the smallest that is large enough
        ((100, 120, 149, 200), (120,), 110, [149]),  # that nobody reads
        ((100, 120), (120, 100), 110, []),
        ((151,), (), 100, []),  # too much would lie idle
        ((150,), (), 100, [150]),
        ((100, 100), (), 200, [100, 100]),
        ((100, 100), (), 250, [100, 100]),  # and a new file for the rest
        ((10, 10, 10), (), 200, []),  # not worth it
        ((50, 40, 60), (), 200, [60, 50, 40]),  # and a new one
        ((7,), (), 0, []),
    ],
)
def test_which_files_are_taken(there: Any, busy: Any, nbytes: int, taken: list[int]) -> None:
    pool = pool_of(*there, busy=busy)
    assert sizes(pool, nbytes) == taken
    assert pool.nbytes == sum(there) - sum(taken) and pool.files == len(there) - len(taken)
    assert sizes(pool, nbytes) != taken or not taken  # nothing is given twice


def test_the_oldest_leave_when_there_are_too_many() -> None:
    pool = pool_of(max_bytes=100)
    first, second, third, huge = Fake(40), Fake(50), Fake(30), Fake(101)
    for file in (first, second, third):
        pool.put(file)
    assert (first.closed, second.closed, third.closed) == (True, False, False)
    assert (pool.nbytes, pool.hidden, pool.files) == (80, 40, 2)
    pool.put(huge)
    assert huge.closed and pool.files == 2
    pool.limit_files(1)
    assert second.closed and not third.closed
    assert pool.shrink(0) == 0 and pool.shrink(1) == 30 and third.closed
    assert (pool.nbytes, pool.hidden, pool.files) == (0, 0, 0)


def test_few_files_stay_open() -> None:
    pool = pool_of(*[1] * 1000)
    assert pool.files == pool.nbytes == 128


def test_what_cannot_be_used_again_is_not_kept() -> None:
    pool, file = pool_of(), Fake(10)
    file.reusable = False
    pool.put(file)
    assert file.closed and pool.files == 0
    pool.close()
    late: Any = Fake(10)
    pool.put(late)
    assert late.closed and pool.files == 0


def test_what_lies_idle_leaves() -> None:
    now = 0.0
    pool: Any = Pool(1000, 10.0, clock=lambda: now)
    old, new = Fake(10), Fake(10)
    pool.put(old)
    now = 9.0
    pool.put(new)
    pool.drop_idle()
    assert pool.files == 2
    now = 10.0
    pool.drop_idle()
    assert old.closed and not new.closed


def test_a_task_sees_to_it_as_long_as_there_are_files() -> None:
    async def main() -> None:
        tasks: list[asyncio.Task[None]] = []
        loop = asyncio.get_running_loop()

        def start(coroutine: Any) -> asyncio.Task[None]:
            tasks.append(loop.create_task(coroutine))
            return tasks[-1]

        pool: Any = Pool(1000, 0.02)
        tend(pool, loop, start)
        for turn in (1, 2):
            files = [Fake(10), Fake(10)]
            for file in files:
                await asyncio.to_thread(pool.put, file)
            await until(lambda files=files: all(file.closed for file in files))
            await until(lambda: all(task.done() for task in tasks))
            assert len(tasks) == turn
        last = Fake(10)
        pool.put(last)
        await until(lambda: len(tasks) == 3)
        await asyncio.sleep(0)
        tasks[-1].cancel()
        await asyncio.wait(tasks)
        assert last.closed

    run(main())


def test_without_a_loop_nothing_is_kept() -> None:
    pool: Any = Pool(1000, 0.02)

    async def main() -> None:
        tend(pool, asyncio.get_running_loop(), asyncio.create_task)

    asyncio.run(main())
    file = Fake(10)
    pool.put(file)
    assert file.closed


def test_the_configuration_says_how_much() -> None:
    assert make_pool(1000).max_bytes == 500 and make_pool(1000).idle == 10
    with dask.config.set({"shoal.shared-memory": {"pool": 0, "pool-idle": "3s"}}):
        assert make_pool(1000).max_bytes == 0 and make_pool(1000).idle == 3
    with (
        dask.config.set({"shoal.shared-memory.pool": 2}),
        pytest.raises(ValueError, match=r"shared-memory\.pool"),
    ):
        make_pool(1000)


STEPS = st.tuples(
    st.sampled_from(["put", "take", "shrink", "limit", "idle", "free"]),
    st.integers(1, 60),
    st.booleans(),
)


@given(steps=st.lists(STEPS, max_size=40))
@settings(deadline=None)
def test_all_files_are_in_the_pool_taken_or_closed(steps: list[Any]) -> None:
    now = 0.0
    pool: Any = Pool(100, 5.0, clock=lambda: now)
    made: list[Fake] = []
    taken: list[Fake] = []
    for what, number, flag in steps:
        now += 1
        if what == "put":
            made.append(Fake(number, flag))
            pool.put(made[-1])
        elif what == "take":
            found = pool.take(number)
            assert all(file.free for file in found)
            assert sum(file.capacity for file in found) <= 1.5 * number
            taken += found
        elif what == "shrink":
            before = pool.nbytes
            assert pool.shrink(number) >= min(number, before)
        elif what == "limit":
            pool.limit_files(number // 10)
            assert pool.files <= number // 10
        elif what == "idle":
            pool.drop_idle()
        elif made:
            made[number % len(made)].free = flag
        there = [file for file in made if not file.closed and file not in taken]
        assert pool.files == len(there)
        assert pool.nbytes == sum(file.capacity for file in there) <= 100
        assert pool.hidden == sum(file.hidden for file in there)
    pool.close()
    assert all(file.closed != (file in taken) for file in made)
