"""The helpers of the tests themselves: a check that cannot fail checks nothing."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import leaks
import pytest
from helpers import run, until, wait_until


def test_run_gives_the_result_and_has_a_limit():
    async def answer():
        return 42

    assert run(answer()) == 42
    with pytest.raises(TimeoutError):
        run(asyncio.Event().wait(), timeout=0.01)


def test_waiting_ends_with_the_condition_or_says_which_one_failed():
    assert wait_until(lambda: "yes") == "yes"
    with pytest.raises(AssertionError, match=r"test_helpers\.py"):
        wait_until(lambda: False, timeout=0.01)


def test_waiting_in_a_coroutine():
    async def main():
        flag = asyncio.Event()
        asyncio.get_running_loop().call_later(0.01, flag.set)
        await until(flag.is_set)

        async def answer():
            return flag.is_set()

        assert await until(answer) is True
        with pytest.raises(AssertionError, match=r"test_helpers\.py"):
            await until(lambda: None, timeout=0.01)

    run(main())


def test_a_thread_left_behind_is_seen():
    before = leaks.take()
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, name="forgotten")
    thread.start()
    try:
        assert [x for x in leaks.since(before, timeout=0) if "forgotten" in x]
    finally:
        stop.set()
        thread.join()
    assert leaks.since(before) == []


def test_a_process_left_behind_is_seen():
    before = leaks.take()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert [x for x in leaks.since(before, timeout=0) if f"process {process.pid}:" in x]
        process.kill()
    assert leaks.since(before) == []


def test_a_file_left_behind_is_seen():
    before = leaks.take()
    path = Path(tempfile.gettempdir(), "shoal-forgotten")
    path.touch()
    try:
        assert leaks.since(before, timeout=0) == [f"file {path}"]
    finally:
        path.unlink()
    assert leaks.since(before) == []


def test_the_user_is_left_alone(tmp_path):
    """Home and configuration folders are the session's own; child processes see the same."""
    code = "import os, tempfile; print(os.path.expanduser('~'), tempfile.gettempdir())"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    home, temp = out.stdout.split()
    assert Path(home).parent == Path(temp).parent == Path(tempfile.gettempdir()).parent
    assert len(temp) < 40, "Unix socket paths have about 100 characters"
