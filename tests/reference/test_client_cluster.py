"""Examples of the docstrings of `Client` in `futures-api.txt`: the cluster, plugins, insight."""

from __future__ import annotations

import asyncio
import os
import re
import webbrowser
import zipfile
from collections.abc import Callable

import pytest
from helpers import wait_until

import shoal
from shoal import Client, Event, WorkerPlugin, get_task_stream, get_worker


def inc(x):
    return x + 1


@pytest.fixture
def own() -> Client:
    with Client(processes=False, n_workers=2, dashboard_address=None) as client:
        yield client


def test_run_docstring(c: Client) -> None:
    addresses = list(c.nthreads())
    assert c.run(os.getpid) == dict.fromkeys(addresses, os.getpid())
    assert c.run(os.getpid, workers=addresses[:1]) == {addresses[0]: os.getpid()}

    def get_status(dask_worker):
        return dask_worker.status

    assert [str(status.value) for status in c.run(get_status).values()] == ["running"] * 2
    assert all(status == "running" for status in c.run(get_status).values())


def test_run_in_the_background(c: Client, capsys) -> None:
    stop = Event("reference-stop")

    async def print_state(dask_worker):
        while True:
            print(dask_worker.status)
            await asyncio.sleep(0)
            if await stop.is_set():
                break

    c.run(print_state, wait=False)
    printed = []
    wait_until(lambda: printed.append(capsys.readouterr().out) or "running" in "".join(printed))
    stop.set()


def test_run_on_scheduler_docstring(client: Client, c: Client, capsys) -> None:
    futures = client.map(inc, range(100))

    def get_number_of_tasks(dask_scheduler=None):
        return len(dask_scheduler.tasks)

    assert client.run_on_scheduler(get_number_of_tasks) >= len(futures) == 100

    async def print_state(dask_scheduler):
        print("it is", dask_scheduler.status)
        await asyncio.sleep(0)

    c.run_on_scheduler(print_state, wait=False)
    printed = []
    wait_until(lambda: printed.append(capsys.readouterr().out) or "running" in "".join(printed))


def test_run_coroutine(c: Client) -> None:
    async def address(dask_worker):
        await asyncio.sleep(0)
        return dask_worker.address

    assert c.run_coroutine(address) == {a: a for a in c.nthreads()}


def test_scheduler_info_docstring(c: Client) -> None:
    info = c.scheduler_info()
    assert info["type"] == "Scheduler" and info["id"] and set(info["services"]) <= {"dashboard"}
    for worker in info["workers"].values():
        assert {"name", "services", "last_seen"} <= set(worker)


def test_wait_for_workers(c: Client) -> None:
    c.wait_for_workers(n_workers=2, timeout=10)


def test_retire_workers_docstring(own: Client) -> None:
    workers = own.scheduler_info()["workers"]
    address = next(iter(workers))
    own.retire_workers(workers=[address])
    wait_until(lambda: address not in own.scheduler_info()["workers"])


@pytest.mark.process
def test_restart() -> None:
    with Client(n_workers=1, threads_per_worker=1, dashboard_address=None) as client:
        (before,) = client.run(os.getpid).values()
        client.restart()
        (after,) = client.run(os.getpid).values()
        assert after != before


def test_shutdown(own: Client) -> None:
    own.shutdown()
    assert own.status == "closed"


def test_scheduler_file_docstring(own: Client, tmp_path) -> None:
    with Client(processes=False, n_workers=1, protocol="tcp", dashboard_address=None) as client:
        client.write_scheduler_file(str(tmp_path / "scheduler.json"))
        # connect to previous client's scheduler
        client2 = Client(scheduler_file=str(tmp_path / "scheduler.json"), set_as_default=False)
        assert client2.submit(inc, 1).result() == 2
        client2.close()


def test_upload_file_docstring(client: Client, tmp_path) -> None:
    egg = tmp_path / "reference_mylibrary.egg"
    with zipfile.ZipFile(egg, "w") as file:
        file.writestr("reference_mylibrary/__init__.py", "def myfunc(x):\n    return 3 * x\n")
    client.upload_file(str(egg))
    from reference_mylibrary import myfunc

    L = client.map(myfunc, [1, 2])
    assert client.gather(L) == [3, 6]


