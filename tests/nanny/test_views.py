"""What plugins and functions find on a nanny, and what its process inherits."""

from __future__ import annotations

import os

import dask
import pytest
from helpers import run, until

from shoal import Client, get_worker
from shoal.nanny.nanny import Nanny
from shoal.nanny.options import worker_environment
from shoal.nanny.views import NannyMemoryManager, with_ours
from shoal.scheduler.scheduler import Scheduler
from shoal.worker.worker import Worker


def test_a_configuration_is_ours_with_other_values() -> None:
    assert with_ours(None) is None
    with dask.config.set({"test-of-nanny.foo": 1}):
        whole = with_ours({"test-of-nanny.bar": 2})
        assert whole is not None and whole["test-of-nanny"] == {"foo": 1, "bar": 2}
        assert dask.config.get("test-of-nanny") == {"foo": 1}
        assert whole["distributed"] == dask.config.config["distributed"]


def test_hashes_are_the_same_on_all_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    assert worker_environment(None)["PYTHONHASHSEED"].isdigit()
    assert worker_environment({"PYTHONHASHSEED": 5})["PYTHONHASHSEED"] == "5"
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    assert worker_environment(None)["PYTHONHASHSEED"] == "7"


@pytest.mark.process
def test_attributes_of_a_nanny() -> None:
    async def main() -> None:
        with dask.config.set({"test-of-nanny.foo": 1}):
            async with (
                Scheduler(host="127.0.0.1", port=0) as s,
                Nanny(
                    s.address,
                    nthreads=1,
                    config={"test-of-nanny.bar": 2},
                    memory_limit="2 GiB",
                    resources={"GPU": 1},
                    death_timeout="1 minute",
                ) as n,
                Client(s.address, asynchronous=True, set_as_default=False) as client,
            ):
                assert n.Worker is Worker and n.resources == {"GPU": 1}
                assert n.config["test-of-nanny"] == {"foo": 1, "bar": 2}
                assert n.ip == n.host == "127.0.0.1" and n.services == {}
                assert n.death_timeout == "1 minute" and n.silence_logs is None
                assert n.pre_spawn_env["OMP_NUM_THREADS"] == "1"
                assert n.worker_kwargs["nthreads"] == 1 and n.contact_address is None
                manager = n.memory_manager
                assert isinstance(manager, NannyMemoryManager)
                assert manager.memory_limit == 2**31 and manager.process is n.process
                assert manager.memory_terminate_fraction == 0.95
                assert (await n.scheduler.identity())["id"] == s.id
                assert n.monitor.get_process_memory() > 2**20
                assert os.path.basename(n.local_directory).startswith("dask-scratch-space")
                n.log_event("nannies", {"a": 1})
                await until(lambda: s.get_events("nannies"))

                def look() -> tuple[object, object, str]:
                    got = dask.config.get("test-of-nanny")
                    seed = os.environ["PYTHONHASHSEED"]
                    return got, seed, get_worker().local_directory

                got, seed, folder = await client.submit(look)
                assert got == {"foo": 1, "bar": 2} and seed
                assert os.path.dirname(folder) == n.local_directory
                n.close_gracefully()
                assert n.is_alive()
                os.kill(n.pid or 0, 9)
                await until(lambda: not n.is_alive() and not s.workers)

    run(main(), timeout=40)


@pytest.mark.parametrize("name", ["SHOAL_SECRET", "DASK_SHOAL__SECRET", "DASK_Shoal__secret"])
def test_the_secret_is_in_no_environment_of_tasks(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "x" * 40)
    monkeypatch.setenv("DASK_SHOAL__SECRET_FILE", "there")
    found = worker_environment({name: "y" * 40})
    assert name not in found and found["DASK_SHOAL__SECRET_FILE"] == "there"
