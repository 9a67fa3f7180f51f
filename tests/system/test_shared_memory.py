"""Whoever is killed, values in shared memory stay readable or are computed again, and when all is
over no memory is left: it has no name, so what could hold it are open files and mappings.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask.config
import psutil
import pytest
from helpers import wait_until

from shoal import Client, LocalCluster, wait

pytestmark = [
    pytest.mark.process,
    pytest.mark.timeout(120),
    pytest.mark.skipif(sys.platform != "linux", reason="Linux only"),
]

SIZE = 8 << 20
AMM = "distributed.scheduler.active-memory-manager.start"
IDLE = "shoal.shared-memory.pool-idle"


def ones() -> Any:
    import numpy as np

    return np.ones(SIZE, "u1")


def full(value: int) -> Any:
    import numpy as np

    return np.full(SIZE, value, "u1")


def write(array: Any, value: int) -> int:
    array[:] = value
    return int(array.sum())


def total(array: Any) -> int:
    return int(array.sum())


def same(array: Any) -> Any:
    return array


def holders() -> list[str]:
    """Return which processes of this test run have shared memory of shoal open or mapped."""
    mark = f"TMPDIR={os.environ['TMPDIR']}"
    found = []
    for pid in psutil.pids():
        folder = Path(f"/proc/{pid}")
        if pid == os.getpid() or mark in text(folder / "environ"):
            files = list(folder.glob("fd/*"))
            if any("memfd:shoal" in words for words in [*map(link, files), text(folder / "maps")]):
                found.append(str(pid))
    return found


def text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # the process has just ended
        return ""


def link(path: Path) -> str:
    try:
        return os.readlink(path)
    except OSError:  # the file was just closed
        return ""


def named() -> set[str]:
    return set(os.listdir("/dev/shm"))


@pytest.fixture
def client() -> Iterator[Any]:
    names = named()
    with (
        # What a new scheduler finds at a worker, and nobody wants, is kept for so long.
        dask.config.set(
            {"shoal.recovery.grace": "2s", AMM: False, IDLE: "1s"}
        ),  # copies stay where they are
        LocalCluster(n_workers=3, threads_per_worker=1, silence_logs="CRITICAL") as cluster,
        Client(cluster) as client,
    ):
        client.wait_for_workers(3)
        yield client
        # While all the others still run: what a killed one had is gone with it.
        for pid in client.run(os.getpid).values():
            assert psutil.pid_exists(pid)
        wait_until(lambda: not holders(), timeout=20)
    assert {name for name in named() - names if "shoal" in name or "memfd" in name} == set()
    assert holders() == []


def workers(client: Any) -> list[str]:
    return sorted(client.scheduler_info()["workers"])


def pid_of(client: Any, worker: str) -> int:
    return client.run(os.getpid, workers=[worker])[worker]


def spread(client: Any) -> tuple[list[str], Any]:
    """Have a value on the first worker, and in shared memory on the second."""
    names = workers(client)
    x = client.submit(ones, workers=names[:1], key="x")
    copy = client.submit(total, x, workers=names[1:2])
    assert copy.result() == SIZE
    assert len(holders()) == 2
    return names, x


def test_the_owner_is_killed(client: Any) -> None:
    names, x = spread(client)
    result = x.result()
    os.kill(pid_of(client, names[0]), signal.SIGKILL)
    # What was mapped stays, here and in the reader, who lends it on.
    result[:] = 2
    assert total(result) == 2 * SIZE
    assert client.submit(write, x, 3, workers=names[1:2]).result() == 3 * SIZE
    assert client.submit(total, x, workers=names[2:], pure=False).result() == SIZE
    del x, result


def test_a_reader_is_killed(client: Any) -> None:
    names, x = spread(client)
    os.kill(pid_of(client, names[1]), signal.SIGKILL)
    assert client.submit(write, x, 3, workers=names[2:]).result() == 3 * SIZE
    assert total(x.result()) == SIZE
    del x


def test_memory_is_used_again_whoever_is_killed(client: Any) -> None:
    """Values come and go, the client keeps some, and neither it nor a worker sees a wrong one."""
    names = workers(client)
    kept: dict[int, Any] = {}
    for turn in range(1, 13):
        places: list[Any] = [{"workers": [n], "allow_other_workers": True} for n in names]
        x = client.submit(full, turn, key=f"x-{turn}", **places[0])
        sums = [client.submit(total, x, pure=False, **place) for place in places[1:]]
        if turn in (4, 8):  # a reader, which may be mapping it just now, and the owner
            os.kill(pid_of(client, names[turn == 4]), signal.SIGKILL)
        assert client.gather(sums) == [turn * SIZE] * (len(names) - 1)
        result = x.result()
        result[0] = 0
        assert total(result) == turn * SIZE - turn
        if turn % 3 == 0:
            kept[turn] = result
        del x, sums, result
        if turn in (4, 8):
            client.wait_for_workers(3)
            names = workers(client)
        for value, array in kept.items():
            assert total(array) == value * SIZE - value
    kept.clear()


def test_owner_and_readers_are_killed(client: Any) -> None:
    names = workers(client)
    x = client.submit(ones)
    sums = [client.submit(total, x, workers=[name], pure=False) for name in names]
    assert client.gather(sums) == [SIZE] * 3
    assert len(holders()) == 3
    for name in names:
        os.kill(pid_of(client, name), signal.SIGKILL)
    wait_until(lambda: set(workers(client)).isdisjoint(names), timeout=30)
    client.wait_for_workers(3)
    assert total(x.result()) == SIZE  # computed again
    del x


def test_a_nanny_is_killed(client: Any) -> None:
    names, address = workers(client), client.scheduler.address
    command = [sys.executable, "-m", "shoal", "worker", address, "--name", "other"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
    silent = subprocess.DEVNULL
    nanny = psutil.Popen([*command, "--protocol", "tcp"], env=env, stderr=silent)
    try:
        client.wait_for_workers(4)
        x = client.submit(ones, workers=["other"], key="x")
        assert client.submit(write, x, 3, workers=names).result() == 3 * SIZE
        worker = psutil.Process(client.submit(os.getpid, workers=["other"]).result())
        assert str(worker.pid) in holders()
    finally:
        nanny.kill()
        nanny.wait()
    wait_until(lambda: not psutil.pid_exists(worker.pid), timeout=30)
    wait_until(lambda: len(workers(client)) == 3, timeout=30)
    assert str(worker.pid) not in holders()
    del x


def test_the_scheduler_is_killed(client: Any) -> None:
    names, x = spread(client)
    os.kill(client.run_on_scheduler(os.getpid), signal.SIGKILL)
    assert total(x.result()) == SIZE
    client.wait_for_workers(3)
    assert client.submit(write, x, 3, workers=names[2:]).result() == 3 * SIZE
    del x


def test_the_client_is_killed_while_it_has_results() -> None:
    """And everything else with it: what it started notices that it is gone."""
    script = (
        "import os, sys, time\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from test_shared_memory import *\n"
        "cluster = LocalCluster(n_workers=2, threads_per_worker=1, silence_logs='CRITICAL')\n"
        "client = Client(cluster)\n"
        "client.wait_for_workers(2)\n"
        "x = client.scatter(ones(), broadcast=True)\n"
        "mine = x.result()\n"
        "print(*(p.pid for p in psutil.Process().children(recursive=True)), flush=True)\n"
        "time.sleep(60)\n"
    )
    folder = str(Path(__file__).parent)
    path = os.pathsep.join([folder, str(Path(folder).parent), os.environ.get("PYTHONPATH", "")])
    with psutil.Popen(
        [sys.executable, "-c", script, folder],
        stdout=-1,
        env={**os.environ, "PYTHONPATH": path},
    ) as process:
        started = [int(pid) for pid in process.stdout.readline().split()]
        assert len(started) >= 3 and len(holders()) >= 3
        os.kill(process.pid, signal.SIGKILL)
    wait_until(lambda: not any(map(psutil.pid_exists, started)), timeout=30)
    assert holders() == []


def test_a_chain_of_workers_killed_while_they_read(client: Any) -> None:
    """Values are moved and read while a worker dies: nothing hangs, nothing is wrong."""
    names = workers(client)
    victim = pid_of(client, names[0])
    xs = [client.submit(ones, pure=False) for _ in range(6)]
    wait(xs)
    sums = [
        client.submit(total, x, workers=[name], allow_other_workers=True, pure=False)
        for x in xs
        for name in names
    ]
    os.kill(victim, signal.SIGKILL)
    assert client.gather(sums) == [SIZE] * 18
    del xs, sums


def test_a_value_passes_through_many_hands(client: Any) -> None:
    names = workers(client)
    x = client.submit(ones, workers=names[:1])
    for turn in range(6):
        x = client.submit(same, x, workers=[names[turn % 3]], pure=False)
    assert total(x.result()) == SIZE
    del x
