"""Clusters of specifications, with workers that are only noted down."""

from __future__ import annotations

import asyncio
import logging

import dask
import pytest
from helpers import run, until

from shoal.core import Server
from shoal.deploy.lost import LostWorkers
from shoal.deploy.spec import ProcessInterface, SpecCluster
from shoal.errors import WorkerStartTimeoutError


class FakeScheduler(Server):
    """Knows the workers that are up, by name."""

    known: dict[str, dict] = {}

    def __init__(self):
        self.retired = []
        FakeScheduler.known = {}
        super().__init__(
            {
                "retire_workers": self.retire,
                "logs": lambda: [("INFO", "second"), ("INFO", "first")],
                "broadcast": lambda msg, workers: {"a": [("INFO", "hello")]},
            }
        )

    async def start_unsafe(self):
        await self.listen("inproc://")

    def retire(self, names):
        self.retired.append(list(names))

    def identity(self):
        return {**super().identity(), "workers": dict(FakeScheduler.known)}


class FakeWorker(ProcessInterface):
    made = 0

    def __init__(self, scheduler, name=None, fail=False, nthreads=1):
        super().__init__(scheduler=scheduler, name=name)
        FakeWorker.made += 1
        self.fail = fail
        self.nthreads = nthreads

    async def start(self):
        await asyncio.sleep(0)
        if self.fail:
            raise RuntimeError("no room for it")
        FakeScheduler.known[f"addr-{self.name}"] = {
            "name": self.name,
            "nthreads": self.nthreads,
            "memory_limit": 10,
        }
        await super().start()

    async def close(self):
        FakeScheduler.known.pop(f"addr-{self.name}", None)
        await super().close()


SCHEDULER = {"cls": FakeScheduler, "options": {}}


def cluster_of(n=2, **kwargs):
    spec = {"cls": FakeWorker, "options": {"nthreads": 2}}
    kwargs.setdefault("workers", dict.fromkeys(range(n), spec))
    kwargs.setdefault("worker", spec)
    return SpecCluster(scheduler=SCHEDULER, asynchronous=True, **kwargs)


def test_a_life():
    async def main():
        cluster = cluster_of(2, name="fish")
        assert cluster.status == "created"
        async with cluster:
            assert cluster.status == "running"
            assert set(cluster.workers) == {0, 1}
            assert cluster.observed == cluster.plan == cluster.requested == {0, 1}
            assert repr(cluster).startswith("SpecCluster(fish, 'inproc://")
            assert "workers=2, threads=4, memory=20 B" in repr(cluster)
            workers = list(cluster.workers.values())
            scheduler = cluster.scheduler
        assert cluster.status == "closed"
        assert [worker.status for worker in workers] == ["closed", "closed"]
        assert scheduler.status == "closed"
        await cluster.close()

    run(main())


def test_scaling_up_and_down():
    async def main():
        async with cluster_of(1) as cluster:
            await cluster.scale(3)
            await cluster.wait_for_workers(3)
            assert cluster.observed == {0, 1, 2}
            cluster.scale_down([1])
            await until(lambda: set(cluster.workers) == {0, 2})
            assert cluster.scheduler.retired == [[1]]
            cluster.scale(cores=5)
            await until(lambda: len(cluster.workers) == 3)
            cluster.scale(0)
            await until(lambda: not cluster.workers)
            cluster.scale(1)
            await until(lambda: len(cluster.workers) == 1)

    run(main())


def test_scaling_to_and_fro_ends_in_the_last_state():
    async def main():
        async with cluster_of(0) as cluster:
            for n in [5, 0, 3, 7, 2]:
                cluster.scale(n)
            await until(lambda: len(cluster.workers) == 2 and cluster.plan == cluster.requested)
            await cluster.wait_for_workers(2)
            assert cluster.observed == cluster.plan

    run(main())


def test_a_worker_that_cannot_start_fails_the_cluster_and_closes_the_rest():
    async def main():
        bad = {"cls": FakeWorker, "options": {"fail": True}}
        good = {"cls": FakeWorker, "options": {}}
        cluster = cluster_of(workers={"good": good, "bad": bad})
        with pytest.raises(RuntimeError, match="no room"):
            await cluster
        assert cluster.status == "closed"
        assert FakeScheduler.known == {}
        with pytest.raises(RuntimeError, match="closed; make a new one"):
            await cluster._start()

    run(main())


