"""Plugins of the package that take care of scheduler and workers, and their options."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers import run, until

from shoal.client.client import Client
from shoal.plugins import SchedulerPlugin, WorkerPlugin
from shoal.plugins.builtin import (
    ForwardOutput,
    InstallPlugin,
    KillWorker,
    SchedulerUploadFile,
    UploadDirectory,
)
from shoal.scheduler.scheduler import Scheduler
from shoal.worker.worker import Worker

calls: list[str] = []


def install() -> None:
    calls.append("installed")


def test_a_function_that_installs_runs_everywhere_and_for_who_comes_later() -> None:
    async def main() -> None:
        calls.clear()
        async with (
            Scheduler(protocol="inproc") as s,
            Worker(s.address, nthreads=1),
            Client(s.address, asynchronous=True, set_as_default=False) as client,
        ):
            plugin = InstallPlugin(install)
            assert isinstance(plugin, SchedulerPlugin)
            await client.register_plugin(plugin)
            assert len(calls) == 2  # the scheduler, and the worker
            async with Worker(s.address, nthreads=1):
                assert len(calls) == 3
            await client.unregister_scheduler_plugin(plugin.name)
            async with Worker(s.address, nthreads=1):
                assert len(calls) == 3
        with pytest.raises(TypeError, match="install_fn= must be a function"):
            InstallPlugin("numpy")  # type: ignore[arg-type]

    run(main())


def test_a_class_is_no_plugin() -> None:
    class Mine(WorkerPlugin):
        pass

    async def main() -> None:
        async with (
            Scheduler(protocol="inproc") as s,
            Client(s.address, asynchronous=True, set_as_default=False) as client,
        ):
            with pytest.raises(TypeError, match=r"not its class: Mine\(\.\.\.\)"):
                await client.register_plugin(Mine)

    run(main())


def test_a_folder_on_the_scheduler(tmp_path: Path) -> None:
    code = tmp_path / "code_for_scheduler"
    code.mkdir()
    (code / "__init__.py").write_text("value = 5\n")
    (code / "left_out.txt").write_text("")
    file = tmp_path / "file_for_scheduler.py"
    file.write_text("value = 6\n")

    def read() -> tuple[int, int]:
        import code_for_scheduler  # type: ignore[import-not-found]
        import file_for_scheduler  # type: ignore[import-not-found]

        return code_for_scheduler.value, file_for_scheduler.value

    async def main() -> None:
        async with (
            Scheduler(protocol="inproc") as s,
            Client(s.address, asynchronous=True, set_as_default=False) as client,
        ):
            plugin = UploadDirectory(
                code, update_path=True, mode="scheduler", skip_words=("left_out.txt",)
            )
            await client.register_plugin(plugin)
            await client.register_plugin(SchedulerUploadFile(file))
            assert await client.run_on_scheduler(read) == (5, 6)
            assert not (Path(s.local_directory) / code.name / "left_out.txt").exists()
        with pytest.raises(ValueError, match="mode= is one of workers, scheduler, all"):
            UploadDirectory(code, mode="everywhere")
        with pytest.raises(FileNotFoundError, match=r"no file '/nowhere\.py'"):
            SchedulerUploadFile("/nowhere.py")

    run(main())


def test_restart_workers_has_two_names(tmp_path: Path) -> None:
    assert UploadDirectory(tmp_path, restart_workers=True).for_nannies.restart
    assert UploadDirectory(tmp_path, restart=True).for_nannies.restart
    assert not UploadDirectory(tmp_path).for_nannies.restart


def test_output_is_forwarded_and_given_back(capsys: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        async with (
            Scheduler(protocol="inproc") as s,
            Worker(s.address, nthreads=1) as w,
            Client(s.address, asynchronous=True, set_as_default=False) as client,
        ):
            before = sys.stdout, sys.stderr
            await client.register_plugin(ForwardOutput(), name="forward")
            await client.submit(print, "said by a task", pure=False)
            sys.stderr.writelines(["a", "b"])

            def said() -> set[tuple[str, int]]:
                told = [message for _, message in s.get_events("print")]
                return {(message["args"][0], message["kwargs"]["file"]) for message in told}

            await until(lambda: said() >= {("said by a task", 1), ("a", 2), ("b", 2)})
            await client.unregister_worker_plugin("forward")
            assert (sys.stdout, sys.stderr) == before and "forward" not in w.plugins

    run(main())
    assert capsys.readouterr().out == "said by a task\n"  # once: the client is in this process


def test_workers_that_are_to_die() -> None:
    async def main() -> None:
        async with (
            Scheduler(protocol="inproc") as s,
            Worker(s.address, nthreads=1, plugins=[KillWorker("10 ms", mode="graceful")]) as w,
        ):
            await asyncio.wait_for(w.finished(), 10)
            await until(lambda: not s.workers)

    run(main())
    with pytest.raises(ValueError, match="mode= is one of"):
        KillWorker(mode="gently")


def test_older_hooks_get_only_what_they_take() -> None:
    seen: list[Any] = []

    class Old(SchedulerPlugin):
        def remove_worker(self, scheduler: Any, worker: str) -> None:  # type: ignore[override]
            seen.append(worker)

    async def main() -> None:
        async with Scheduler(protocol="inproc") as s:
            s.add_plugin(Old())
            async with Worker(s.address, nthreads=1) as w:
                address = w.address
            await until(lambda: seen == [address])

    run(main())


def test_hooks_in_the_order_of_what_led_to_what() -> None:
    order: list[Any] = []

    class Order(SchedulerPlugin):
        def add_worker(self, *, scheduler: Any, worker: str) -> None:
            order.append("add_worker")

        def remove_worker(self, *, scheduler: Any, worker: str, **kwargs: Any) -> None:
            order.append("remove_worker")

        def update_graph(self, scheduler: Any, *, keys: Any, stimulus_id: str, **kw: Any) -> None:
            assert set(kw) == {"client", "tasks", "annotations", "priority"} and stimulus_id
            order.append("update_graph")

        def transition(self, key: Any, start: str, finish: str, *args: Any, **kw: Any) -> None:
            order.append((start, finish))
            if (start, finish) == ("processing", "memory"):
                (span,) = kw["startstops"]
                assert span["action"] == "compute" and span["stop"] >= span["start"]
                assert kw["nbytes"] > 0 and kw["type"] == kw["typename"] == "int"
                assert kw["worker"] and kw["stimulus_id"]

    async def main() -> None:
        async with (
            Scheduler(protocol="inproc") as s,
            Client(s.address, asynchronous=True, set_as_default=False) as client,
        ):
            s.add_plugin(Order())
            future = client.submit(int, 5, key="x")
            await until(lambda: ("waiting", "no-worker") in order)
            async with Worker(s.address, nthreads=1):
                assert await future == 5
            await until(lambda: "remove_worker" in order)
        assert order.index("update_graph") < order.index(("released", "waiting"))
        assert order.index("add_worker") < order.index(("waiting", "processing"))
        assert order.index(("memory", "released")) < order.index("remove_worker")

    run(main())
