"""Local clusters with real processes: start, work, every kind of end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
import textwrap

import psutil
import pytest
from helpers import run, until, wait_until

from shoal import Client, LocalCluster
from shoal._base.system import memory_available
from shoal.nanny.nanny import Nanny
from shoal.worker.worker import Worker

pytestmark = pytest.mark.process


def test_a_cluster_works_and_leaves_nothing():
    with LocalCluster(n_workers=2, threads_per_worker=1, name="fish") as cluster:
        assert cluster.scheduler_address.startswith("ipc://")
        assert set(cluster.workers) == {0, 1}
        assert repr(cluster).startswith("LocalCluster(fish, 'ipc://")
        assert "workers=2, threads=2" in repr(cluster)
        pids = {worker.pid for worker in cluster.workers.values()} | {cluster.scheduler.pid}
        assert len(pids) == 3
        assert os.getpid() not in pids
        with cluster.get_client() as client:
            assert client.submit(sum, [1, 2]).result() == 3
            infos = client.scheduler_info()["workers"].values()
            assert {info["pid"] for info in infos} == pids - {cluster.scheduler.pid}
            assert all(info["nanny"] for info in infos)
        folder = cluster._folder.path
    assert not os.path.exists(folder)
    assert not any(map(psutil.pid_exists, pids))


def test_everything_in_this_process():
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=False) as cluster:
        assert cluster.scheduler_address.startswith("inproc://")
        assert all(isinstance(worker, Worker) for worker in cluster.workers.values())
        with Client(cluster) as client:
            assert client.submit(os.getpid).result() == os.getpid()


def test_workers_of_this_process_are_made_anew_by_a_restart():
    with (
        LocalCluster(n_workers=2, processes=False, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        before = set(client.scheduler_info()["workers"])
        client.restart(timeout=30)
        after = set(client.scheduler_info()["workers"])
        assert len(after) == 2 and not after & before
        assert client.submit(int, "5").result(30) == 5


def test_a_restart_waits_for_workers_that_nobody_starts_again():
    async def main() -> None:
        async with (
            LocalCluster(n_workers=0, processes=False, asynchronous=True) as cluster,
            Client(cluster, asynchronous=True) as client,
            Worker(cluster.scheduler_address, nthreads=1),
        ):
            with pytest.raises(TimeoutError, match=r"Waited for 1 workers.*1 had no nanny"):
                await client.restart(timeout=0.2)
            await client.restart(timeout=0.2, wait_for_workers=False)

    run(main())


@pytest.mark.parametrize(
    "kwargs", [{"protocol": "tcp"}, {"host": "127.0.0.1"}, {"security": True}], ids=str
)
def test_over_the_network(kwargs):
    with LocalCluster(n_workers=1, threads_per_worker=1, **kwargs) as cluster:
        scheme = "tls" if "security" in kwargs else "tcp"
        assert cluster.scheduler_address.startswith(f"{scheme}://127.0.0.1:")
        with Client(cluster) as client:
            assert client.submit(sum, [1, 2]).result() == 3
            assert all(address.startswith(scheme) for address in client.nthreads())


def test_scaling():
    with LocalCluster(n_workers=1, threads_per_worker=1) as cluster:
        cluster.scale(3)
        cluster.wait_for_workers(3, timeout=20)
        cluster.scale(1)
        wait_until(lambda: len(cluster.workers) == 1)
        wait_until(lambda: len(cluster.observed) == 1)
        logs = cluster.get_logs()
        assert "Scheduler" in logs
        assert len(logs) == 3


def test_asynchronous_use():
    async def main():
        async with (
            LocalCluster(n_workers=1, threads_per_worker=1, asynchronous=True) as cluster,
            Client(cluster, asynchronous=True) as client,
        ):
            assert await client.submit(sum, [1, 2]) == 3
            await cluster.scale(2)
            await cluster.wait_for_workers(2, timeout=20)
        assert cluster.status == "closed"

    run(main(), timeout=50)


def test_a_killed_scheduler_is_replaced_and_work_goes_on():
    with LocalCluster(n_workers=2, threads_per_worker=1) as cluster, Client(cluster) as client:
        futures = client.map(slow_inc, range(100))
        wait_until(lambda: any(future.done() for future in futures))
        first = cluster.scheduler.pid
        os.kill(first, signal.SIGKILL)
        assert client.gather(futures) == list(range(1, 101))
        assert cluster.scheduler.pid != first
        assert client.submit(slow_inc, 1000).result() == 1001


def test_a_killed_worker_is_replaced_and_work_goes_on():
    with LocalCluster(n_workers=2, threads_per_worker=1) as cluster, Client(cluster) as client:
        futures = client.map(slow_inc, range(100))
        wait_until(lambda: any(future.done() for future in futures))
        os.kill(cluster.workers[0].pid, signal.SIGKILL)
        assert client.gather(futures) == list(range(1, 101))
        cluster.wait_for_workers(2, timeout=20)


def slow_inc(x):
    import time

    time.sleep(0.01)
    return x + 1


def test_a_scheduler_that_cannot_start_says_why(tmp_path):
    (tmp_path / "a_file").touch()
    options = {"scheduler_file": str(tmp_path / "a_file" / "scheduler.json")}
    with pytest.raises(RuntimeError, match=r"scheduler did not start: .*a_file"):
        LocalCluster(n_workers=1, scheduler_kwargs=options)


def test_a_worker_that_cannot_start_says_why(tmp_path):
    (tmp_path / "a_file").touch()
    with pytest.raises(RuntimeError, match=r"worker 0 did not start: .*a_file"):
        LocalCluster(n_workers=1, local_directory=str(tmp_path / "a_file"))


def test_shutdown_by_a_client_closes_the_cluster():
    cluster = LocalCluster(n_workers=1, threads_per_worker=1)
    client = Client(cluster)
    client.shutdown()
    wait_until(lambda: cluster.status == "closed")
    client.close()
    cluster.close()


@pytest.mark.parametrize("end", ["exit", "SIGINT", "SIGTERM", "SIGKILL"])
def test_nothing_stays_when_the_process_ends(end):
    script = """
        import os, signal, sys, time
        from shoal import Client, LocalCluster
        cluster = LocalCluster(n_workers=1, threads_per_worker=1)
        client = Client(cluster)
        future = client.submit(time.sleep, 60)
        pids = [cluster.scheduler.pid, cluster.workers[0].pid, cluster._template._process.pid]
        print(cluster._folder.path, *pids, flush=True)
        sys.stdin.read()
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        folder, *pids = process.stdout.readline().split()
        if end == "exit":
            process.stdin.close()
        else:
            process.send_signal(signal.Signals[end])
        process.wait(20)
    wait_until(lambda: not any(alive(int(pid)) for pid in pids), 20)
    wait_until(lambda: not os.path.exists(folder))


def alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="n_workers must be"):
        LocalCluster(n_workers=-1)
    with pytest.raises(ValueError, match="not both"):
        LocalCluster(host="127.0.0.1", interface="lo")
    with pytest.raises(ValueError, match="processes=False"):
        LocalCluster(protocol="inproc")
    with pytest.raises(ValueError, match="scheduler_port must be"):
        LocalCluster(scheduler_port=70000)
    with pytest.raises(ValueError, match="not a memory limit"):
        LocalCluster(memory_limit="much")


def test_a_nanny_alone_with_a_cluster_of_none():
    async def main():
        async with LocalCluster(n_workers=0, asynchronous=True) as cluster:
            async with Nanny(cluster.scheduler_address, nthreads=2, name="alone") as nanny:
                await cluster.wait_for_workers(1, timeout=20)
                infos = cluster.scheduler_info["workers"].values()
                assert [(info["name"], info["nthreads"]) for info in infos] == [("alone", 2)]
                assert nanny.worker_address in cluster.scheduler_info["workers"]
                told = await cluster.scheduler_comm.broadcast(msg={"op": "identity"}, nanny=True)
                assert told[nanny.worker_address]["pid"] == nanny.pid
            await until(lambda: not cluster.observed)

    async def limited():
        await asyncio.wait_for(main(), 50)

    run(limited(), timeout=55)