def test_a_worker_that_closes_by_itself_is_forgotten():
    async def main():
        async with cluster_of(2) as cluster:
            await cluster.workers[0].close()
            await until(lambda: set(cluster.workers) == {1})
            assert cluster.plan == {1}
            logs = await cluster.get_logs()
            assert "worker 0 closed" in logs["Cluster"]
            assert logs["Scheduler"] == "first\nsecond"
            assert logs["a"] == "hello"

    run(main())


def test_a_scheduler_that_closes_by_itself_closes_the_cluster():
    async def main():
        async with cluster_of(1) as cluster:
            worker = cluster.workers[0]
            await cluster.scheduler.close()
            await until(lambda: cluster.status == "closed")
            assert worker.status == "closed"

    run(main())


def test_groups_count_as_several_workers():
    async def main():
        spec = {"cls": FakeWorker, "options": {}, "group": ["-0", "-1"]}
        async with cluster_of(workers={"job": spec}) as cluster:
            assert cluster.plan == {"job-0", "job-1"}
            cluster.scale_down(["job-1"])
            await until(lambda: not cluster.workers)

    run(main())


def test_waiting_for_workers_that_do_not_come():
    async def main():
        async with cluster_of(1) as cluster:
            with pytest.raises(WorkerStartTimeoutError, match="Only 1/2 workers"):
                await cluster.wait_for_workers(2, timeout=0.05)
            with pytest.raises(ValueError, match="at least 1"):
                await cluster.wait_for_workers(0)
            with pytest.raises(ValueError, match="whole number"):
                cluster.scale(-1)
            with pytest.raises(ValueError, match="memory of a worker"):
                cluster.scale(memory="1 GB")

    run(main())


def test_blocking_use():
    with SpecCluster(workers={"w": WORKER_OF_ONE}, scheduler=SCHEDULER, worker=WORKER_OF_ONE) as c:
        c.scale(2)
        c.wait_for_workers(2, timeout=10)
        assert len(c.scheduler_info["workers"]) == 2
    assert c.status == "closed"
    c.close()


def test_the_default_is_a_scheduler_in_this_process():
    with SpecCluster() as cluster:
        assert type(cluster.scheduler).__name__ == "Scheduler"
        with pytest.raises(ValueError, match="without worker="):
            cluster.scale(1)


WORKER_OF_ONE = {"cls": FakeWorker, "options": {}}


def test_the_level_of_silence_may_be_written_small(caplog):
    async def main():
        log = logging.getLogger("shoal.test")
        async with SpecCluster(
            scheduler={"cls": FakeScheduler}, asynchronous=True, silence_logs="error"
        ):
            log.warning("hidden")
            async with cluster_of(0, silence_logs=logging.WARNING):
                log.warning("told")
            log.error("told too")
            log.warning("hidden")
        log.warning("told again")
        return caplog.messages

    assert run(main()) == ["told", "told too", "told again"]


def test_the_names_that_published_subclasses_use():
    async def main():
        async with SpecCluster(
            scheduler={"cls": FakeScheduler}, asynchronous=True, name="reef"
        ) as cluster:
            assert cluster._name == "reef"
            cluster._name = "atoll"
            assert cluster.name == "atoll"
            assert cluster.loop == asyncio.get_running_loop()
            called = asyncio.get_running_loop().create_future()
            cluster.loop.add_callback(called.set_result, 1)
            assert await called == 1

    run(main())


def test_a_worker_may_say_who_it_is_before_it_begins():
    class Job(ProcessInterface):
        def __init__(self, scheduler=None, name=None):
            self.scheduler = scheduler
            self.name = name
            super().__init__()

    async def main():
        job = Job("tcp://1.2.3.4:5", name="job-1")
        assert (job.scheduler, job.name) == ("tcp://1.2.3.4:5", "job-1")
        plain = ProcessInterface("tcp://1.2.3.4:5", 7)
        assert (plain.scheduler, plain.name) == ("tcp://1.2.3.4:5", 7)

    run(main())


