"""Processes of ours, seen from the parent: what they take over, and how each notices an end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import dask
import psutil
import pytest
from helpers import run, until, wait_until

from shoal.nanny.process import ChildProcess

pytestmark = pytest.mark.process
HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def _targets(monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))


class Child:
    """A child process with the messages that it sent."""

    def __init__(self, target, body=None, **kwargs):
        self.messages = []
        self.process = ChildProcess(
            f"child_targets:{target}",
            body,
            label="shoal-test",
            on_message=self.messages.append,
            **kwargs,
        )

    async def __aenter__(self):
        await self.process.start()
        return self

    async def __aexit__(self, *exc):
        self.process.kill()
        await self.process.wait(10)

    async def message(self):
        await until(lambda: self.messages or not self.process.alive, 20)
        return self.messages.pop(0)


def gone(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_child_is_as_its_parent_but_for_the_main_module():
    async def main():
        env = {**os.environ, "SHOAL_TEST_VARIABLE": "x y"}
        with dask.config.set({"shoal-test.value": [1, 2]}):
            async with Child("show", {"a": b"\x00" * 3}, env=env) as child:
                shown = await child.message()
                assert await child.process.wait(10)
        assert shown["body"] == repr({"a": b"\x00" * 3})
        assert shown["path"] == sys.path
        assert shown["cwd"] == os.getcwd()
        assert shown["env"] == "x y"
        assert shown["main"] is None
        assert shown["config"] == [1, 2]
        assert shown["pid"] == child.process.pid
        assert shown["group"] != os.getpgrp()
        assert child.process.returncode == 0
        assert not child.process.alive

    run(main())


def test_a_large_body_arrives():
    async def main():
        async with Child("size", b"x" * 5_000_000) as child:
            assert (await child.message())["size"] == 5_000_000

    run(main())


def test_closing_on_request():
    async def main():
        async with Child("stay") as child:
            assert (await child.message()) == {"op": "up"}
            assert await child.process.close(10)
            assert child.process.returncode == 0

    run(main())


def test_a_request_to_close_that_comes_early_is_not_lost():
    async def main():
        async with Child("stay") as child:
            assert await child.process.close(20)
            assert child.process.returncode == 0

    run(main())


def test_a_request_to_close_that_comes_before_the_line_is_not_lost():
    async def main():
        child = Child("stay")
        child.process.tell(op="close")
        async with child:
            assert await child.process.wait(20)
            assert child.process.returncode == 0

    run(main())


def test_a_child_that_does_not_close_is_killed_with_all_it_started(caplog):
    async def main():
        async with Child("hang") as child:
            grandchild = (await child.message())["grandchild"]
            assert not await child.process.close(0.05)
            assert child.process.returncode == -signal.SIGKILL
            await until(lambda: gone(grandchild))

    run(main())
    assert "shoal-test did not close within 0.05 s; killing it" in caplog.text


def test_exit_codes_and_signals_are_seen():
    async def main():
        async with Child("leave", 3) as child:
            await child.process.wait()
            assert child.process.returncode == 3
        async with Child("hang") as child:
            await child.message()
            os.kill(child.process.pid, signal.SIGTERM)
            assert await child.process.wait(10)
            assert child.process.returncode == -signal.SIGTERM

    run(main())


def test_a_thread_that_does_not_end_does_not_keep_a_child(monkeypatch):
    async def main():
        async with Child("linger") as child:
            assert await child.process.wait(15)
            assert child.process.returncode == 4

    run(main())


def test_a_failed_start_is_explained():
    async def main():
        async with Child("fail") as child:
            assert (await child.message()) == {
                "op": "failed",
                "text": "ValueError: no such thing",
            }
            await child.process.wait(10)
            assert child.process.returncode == 1

    run(main())


def test_sockets_are_handed_down():
    async def main():
        with socket.create_server(("127.0.0.1", 0)) as listening:
            async with Child("serve", sockets=[listening]) as child:
                reader, writer = await asyncio.open_connection(*listening.getsockname())
                assert await reader.read() == b"hello from " + str(child.process.pid).encode()
                writer.close()

    run(main())


def test_a_fork_that_a_child_left_behind_does_not_hide_its_end():
    async def main():
        async with Child("fork_and_leave") as child:
            grandchild = (await child.message())["grandchild"]
            assert await child.process.wait(5)
            assert child.process.returncode == 5
            await until(lambda: gone(grandchild))

    run(main())


def test_control_c_is_left_to_the_parent():
    async def main():
        async with Child("stay") as child:
            await child.message()
            os.kill(child.process.pid, signal.SIGINT)
            assert await child.process.close(10)
            assert child.process.returncode == 0

    run(main())


PARENT = """
import asyncio, sys
sys.path.insert(0, {here!r})
from shoal.nanny.process import ChildProcess

async def main():
    up = asyncio.Event()
    children = []
    for target in ("stay", "hang"):
        messages = asyncio.Queue()
        child = ChildProcess("child_targets:" + target, {note!r}, label="shoal-test",
                             on_message=messages.put_nowait, orphan_folders=[{folder!r}])
        await child.start()
        children.append(child)
        message = await messages.get()
        print(child.pid, message.get("grandchild", 0), flush=True)
    {fork}
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("fork", ["", "import os, time; os.fork() or time.sleep(60)"])
def test_children_end_when_their_parent_is_killed(tmp_path, fork):
    """Whatever the child does then, and with all that it started; its files go with it."""
    folder = tmp_path / "run"
    folder.mkdir()
    note = tmp_path / "note"
    script = PARENT.format(here=str(HERE), note=str(note), folder=str(folder), fork=fork)
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert parent.stdout is not None
    pids = [int(pid) for _ in range(2) for pid in parent.stdout.readline().split() if pid != "0"]
    assert len(pids) == 3 and not any(map(gone, pids))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_until(lambda: all(map(gone, pids)), 20)
    assert note.read_text() == "gone"
    assert not folder.exists()
    try:
        os.killpg(parent.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
