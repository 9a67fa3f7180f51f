"""Event loops with the methods of asyncio and of tornado."""

from __future__ import annotations

import asyncio
import datetime
import logging
import threading
from concurrent.futures import Future
from typing import Any

import pytest
from helpers import run
from tornado.ioloop import IOLoop

from shoal._base.both_loops import BothLoops, both_loops
from shoal._base.loop import LoopRunner


@pytest.fixture
def loop() -> BothLoops:
    """The shared loop, on its own thread."""
    runner = LoopRunner()
    runner.start()
    return both_loops(runner.loop)


def test_one_object_for_one_loop(loop: BothLoops) -> None:
    raw = loop.asyncio_loop
    assert isinstance(raw, asyncio.AbstractEventLoop)
    assert both_loops(raw) is loop and both_loops(loop) is loop
    assert loop == raw and raw == loop
    assert hash(loop) == hash(raw)
    assert loop.is_running()


def test_it_equals_tornados_loop_and_takes_its_place() -> None:
    async def main() -> None:
        tornado = IOLoop.current()
        face = both_loops(tornado)
        assert face == tornado and tornado == face
        assert face == asyncio.get_running_loop()

    run(main())


def test_add_callback_from_another_thread(loop: BothLoops) -> None:
    seen: Future[Any] = Future()

    async def say(x: int, y: int) -> None:
        seen.set_result((x, y, threading.current_thread().name))

    loop.add_callback(say, 1, y=2)
    assert seen.result(5) == (1, 2, "shoal-loop")
    plain: Future[int] = Future()
    loop.spawn_callback(plain.set_result, 3)
    assert plain.result(5) == 3


def test_asyncios_own_methods(loop: BothLoops) -> None:
    async def add(a: int, b: int) -> int:
        return a + b

    assert asyncio.run_coroutine_threadsafe(add(1, 2), loop).result(5) == 3  # type: ignore[arg-type]
    seen: Future[int] = Future()
    loop.call_soon_threadsafe(seen.set_result, 1)
    assert seen.result(5) == 1


def test_errors_of_callbacks_are_logged(loop: BothLoops, caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise ValueError("in a coroutine")

    def fail_at_once() -> None:
        raise ValueError("in a function")

    with caplog.at_level(logging.ERROR, "shoal.loop"):
        for function in (fail, fail_at_once):
            loop.add_callback(function)
        for _ in range(3):
            loop.run_sync(lambda: asyncio.sleep(0))
    errors = [str(record.exc_info[1]) for record in caplog.records if record.exc_info]
    assert sorted(errors) == ["in a coroutine", "in a function"]


def test_timers() -> None:
    async def main() -> list[tuple[Any, ...]]:
        loop = both_loops(asyncio.get_running_loop())
        seen: list[tuple[Any, ...]] = []
        over = loop.create_future()

        def see(*args: Any, **kwargs: Any) -> None:
            seen.append((*args, *kwargs.items()))

        loop.remove_timeout(loop.call_later(0, see, "never"))
        loop.call_later(0.001, see, "later", x=1)
        loop.call_at(loop.time() + 0.002, see, "at")
        loop.add_timeout(loop.time() + 0.003, see, "timeout")
        loop.add_timeout(datetime.timedelta(milliseconds=10), over.set_result, None)
        await over
        return seen

    assert run(main()) == [("later", ("x", 1)), ("at",), ("timeout",)]


def test_add_future_takes_both_kinds() -> None:
    async def main() -> None:
        loop = both_loops(asyncio.get_running_loop())
        both = loop.create_future()
        thread: Future[int] = Future()
        seen: list[int] = []

        def note(done: Any) -> None:
            seen.append(done.result())
            if len(seen) == 2:
                both.set_result(None)

        mine = loop.create_future()
        loop.add_future(mine, note)
        loop.add_future(thread, note)
        mine.set_result(1)
        threading.Thread(target=thread.set_result, args=(2,)).start()
        await both
        assert sorted(seen) == [1, 2]
        with pytest.raises(TypeError, match="add_future needs a future, got int: 3"):
            loop.add_future(3, note)  # type: ignore[arg-type]

    run(main())


def test_run_sync(loop: BothLoops) -> None:
    async def answer() -> int:
        return 42

    assert loop.run_sync(answer) == 42
    assert loop.run_sync(lambda: 43) == 43
    with pytest.raises(TimeoutError):
        loop.run_sync(lambda: asyncio.Event().wait(), timeout=0.01)
    own = both_loops(asyncio.new_event_loop())
    assert own.run_sync(answer) == 42
    own.close()
    own.add_callback(answer)  # closed: nothing happens


def test_run_sync_on_its_own_thread_is_refused() -> None:
    async def main() -> None:
        loop = both_loops(asyncio.get_running_loop())
        with pytest.raises(RuntimeError, match="own thread"):
            loop.run_sync(lambda: 1)

    run(main())
