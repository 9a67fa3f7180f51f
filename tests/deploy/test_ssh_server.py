"""Clusters over SSH, through a real server and real connections with keys, on this host."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import asyncssh
import psutil
import pytest
from helpers import wait_until

from shoal import Client, SSHCluster
from shoal.comm.secret import cluster_secret
from shoal.deploy.spec import SpecCluster

pytestmark = [
    pytest.mark.process,
    # asyncssh leaves a coroutine behind when a connection is aborted; see the fixture.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

LOCAL = {"host": "127.0.0.1", "port": 0}
SMALL = {"nthreads": 1, "nanny": False, "host": "127.0.0.1"}


class SSHServer:
    """Runs commands in a shell, for whoever has the key; serves on a thread of its own."""

    def __init__(self) -> None:
        self.key = asyncssh.generate_private_key("ssh-ed25519")
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self.commands: list[str] = []
        self.running = 0
        self.connections: list[Any] = []
        self._port: Future[int] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="sshd")

    def __enter__(self) -> SSHServer:
        self._thread.start()
        self.port = self._port.result(timeout=10)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def options(self, key: Any = None) -> dict[str, Any]:
        """What `asyncssh.connect` needs to come in."""
        return {
            "port": self.port,
            "username": "fish",
            "client_keys": [key or self.key],
            "known_hosts": ([self.host_key.convert_to_public()], [], []),
            "agent_path": None,
            "config": None,
        }

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        server = await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[self.host_key],
            authorized_client_keys=asyncssh.import_authorized_keys(
                self.key.export_public_key().decode()
            ),
            process_factory=self._run,
            acceptor=self.connections.append,
        )
        async with server:
            self._port.set_result(server.get_port())
            await self._stop.wait()

    async def _run(self, process: Any) -> None:
        self.commands.append(process.command)
        self.running += 1
        pipe = asyncio.subprocess.PIPE
        # A session on a host knows nothing of this process's environment.
        env = {k: v for k, v in os.environ.items() if not k.startswith(("SHOAL", "DASK"))}
        shell = await asyncio.create_subprocess_shell(
            process.command,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            env={**env, "HOME": "/nonexistent"},
        )
        await process.redirect(stdin=shell.stdin, stdout=shell.stdout, stderr=shell.stderr)
        code = await shell.wait()
        with contextlib.suppress(OSError):  # the connection may be gone
            process.exit(code)
        self.running -= 1


@pytest.fixture
def server() -> Iterator[SSHServer]:
    with SSHServer() as server:
        yield server
    del server
    gc.collect()  # here, where it may warn, and not in another test


def make_cluster(server: SSHServer, hosts: int) -> SpecCluster:
    """Start a scheduler on the first, and a worker on each of the other hosts: all are this one."""
    return SSHCluster(
        ["127.0.0.1"] * hosts,
        connect_options=server.options(),
        scheduler_options=LOCAL,
        worker_options=SMALL,
    )


def test_a_cluster_over_ssh(server: SSHServer) -> None:
    with make_cluster(server, 3) as cluster:
        cluster.wait_for_workers(2, timeout=30)
        with Client(cluster) as client:
            pids = set(client.run(os.getpid).values()) | {client.run_on_scheduler(os.getpid)}
            assert client.submit(sum, [1, 2]).result() == 3
            squares = client.map(lambda x: x * x, range(100))
            assert client.submit(sum, squares).result() == sum(x * x for x in range(100))
        assert len(pids) == 3 and os.getpid() not in pids
        assert server.running == 3
    wait_until(lambda: server.running == 0)
    assert not any(map(psutil.pid_exists, pids))
    assert len(server.commands) == 3
    assert not any(cluster_secret().reveal() in command for command in server.commands)


def test_what_was_started_ends_with_its_connection(server: SSHServer) -> None:
    with make_cluster(server, 2) as cluster:
        cluster.wait_for_workers(1, timeout=30)
        (pid,) = (w["pid"] for w in cluster.scheduler_info["workers"].values())
        last = server.connections[-1]
        server._loop.call_soon_threadsafe(last.abort)
        wait_until(lambda: not psutil.pid_exists(pid))
        wait_until(lambda: server.running == 1)  # it hears of the end a moment later


def test_a_wrong_key_is_refused(server: SSHServer) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519")
    with pytest.raises(asyncssh.PermissionDenied, match=r"fish.*127\.0\.0\.1"):
        SSHCluster(["127.0.0.1"] * 2, connect_options=server.options(other))
    assert not server.commands


def test_scaling(server: SSHServer) -> None:
    with make_cluster(server, 3) as cluster:
        cluster.wait_for_workers(2, timeout=30)
        with pytest.raises(ValueError, match="2 hosts for workers: name one again in hosts="):
            cluster.scale(3)
        cluster.scale(1)
        wait_until(lambda: server.running == 2)
        cluster.scale(2)
        wait_until(lambda: server.running == 3)
        cluster.wait_for_workers(2, timeout=30)
