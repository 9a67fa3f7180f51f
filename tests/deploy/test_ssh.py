"""Clusters over SSH: real commands, on a connection that only leads to this host."""

from __future__ import annotations

import asyncio
import os
import sys
import types

import psutil
import pytest
from helpers import run, wait_until

from shoal import Client, SSHCluster
from shoal.comm.secret import cluster_secret
from shoal.deploy import ssh
from shoal.deploy.ssh import as_options

pytestmark = pytest.mark.process


class Lines:
    """The output of a process as text, line by line."""

    def __init__(self, stream):
        self.stream = stream

    async def __aiter__(self):
        async for line in self.stream:
            yield line.decode()


class Input:
    def __init__(self, writer):
        self.writer = writer

    def write(self, text):
        self.writer.write(text.encode())

    def write_eof(self):
        self.writer.write_eof()


class Connection:
    made: list[Connection] = []

    def __init__(self, host, options):
        self.host = host
        self.options = options
        self.commands = []
        self.processes = []
        Connection.made.append(self)

    async def create_process(self, command):
        pipe = asyncio.subprocess.PIPE
        # Another host knows nothing of this process's environment.
        env = {k: v for k, v in os.environ.items() if not k.startswith(("SHOAL", "DASK"))}
        process = await asyncio.create_subprocess_exec(
            "sh", "-c", command, stdin=pipe, stdout=pipe, env={**env, "HOME": "/nonexistent"}
        )
        self.commands.append(command)
        self.processes.append(process)
        return types.SimpleNamespace(stdin=Input(process.stdin), stdout=Lines(process.stdout))

    def close(self):
        for process in self.processes:
            process.stdin.close()

    async def wait_closed(self):
        for process in self.processes:
            await process.wait()


async def connect(host, **options):
    return Connection(host, options)


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    Connection.made = []
    monkeypatch.setattr(ssh, "_asyncssh", lambda: types.SimpleNamespace(connect=connect))


LOCAL = {"host": "127.0.0.1", "port": 0}
SMALL = {"nthreads": 1, "nanny": False, "host": "127.0.0.1"}


def test_a_cluster_works_and_leaves_nothing():
    with SSHCluster(
        ["a", "b", "c"],
        connect_options=[{"username": name} for name in "xyz"],
        scheduler_options=LOCAL,
        worker_options=SMALL,
    ) as cluster:
        cluster.wait_for_workers(2, timeout=20)
        with Client(cluster) as client:
            pids = set(client.run(os.getpid).values()) | {client.run_on_scheduler(os.getpid)}
            assert client.submit(sum, [1, 2]).result() == 3
        assert len(pids) == 3 and os.getpid() not in pids
        assert cluster.observed == {0, 1}
    users = {c.host: c.options["username"] for c in Connection.made}
    assert users == {"a": "x", "b": "y", "c": "z"}
    wait_until(lambda: not any(map(psutil.pid_exists, pids)))
    secret = cluster_secret().reveal()
    assert not any(secret in command for c in Connection.made for command in c.commands)


def test_what_was_started_ends_with_its_connection():
    async def main():
        cluster = await SSHCluster(
            ["a", "b"], scheduler_options=LOCAL, worker_options=SMALL, asynchronous=True
        )
        async with cluster:
            await cluster.wait_for_workers(1, timeout=20)
            (pid,) = (w["pid"] for w in cluster.scheduler_info["workers"].values())
            cluster.workers[0]._connection.close()
            await cluster.workers[0].finished()
        return pid

    pid = run(main())
    wait_until(lambda: not psutil.pid_exists(pid))


def test_a_command_that_fails_says_why():
    with pytest.raises(RuntimeError, match=r"(?s)the scheduler on a did not start:.*--fish"):
        SSHCluster(["a", "b"], scheduler_options={"fish": 1, "host": "not a host"})
    assert all(p.returncode is not None for c in Connection.made for p in c.processes)


def test_bad_arguments():
    with pytest.raises(ValueError, match="hosts= names"):
        SSHCluster(["a"])
    with pytest.raises(ValueError, match="connect_options= has 1 entries for 2 hosts"):
        SSHCluster(["a", "b"], connect_options=[{}])


def test_without_asyncssh(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "asyncssh", None)
    with pytest.raises(ImportError, match=r"shoal\[ssh\]"):
        SSHCluster(["a", "b"])


def test_options_become_words():
    options = {"nthreads": 2, "a_b": "c d", "nanny": False, "show": True, "x": [1, 2], "y": None}
    words = ["--nthreads", "2", "--a-b", "c d", "--no-nanny", "--show", "--x", "1", "--x", "2"]
    assert as_options(options) == words