def test_a_worker_that_never_came_does_not_keep_the_others_from_retiring(caplog):
    """All that leave are retired at once; one unknown name would fail the whole of it."""
    asked = []

    class Strict(FakeScheduler):
        def retire(self, names=None):
            unknown = [name for name in names if f"addr-{name}" not in FakeScheduler.known]
            if unknown:
                raise ValueError(f"there is no worker {unknown[0]!r}")
            asked.append(sorted(names))

        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.handlers["retire_workers"] = self.retire

    async def main():
        spec = {"cls": FakeWorker, "options": {}}
        async with SpecCluster(
            scheduler={"cls": Strict, "options": {}},
            asynchronous=True,
            workers=dict.fromkeys(range(4), spec),
            worker=spec,
        ) as cluster:
            del FakeScheduler.known["addr-3"]  # its connection broke, say
            cluster.scale(1)
            await until(lambda: list(cluster.workers) == [0])

    run(main())
    assert asked[0] == [1, 2]
    assert "could not be moved" not in caplog.text


def test_names_are_the_same_when_their_texts_are():
    """A worker that says "0" is the specification's 0, whoever is asked."""

    class Textual(FakeWorker):
        def __init__(self, *args, name=None, **kwargs):
            super().__init__(*args, name=str(name), **kwargs)

    async def main():
        spec = {"cls": Textual, "options": {}}
        async with cluster_of(workers=dict.fromkeys(range(3), spec)) as cluster:
            assert cluster.observed == cluster.plan == cluster.requested == {0, 1, 2}
            cluster.scale_down(["1"])
            await cluster
            assert set(cluster.workers) == {0, 2}
            cluster.scale(1)
            await cluster
            assert cluster.observed == {0}
            assert cluster.scheduler.retired == [[1], [2]]

    run(main())


def test_awaiting_a_cluster_waits_for_what_was_asked_of_it():
    async def main():
        async with cluster_of(1) as cluster:
            cluster.scale(3)
            cluster.scale(2)
            await cluster
            assert len(cluster.workers) == 2 and cluster.observed == cluster.plan
            bad = {"cls": FakeWorker, "options": {"fail": True}}
            cluster.new_spec = bad
            cluster.scale(3)
            with pytest.raises(RuntimeError, match="no room"):
                await cluster

    run(main())


def test_workers_come_while_others_leave():
    async def main():
        let_go = asyncio.Event()
        async with cluster_of(2) as cluster:

            async def slow(names):
                await let_go.wait()
                return {}

            cluster.scheduler.handlers["retire_workers"] = slow
            cluster.scale(1)
            cluster.scale(3)
            await until(lambda: {0, 2, 3} <= set(cluster.workers))
            assert 1 in cluster.workers  # it still hands over
            let_go.set()
            await cluster
            assert set(cluster.workers) == {0, 2, 3}

    run(main())


def test_a_worker_that_is_gone_from_the_scheduler_for_long_is_made_anew(caplog):
    """As a job that its queue ended: the object that stands for it says nothing."""

    async def main():
        with dask.config.set({"distributed.deploy.lost-worker-timeout": "50 ms"}):
            cluster = cluster_of(2, scheduler_sync_interval=0.02)
        async with cluster:
            lost, other = cluster.workers.values()
            await until(lambda: len(cluster.scheduler_info["workers"]) == 2)
            FakeScheduler.known.pop("addr-0")
            await until(lambda: cluster.workers.get(0, lost) is not lost)
            assert lost.status == "closed" and cluster.workers[1] is other
            await until(lambda: len(cluster.scheduler_info["workers"]) == 2)

    caplog.set_level(logging.WARNING)
    run(main())
    assert "Worker 0 of" in caplog.text and "is lost; making another" in caplog.text


def test_one_that_comes_back_in_time_stays():
    lost = LostWorkers()
    worker, nannied = object(), Nannied()
    assert lost.look({0: worker}, lambda names: []) == []  # it never came: it may wait in a queue
    assert lost.look({0: worker}, list) == []
    assert lost.look({0: worker, 1: nannied}, list) == []
    assert lost.look({0: worker, 1: nannied}, lambda names: []) == []  # 15 s are not over
    lost._patience = 0.0
    assert lost.look({0: worker, 1: nannied}, list) == []
    assert lost.look({0: worker, 1: nannied}, lambda names: []) == [0]
    assert lost.look({0: object()}, lambda names: []) == []  # another


class Nannied:
    """A nanny starts another process by itself."""

    def instantiate(self):
        raise AssertionError