def test_workers_share_the_memory_there_is():
    with LocalCluster(n_workers=3, threads_per_worker=8, processes=False) as cluster:
        limits = [worker.memory_limit for worker in cluster.workers.values()]
        assert 0 < sum(limits) <= memory_available()


@pytest.mark.parametrize("begun", [False, True])
def test_closing_waits_for_the_end_of_workers_that_were_about_to_start(begun):
    """What is left on the loop would start processes anew, or complain when Python ends."""

    async def main():
        async with LocalCluster(
            n_workers=1, threads_per_worker=1, asynchronous=True, dashboard_address=None
        ) as cluster:
            before = asyncio.all_tasks()
            cluster.scale(3)
            if begun:
                await until(lambda: len(cluster.workers) == 3)
        left = asyncio.all_tasks() - before - {asyncio.current_task()}
        assert left == set() and psutil.Process().children() == []

    run(main())


@pytest.mark.parametrize("processes", [True, False])
def test_fewer_workers_lose_nothing(processes):
    with (
        LocalCluster(
            n_workers=3, threads_per_worker=1, processes=processes, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        assert {w["name"] for w in client.scheduler_info()["workers"].values()} == {0, 1, 2}
        data = client.scatter(list(range(20)))
        cluster.scale(2)
        wait_until(lambda: len(client.scheduler_info()["workers"]) == 2, 30)
        assert client.gather(data) == list(range(20))
        cluster.scale_down(["1"])
        wait_until(lambda: len(client.scheduler_info()["workers"]) == 1, 30)
        assert cluster.plan == {0}
        assert client.gather(data) == list(range(20))


@pytest.mark.parametrize("whom", ["worker", "both"])
def test_sigterm_loses_nothing(whom):
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        pid = cluster.workers[0].pid
        data = client.scatter(list(range(20)), workers=["0"])
        if whom == "both":  # as a batch system does
            asyncio.run_coroutine_threadsafe(
                cluster.workers[0].leave("this process received SIGTERM"), cluster.loop.asyncio_loop
            )
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not psutil.pid_exists(pid), 30)
        assert client.gather(data) == list(range(20))
        if whom == "worker":  # the nanny has another
            wait_until(lambda: len(client.scheduler_info()["workers"]) == 2, 30)
        else:
            wait_until(lambda: set(cluster.workers) == {1}, 30)


def _noisy(x):
    logging.getLogger("mine").warning("I saw %s", x)
    raise ValueError(x)


@pytest.mark.parametrize("processes", [True, False])
def test_logs_have_what_tasks_say_and_their_failures(processes, capfd):
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, processes=processes, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        future = client.submit(_noisy, 7)
        assert isinstance(future.exception(), ValueError)
        [logs] = client.get_worker_logs().values()
        text = "\n".join(line for _, line in logs)
        assert "Compute Failed" in text and future.key in text and "ValueError(7)" in text
        if processes:
            assert "mine - WARNING - I saw 7" in text
            assert sys.argv == client.submit(lambda: sys.argv).result()
            [logs] = client.get_worker_logs(nanny=True).values()
            assert "Starting process 1" in logs[-1][1]
        assert "Compute Failed" in str(list(cluster.get_logs().values())[-1])
    assert "Compute Failed" not in capfd.readouterr().err


def test_a_dashboards_port_that_is_taken_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.warns(UserWarning, match=f"Port {port} is already in use"),
            LocalCluster(n_workers=1, dashboard_address=f"127.0.0.1:{port}") as cluster,
        ):
            assert cluster.dashboard_link and str(port) not in cluster.dashboard_link
