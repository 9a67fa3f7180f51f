"""Template processes: what they fork is as a new process, and ends as one."""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path

import pytest
from helpers import run, until

from shoal.nanny.process import ChildProcess
from shoal.nanny.templates import ForkedProcess, Template

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not Template.supported(), reason="this system cannot do it"),
]


@pytest.fixture(autouse=True)
def _targets(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


class Forks:
    """A template, and what it forks."""

    def __init__(self):
        self.template = Template(os.environ)
        self.children = []

    async def __aenter__(self):
        self.template.start()
        return self

    async def __aexit__(self, *exc):
        for child in self.children:
            child.kill()
            await child.wait(10)
        await self.template.close()

    async def start(self, target, body=None, env=None, **kwargs):
        messages = []
        child = ChildProcess(
            f"child_targets:{target}",
            body,
            label="shoal-test",
            on_message=messages.append,
            env={**os.environ, **(env or {})},
            template=self.template,
            **kwargs,
        )
        self.children.append(child)
        await child.start()
        return child, messages


def test_a_fork_is_as_its_parent_and_has_an_environment_of_its_own():
    async def main():
        async with Forks() as forks:
            child, messages = await forks.start("show", [1], env={"SHOAL_TEST_VARIABLE": "fish"})
            assert isinstance(child._process, ForkedProcess)
            await until(lambda: messages)
            assert await child.wait(10)
            assert child.returncode == 0
            shown = messages[0]
            assert shown["body"] == "[1]"
            assert shown["env"] == "fish"
            assert shown["path"] == sys.path
            assert shown["cwd"] == os.getcwd()
            assert shown["pid"] == shown["group"] == child.pid

    run(main())


def test_a_template_prepares_for_what_comes():
    async def main():
        async with Forks() as forks:
            forks.template.prepare(["colorsys", "no_such_module"])  # the second is nobody's yet
            forks.template.prepare(["colorsys"])
            child, messages = await forks.start("imported", ["colorsys", "sndhdr"])
            assert isinstance(child._process, ForkedProcess)
            await until(lambda: messages)
            assert messages[0]["modules"] == ["colorsys"]
            await child.wait(10)

    run(main())


def test_ends_of_every_kind_are_seen():
    async def main():
        async with Forks() as forks:
            left, _ = await forks.start("leave", 3)
            failed, said = await forks.start("fail")
            killed, up = await forks.start("hang")
            closed, ready = await forks.start("stay")
            await left.wait(10)
            await failed.wait(10)
            assert (left.returncode, failed.returncode) == (3, 1)
            assert said == [{"op": "failed", "text": "ValueError: no such thing"}]
            await until(lambda: up and ready)
            os.kill(killed.pid, signal.SIGKILL)
            await killed.wait(10)
            assert killed.returncode == -signal.SIGKILL
            assert await closed.close(10)
            assert closed.returncode == 0

    run(main())


def test_sockets_are_handed_down():
    async def main():
        with socket.create_server(("127.0.0.1", 0)) as server:
            async with Forks() as forks:
                child, _ = await forks.start("serve", sockets=[server])
                with socket.create_connection(server.getsockname()) as client:
                    client.settimeout(10)
                    assert client.recv(100) == b"hello from %d" % child.pid

    run(main())


def test_what_cannot_be_forked_is_started_anew():
    async def main():
        async with Forks() as forks:
            child, messages = await forks.start("show", env={"PYTHONDONTWRITEBYTECODE": "other"})
            assert not isinstance(child._process, ForkedProcess)
            await until(lambda: messages)
            child, messages = await forks.start("show", modules=["no_such_module"])
            assert not isinstance(child._process, ForkedProcess)
            await until(lambda: messages)
            await child.wait(10)

    run(main())


def test_forks_outlive_a_template_that_is_killed():
    async def main():
        async with Forks() as forks:
            child, messages = await forks.start("stay")
            await until(lambda: messages)
            os.kill(forks.template._process.pid, signal.SIGKILL)
            await until(lambda: not forks.template.alive)
            assert child.alive
            other, more = await forks.start("stay")
            await until(lambda: more)
            assert not isinstance(other._process, ForkedProcess)
            assert await child.close(10)
            assert await other.close(10)

    run(main())
