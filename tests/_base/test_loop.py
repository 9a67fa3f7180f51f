"""The shared loop thread and blocking calls into it."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import subprocess
import sys
import threading

import dask
import pytest
from helpers import run

from shoal._base.loop import LoopRunner, SyncMethodMixin, as_asyncio_loop, new_event_loop, sync

variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)


async def add(a: int, b: int = 1) -> int:
    await asyncio.sleep(0)
    return a + b


def test_sync_runs_coroutines_and_functions_on_the_shared_loop() -> None:
    runner = LoopRunner()
    assert runner.run_sync(add, 1, b=2) == 3
    name = runner.run_sync(lambda: threading.current_thread().name)
    assert name == "shoal-loop"
    assert LoopRunner().loop is runner.loop
    assert runner.is_started()


def test_errors_come_back() -> None:
    async def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        LoopRunner().run_sync(fail)


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_an_exit_inside_a_call_does_not_end_the_loop(kind: type[BaseException]) -> None:
    async def leave() -> None:
        raise kind("bye")

    def leave_at_once() -> None:
        raise kind("bye")

    runner = LoopRunner()
    for function in (leave, leave_at_once):
        with pytest.raises(kind):
            runner.run_sync(function)
    assert runner.run_sync(add, 1) == 2


def test_timeout_cancels_the_call() -> None:
    runner = LoopRunner()
    cancelled = threading.Event()

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    runner.start()
    with pytest.raises(TimeoutError, match=r"forever took longer than 0\.01 s"):
        sync(runner.loop, forever, callback_timeout=0.01)
    assert cancelled.wait(5)


def test_context_variables_are_those_of_the_caller() -> None:
    async def read() -> int:
        return variable.get()

    token = variable.set(5)
    try:
        assert LoopRunner().run_sync(read) == 5
    finally:
        variable.reset(token)


def test_a_call_on_the_loops_own_thread_is_refused() -> None:
    runner = LoopRunner()

    async def nested() -> None:
        sync(runner.loop, add, 1)

    with pytest.raises(RuntimeError, match="wait for itself"):
        runner.run_sync(nested)


def test_a_closed_loop_is_an_error() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    with pytest.raises(RuntimeError, match="closed"):
        sync(loop, add, 1)


def test_asynchronous_runner_takes_the_running_loop() -> None:
    with pytest.raises(RuntimeError, match="running event loop"):
        _ = LoopRunner(asynchronous=True).loop

    async def main() -> None:
        runner = LoopRunner(asynchronous=True)
        runner.start()
        assert runner.loop is asyncio.get_running_loop()

    run(main())


def test_a_given_loop_is_run_and_stopped() -> None:
    loop = asyncio.new_event_loop()
    runner = LoopRunner(loop)
    assert runner.run_sync(add, 2) == 3
    runner.stop()
    assert not loop.is_running() and not loop.is_closed()
    loop.close()


def test_loops_of_tornado_are_understood() -> None:
    class IOLoop:
        asyncio_loop = asyncio.new_event_loop()

    assert as_asyncio_loop(IOLoop()) is IOLoop.asyncio_loop
    IOLoop.asyncio_loop.close()
    with pytest.raises(TypeError, match=r"loop= must be an event loop, got int: 5"):
        as_asyncio_loop(5)


def test_kind_of_loop() -> None:
    with dask.config.set({"distributed.admin.event-loop": "asyncio"}):
        loop = new_event_loop()
        assert type(loop).__module__.startswith("asyncio")
        loop.close()
    kinds = []
    for kind in ("auto", "tornado"):  # an installed `distributed` sets the latter when imported
        with dask.config.set({"distributed.admin.event-loop": kind}):
            loop = new_event_loop()
            kinds.append(type(loop))
            loop.close()
    assert kinds[0] is kinds[1]
    twisted = dask.config.set({"distributed.admin.event-loop": "twisted"})
    with twisted, pytest.raises(ValueError, match="twisted"):
        new_event_loop()


class Thing(SyncMethodMixin):
    def __init__(self, asynchronous: bool = False) -> None:
        self._asynchronous = asynchronous
        self._loop_runner = LoopRunner(asynchronous=asynchronous)
        self._loop_runner.start()

    async def _double(self, x: int) -> int:
        return 2 * x

    def double(self, x: int, **kwargs: float) -> object:
        return self.sync(self._double, x, **kwargs)  # type: ignore[call-overload]

    async def _use(self) -> object:
        return await self.double(4)  # type: ignore[misc]


def test_mixin_blocks_or_gives_an_awaitable() -> None:
    thing = Thing()
    assert not thing.asynchronous
    assert thing.double(2) == 4
    # From a coroutine on its own loop a synchronous object is asynchronous too.
    assert thing.sync(thing._use) == 8

    async def main() -> None:
        thing = Thing(asynchronous=True)
        assert thing.asynchronous
        assert await thing.double(3, callback_timeout=1) == 6  # type: ignore[misc]
        # A synchronous object in another loop's coroutine blocks: that is what was asked for.
        assert Thing().double(5) == 10

    run(main())


SCRIPT = """
import asyncio, signal, sys, threading
from shoal._base.loop import LoopRunner
runner = LoopRunner()
state = []
async def forever():
    try:
        print("waiting", flush=True)
        await asyncio.Event().wait()
    finally:
        state.append("cancelled")
async def seen():
    while not state:  # the cancellation takes effect in one of the loop's next turns
        await asyncio.sleep(0)
    return state
try:
    runner.run_sync(forever)
except KeyboardInterrupt:
    print(runner.run_sync(seen), flush=True)
"""


@pytest.mark.process
def test_control_c_interrupts_a_call_and_cancels_it() -> None:
    child = subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "waiting\n"
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=20)
    assert out == "['cancelled']\n"
    assert child.returncode == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.process
def test_a_forked_child_starts_a_loop_of_its_own() -> None:
    script = """
import os, sys, warnings
warnings.simplefilter("ignore")
from shoal._base.loop import LoopRunner
assert LoopRunner().run_sync(lambda: os.getpid()) == os.getpid()
pid = os.fork()
if pid == 0:
    assert LoopRunner().run_sync(lambda: os.getpid()) == os.getpid()
    os._exit(7)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    assert subprocess.run([sys.executable, "-c", script], timeout=20).returncode == 7
