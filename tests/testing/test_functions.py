"""`shoal.testing`: functions to submit, conditions, and the search for what was left behind."""

from __future__ import annotations

import asyncio
import logging
import pickle
import subprocess
import sys
import threading

import dask.config
import pytest
from helpers import run, wait_until

from shoal.testing import (
    add,
    assert_story,
    async_poll_for,
    asyncinc,
    captured_handler,
    captured_logger,
    check_process_leak,
    check_thread_leak,
    clean,
    dec,
    deep,
    div,
    double,
    identity,
    inc,
    map_varying,
    mul,
    original_config,
    poll_for,
    popen,
    raises_with_cause,
    reset_config,
    slowadd,
    slowdec,
    slowidentity,
    slowinc,
    throws,
    varying,
)


def test_little_functions():
    assert [inc(1), dec(1), add(1, 2), mul(2, 3), div(6, 3), double(4)] == [2, 0, 3, 6, 2, 8]
    assert [slowinc(1, delay=0), slowdec(1, delay=0), slowadd(1, 2, delay=0)] == [2, 0, 3]
    assert slowidentity(1, delay=0) == identity(1) == 1
    assert slowidentity(1, 2, delay=0) == (1, 2)
    assert run(asyncinc(1, delay=0)) == 2
    with pytest.raises(RuntimeError, match="hello"):
        throws(1)
    with pytest.raises(RuntimeError) as caught:
        deep(20)
    assert len(caught.traceback) > 20


def test_varying_takes_turns_with_its_copies():
    f = varying([1, ValueError("two"), 3])
    copy = pickle.loads(pickle.dumps(f))
    assert f() == 1
    with pytest.raises(ValueError, match="two"):
        copy("any", argument=1)
    assert f() == 3
    with pytest.raises(IndexError, match="called 4 times"):
        copy()
    g, args = map_varying([[1, 2], [10]])
    assert [g(arg) for arg in args] == [1, 10]
    assert g(args[0]) == 2


def test_polling():
    turns = iter([False, False, True])
    poll_for(lambda: next(turns), timeout=5)
    with pytest.raises(AssertionError, match="not reached within 0"):
        poll_for(lambda: False, timeout=0)
    with pytest.raises(KeyError, match="why"):
        poll_for(lambda: False, timeout=0, fail_func=lambda: {}["why"])

    async def main():
        turns = iter([False, True])
        await async_poll_for(lambda: next(turns), timeout=5)
        done = asyncio.get_running_loop().create_future()
        done.set_result(True)
        await async_poll_for(lambda: done, timeout=5)
        with pytest.raises(AssertionError):
            await async_poll_for(lambda: False, timeout=0)

    run(main())


def test_captured_logs():
    log = logging.getLogger("shoal.fish")
    with captured_logger("distributed.fish", level=logging.WARNING, propagate=False) as said:
        log.info("not this")
        log.warning("this")
    assert said.getvalue() == "this\n"
    assert log.handlers == []
    assert log.level == logging.NOTSET
    handler = logging.StreamHandler(sys.stderr)
    with captured_handler(handler) as said:
        handler.emit(logging.makeLogRecord({"msg": "fish"}))
    assert said.getvalue() == "fish\n"
    assert handler.stream is sys.stderr


def test_causes():
    def fail():
        try:
            raise ValueError("inner")
        except ValueError as error:
            raise RuntimeError("outer") from error

    with raises_with_cause(RuntimeError, "out", ValueError, "in"):
        fail()
    with (
        pytest.raises(AssertionError, match="expected"),
        raises_with_cause(RuntimeError, None, KeyError, None),
    ):
        fail()
    with (
        pytest.raises(AssertionError, match="is not in"),
        raises_with_cause(RuntimeError, None, ValueError, "nothing"),
    ):
        fail()
    with (
        pytest.raises(AssertionError, match="did not raise"),
        raises_with_cause(RuntimeError, None, ValueError, None),
    ):
        pass
    with pytest.raises(RuntimeError, match="outer"), raises_with_cause(OSError, None, OSError, ""):
        fail()


def test_stories():
    story = [("x", "released", 1), ("x", "waiting", 2), ("y", "waiting", 3)]
    assert_story(story, [("x", "waiting"), ("y", ..., lambda n: n == 3)])
    assert_story(story, story, strict=True)
    assert_story([], [], strict=True)
    for wrong in [[("y",), ("x",)], [("z",)], [("x", "released", 1, 1)]]:
        with pytest.raises(AssertionError, match="there is no"):
            assert_story(story, wrong)
    with pytest.raises(AssertionError, match="expected"):
        assert_story(story, [("x", "waiting")], strict=True)
    with pytest.raises(AssertionError, match="more happened"):
        assert_story(story, story[:2], strict=True)


def test_a_thread_left_behind_is_found():
    end = threading.Event()
    with (
        pytest.raises(AssertionError, match=r"left behind: thread lost[\s\S]*end\.wait"),
        check_thread_leak(timeout=0.05),
    ):
        threading.Thread(target=lambda: end.wait(10), name="lost").start()
    end.set()
    with check_thread_leak():
        threading.Thread(target=end.wait).start()


@pytest.mark.process
def test_a_process_left_behind_is_found_and_ended():
    command = [sys.executable, "-c", "input()"]
    with (
        pytest.raises(AssertionError, match="left behind"),
        check_process_leak(timeout=0.05),
    ):
        process = subprocess.Popen(command, stdin=subprocess.PIPE)
    assert process.wait(10) != 0
    process.stdin.close()


def test_configuration_comes_back():
    with clean():
        dask.config.set({"distributed.fish": 1})
        assert dask.config.get("distributed.fish") == 1
    assert dask.config.get("distributed.fish", None) is None
    dask.config.set({"distributed.fish": 1})
    reset_config()
    assert dask.config.config == original_config
    assert dask.config.config is not original_config


@pytest.mark.process
def test_a_command_runs_and_is_ended(capfd):
    code = "import sys; print('up', flush=True); sys.stdin.read()"
    with popen(
        ["python", "-c", code], capture_output=True, stdin=subprocess.PIPE, terminate_timeout=20
    ) as process:
        assert process.stdout.readline().strip() == b"up"
        assert process.poll() is None
    assert process.returncode is not None
    process.stdin.close()
    with (
        pytest.raises(ZeroDivisionError),
        popen(["python", "-c", "print('last words')"]) as process,
    ):
        wait_until(lambda: process.poll() is not None)
        raise ZeroDivisionError
    assert "last words" in capfd.readouterr().err
