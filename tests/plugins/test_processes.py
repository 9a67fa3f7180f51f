"""Plugins, uploads and preloads on clusters of processes, as most people have them."""

from __future__ import annotations

import importlib
import json
import os
import stat
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from helpers import wait_until

from shoal import (
    Client,
    CondaInstall,
    LocalCluster,
    Scheduler,
    SchedulerPlugin,
    UploadFile,
    Worker,
    WorkerPlugin,
    wait,
)

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]


def inc(x: int) -> int:
    return x + 1


def answer_of(name: str) -> Any:
    return importlib.import_module(name).answer()


class Diary(SchedulerPlugin):
    """Writes down what it is told, in the scheduler's process."""

    name = "diary"

    def __init__(self, path: str) -> None:
        self.path = path

    def write(self, *words: Any) -> None:
        with open(self.path, "a") as file:
            file.write(json.dumps([os.getpid(), *words]) + "\n")

    async def start(self, scheduler: Scheduler) -> None:
        self.write("start")

    async def close(self) -> None:
        self.write("close")

    def update_graph(self, scheduler: Scheduler, **kwargs: Any) -> None:
        self.write("update_graph", list(kwargs["tasks"]))

    def restart(self, scheduler: Scheduler) -> None:
        self.write("restart")

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        self.write("transition", key, start, finish)

    def add_worker(self, scheduler: Scheduler, worker: str) -> None:
        self.write("add_worker", worker)

    def remove_worker(self, scheduler: Scheduler, worker: str, **kwargs: Any) -> None:
        self.write("remove_worker", worker)

    def add_client(self, scheduler: Scheduler, client: str) -> None:
        self.write("add_client", client)

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        self.write("remove_client", client)

    def log_event(self, topic: str, msg: Any) -> None:
        self.write("log_event", topic)


class Clumsy(SchedulerPlugin):
    """Fails in all that it does."""

    name = "clumsy"

    def _fail(self, *args: Any, **kwargs: Any) -> None:
        raise ValueError("no luck")

    update_graph = restart = transition = add_worker = remove_worker = _fail
    add_client = remove_client = log_event = _fail