def make_plugin() -> type[WorkerPlugin]:
    class MyPlugin(WorkerPlugin):
        my_state = "mine"

        def __init__(self, *args, **kwargs):
            pass  # the constructor is up to you

        def setup(self, worker: shoal.Worker):
            pass

        def teardown(self, worker: shoal.Worker):
            worker.my_plugin_is_gone = True  # type: ignore[attr-defined]

        def transition(self, key: str, start: str, finish: str, **kwargs):
            pass

        def release_key(self, key: str, state: str, cause: str | None, reason: None, report: bool):
            pass

    return MyPlugin


REGISTER = "ignore:.*register_plugin.*:DeprecationWarning"


@pytest.mark.filterwarnings(REGISTER)
def test_register_worker_plugin_docstring(client: Client) -> None:
    plugin = make_plugin()(1, 2, 3)  # type: ignore[call-arg]
    client.register_worker_plugin(plugin)
    assert client.submit(inc, 1).result() == 2

    # You can get access to the plugin with the get_worker function
    other_plugin = make_plugin()()
    client.register_worker_plugin(other_plugin, name="my-plugin")

    def f():
        worker = get_worker()
        plugin = worker.plugins["my-plugin"]
        return plugin.my_state

    assert list(client.run(f).values()) == ["mine", "mine"]


@pytest.mark.filterwarnings(REGISTER)
def test_unregister_worker_plugin_docstring(client: Client) -> None:
    plugin = make_plugin()(1, 2, 3)  # type: ignore[call-arg]
    client.register_worker_plugin(plugin, name="foo")
    client.unregister_worker_plugin(name="foo")

    def gone(dask_worker):
        return dask_worker.my_plugin_is_gone and "foo" not in dask_worker.plugins

    assert list(client.run(gone).values()) == [True, True]


def test_register_worker_callbacks(client: Client) -> None:
    def setup(dask_worker):
        dask_worker.reference_callback = True

    client.register_worker_callbacks(setup)

    def seen(dask_worker):
        return dask_worker.reference_callback

    assert list(client.run(seen).values()) == [True, True]


@pytest.mark.filterwarnings(REGISTER)
def test_register_scheduler_plugin(client: Client) -> None:
    class Counting(shoal.SchedulerPlugin):
        name = "reference-counting"

    client.register_scheduler_plugin(Counting())
    assert client.run_on_scheduler(
        lambda dask_scheduler: "reference-counting" in dask_scheduler.plugins
    )


def test_task_stream_docstring(client: Client, tmp_path) -> None:
    x = shoal_delayed(inc)
    client.get_task_stream()  # prime plugin if not already connected
    x.compute()  # do some work
    records = client.get_task_stream()
    assert any("inc" in record["key"] for record in records)
    assert {"type", "thread", "worker"} <= set(records[-1])

    # Pass the plot=True or plot='save' keywords to get back a figure
    path = str(tmp_path / "myfile.html")
    _data, figure = client.get_task_stream(plot="save", filename=path)
    assert figure is not None and os.path.getsize(path)

    # Alternatively consider the context manager
    with get_task_stream() as ts:
        shoal_delayed(inc, 5).compute()
    assert len(ts.data) == 1


def shoal_delayed(function: Callable[[int], int], value: int = 1):
    from dask import delayed

    return delayed(function)(value)


def test_profile_docstring(client: Client, tmp_path) -> None:
    assert client.profile()["identifier"] == "root"  # call on collections
    client.profile(filename=str(tmp_path / "dask-profile.html"))  # save to html file
    assert (tmp_path / "dask-profile.html").stat().st_size


def test_get_versions_docstring(c: Client) -> None:
    assert set(c.get_versions()) == {"scheduler", "workers", "client"}
    found = c.get_versions(packages=["pandas", "geopandas"])
    assert found["client"]["packages"]["pandas"]


def test_logs(c: Client) -> None:
    assert 0 < len(c.get_scheduler_logs(n=5)) <= 5
    assert set(c.get_worker_logs()) == set(c.nthreads())


def test_dump_cluster_state(c: Client, tmp_path) -> None:
    c.dump_cluster_state(str(tmp_path / "dask-cluster-dump"))
    assert [path for path in tmp_path.iterdir() if re.match("dask-cluster-dump", path.name)]


def test_dashboard_link_docstring(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    webbrowser.open(client.dashboard_link)
    assert isinstance(opened[0], str)


def test_amm(client: Client) -> None:
    assert client.amm.start() is None and client.amm.running()
    client.amm.run_once()
    client.amm.stop()
    assert not client.amm.running()