def test_every_hook_of_the_scheduler_and_one_that_fails_in_each(tmp_path: Path) -> None:
    path = tmp_path / "diary"

    def told(*words: Any) -> list[list[Any]]:
        lines = [json.loads(line)[1:] for line in path.read_text().splitlines()]
        return [line for line in lines if line[: len(words)] == [*words]]

    with (
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        client.register_plugin(Clumsy())
        client.register_plugin(Diary(str(path)))
        client.register_plugin(Diary(str(tmp_path / "other")), idempotent=True)
        assert not (tmp_path / "other").exists()
        assert client.submit(inc, 1, key="x").result() == 2
        with Client(cluster, set_as_default=False) as other:
            name = other.id
        wait_until(lambda: told("remove_client", name))
        client.log_event("news", 1)
        (old,) = client.nthreads()
        client.restart()
        (new,) = client.nthreads()
        wait_until(lambda: told("add_worker", new))
        assert client.submit(inc, 2, key="y").result() == 3
        # Nothing was left out because of the other one, which is named for each of its failures.
        for hook in ("add_client", "update_graph", "restart", "transition", "add_worker"):
            assert any(
                f"Plugin 'clumsy' failed in {hook}()" in text
                for _, text in client.get_scheduler_logs()
            ), hook
        assert {json.loads(line)[0] for line in path.read_text().splitlines()} == {
            client.run_on_scheduler(os.getpid)
        }
    assert told()[0] == ["start"] and told("close")
    assert told("add_client", name) and told("remove_worker", old) and told("restart")
    assert ["news"] in [line[1:] for line in told("log_event")]
    assert ["x"] in [line[1] for line in told("update_graph")]
    assert [line[2:] for line in told("transition", "x")][:3] == [
        ["released", "waiting"],
        ["waiting", "processing"],
        ["processing", "memory"],
    ]


class Mark(WorkerPlugin):
    """Counts what it is told, on its worker."""

    def __init__(self, name: str, value: int) -> None:
        self.name = name
        self.value = value

    def setup(self, worker: Worker) -> None:
        worker.marks = [*getattr(worker, "marks", []), ("setup", self.value)]  # type: ignore[attr-defined]

    def teardown(self, worker: Worker) -> None:
        worker.marks.append(("teardown", self.value))  # type: ignore[attr-defined]


def marks(dask_worker: Worker) -> Any:
    return dask_worker.marks  # type: ignore[attr-defined]


def test_worker_plugins_by_name_and_for_workers_that_come_later() -> None:
    with Client(n_workers=1, threads_per_worker=1, dashboard_address=None) as client:
        (first,) = client.nthreads()
        client.register_plugin(Mark("mark", 1))
        client.register_plugin(Mark("mark", 2))  # takes the place of the one before
        assert client.run(marks) == {first: [("setup", 1), ("teardown", 1), ("setup", 2)]}
        client.cluster.scale(2)
        client.wait_for_workers(2)
        found = client.run(marks)
        assert found.pop(first)[-1] == ("setup", 2)
        assert list(found.values()) == [[("setup", 2)]]
        client.unregister_worker_plugin("mark")
        assert all(each[-1] == ("teardown", 2) for each in client.run(marks).values())


@pytest.mark.parametrize("kind", ["py", "zip", "egg"])
def test_uploads_reach_workers_that_come_later(tmp_path: Path, kind: str) -> None:
    name = f"late_{kind}"
    file = tmp_path / f"{name}.{kind}"
    code = "def answer(): return {}\n"
    if kind == "py":
        file.write_text(code.format(1))
    else:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(f"{name}/__init__.py", code.format(1))
    with Client(n_workers=1, threads_per_worker=1, dashboard_address=None) as client:
        (first,) = client.nthreads()
        client.upload_file(str(file))
        client.cluster.scale(2)
        client.wait_for_workers(2)
        (late,) = set(client.nthreads()) - {first}
        for worker in (first, late):
            assert client.submit(answer_of, name, workers=[worker], pure=False).result() == 1
        client.restart()  # new processes have it, too
        assert list(client.run(answer_of, name).values()) == [1, 1]
        client.register_plugin(UploadFile(file), name="again")
        assert list(client.run(answer_of, name).values()) == [1, 1]


def test_conda_is_called_once_on_each_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a program that stands for it, as it does in environments of conda."""
    notes = tmp_path / "notes"
    conda = tmp_path / "conda"
    conda.write_text(f'#!/bin/sh\necho "$@" >> {notes}\n')
    conda.chmod(stat.S_IRWXU)
    monkeypatch.setenv("CONDA_EXE", str(conda))
    with Client(n_workers=2, threads_per_worker=1, dashboard_address=None) as client:
        client.register_plugin(CondaInstall(["ape"], conda_options=["-c", "conda-forge"]))
        line, *others = notes.read_text().splitlines()
        assert line.startswith("install --yes") and line.endswith("-c conda-forge ape")
        assert set(others) <= {line} and len(others) <= 2  # the scheduler, and two workers
        conda.write_text("#!/bin/sh\necho PackagesNotFoundError >&2; exit 1\n")
        with pytest.raises(RuntimeError, match="PackagesNotFoundError"):
            client.register_plugin(CondaInstall(["bear"]))
        assert client.submit(inc, 1).result() == 2


PRELOAD = """
import os

def dask_setup(server):
    server.preloaded = os.getpid()

def dask_teardown(server):
    with open({path!r}, "a") as file:
        file.write(type(server).__name__ + " ")
"""


def test_preloads_of_scheduler_and_workers(tmp_path: Path) -> None:
    path = tmp_path / "ended"
    script = tmp_path / "my_preload.py"
    script.write_text(PRELOAD.format(path=str(path)))

    def of_scheduler(dask_scheduler: Any) -> bool:
        return bool(dask_scheduler.preloaded == os.getpid())

    def of_worker(dask_worker: Any) -> bool:
        return bool(dask_worker.preloaded == os.getpid() and "my_preload" in sys.modules)

    with (
        LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            dashboard_address=None,
            preload=[str(script)],
            scheduler_kwargs={"preload": [str(script)]},
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        assert client.run_on_scheduler(of_scheduler)
        cluster.scale(2)
        client.wait_for_workers(2)
        assert list(client.run(of_worker).values()) == [True, True]
        wait(client.map(inc, range(4)))
    assert sorted(path.read_text().split()) == ["Scheduler", "Worker", "Worker"]
