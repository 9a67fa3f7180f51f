"""Clusters that follow their work: decisions alone, then clusters that grow and shrink."""

from __future__ import annotations

import asyncio
import logging
import math
import threading

import pytest
from helpers import run, until, wait_until
from hypothesis import given
from hypothesis import strategies as st

from shoal import Adaptive, Client, LocalCluster
from shoal.deploy.adaptive import AdaptiveCore
from shoal.deploy.cluster import Cluster
from shoal.deploy.spec import SpecCluster

# -- decisions


def recommend(core, target, plan, observed=None, requested=None, spare=()):
    observed = plan if observed is None else observed
    requested = plan if requested is None else requested
    return core.recommend(target, plan, requested, map(str, observed), spare)


def test_up_at_once_and_within_bounds():
    core = AdaptiveCore(minimum=2, maximum=5)
    assert recommend(core, 4, {0, 1}) == {"status": "up", "n": 4}
    assert recommend(core, 100, {0, 1}) == {"status": "up", "n": 5}
    assert recommend(core, 0, set()) == {"status": "up", "n": 2}
    assert recommend(core, 0, {0, 1}) == {"status": "same"}
    assert recommend(core, 100, range(5)) == {"status": "same"}


def test_down_after_some_time_of_idleness():
    core = AdaptiveCore(wait_count=3)
    for _ in range(2):
        assert recommend(core, 1, {0, 1}, spare=["1", "0"]) == {"status": "same"}
    assert recommend(core, 1, {0, 1}, spare=["1", "0"]) == {"status": "down", "workers": [1]}
    assert core.close_counts == {}


def test_work_that_comes_back_begins_the_count_anew():
    core = AdaptiveCore(wait_count=2)
    recommend(core, 0, {0, 1}, spare=["1"])
    recommend(core, 2, {0, 1})
    assert recommend(core, 0, {0, 1}, spare=["1"]) == {"status": "same"}
    # Another is idle now: each must be so by itself.
    assert recommend(core, 0, {0, 1}, spare=["0"]) == {"status": "same"}
    assert recommend(core, 0, {0, 1}, spare=["0"]) == {"status": "down", "workers": [0]}


def test_those_that_are_not_there_yet_go_first():
    core = AdaptiveCore(wait_count=1)
    advice = recommend(core, 2, "abcd", observed="ab", requested="abc", spare="ab")
    assert advice == {"status": "down", "workers": ["d", "c"]}
    advice = recommend(core, 3, "abcd", observed="ab", requested="abc", spare="ab")
    assert advice == {"status": "down", "workers": ["d"]}


def test_busy_workers_and_those_of_others_stay():
    core = AdaptiveCore(wait_count=1)
    assert recommend(core, 0, {0, 1}) == {"status": "same"}
    assert recommend(core, 0, {0, 1}, spare=["7"]) == {"status": "same"}


@given(
    target=st.integers(0, 20),
    n=st.integers(0, 20),
    here=st.sets(st.integers(0, 19)),
    spare=st.lists(st.integers(0, 19), unique=True),
    minimum=st.integers(0, 5),
    extra=st.integers(0, 5),
    waits=st.integers(0, 3),
)
def test_what_is_recommended_never_leaves_the_bounds(target, n, here, spare, minimum, extra, waits):
    core = AdaptiveCore(minimum, minimum + extra, waits)
    plan = set(range(n))
    for _ in range(waits + 1):
        advice = core.recommend(target, plan, plan, here & plan, [str(each) for each in spare])
        if advice["status"] == "up":
            assert n < advice["n"] <= core.maximum
        if advice["status"] == "down":
            gone = set(advice["workers"])
            assert gone <= plan and len(gone) == len(advice["workers"])
            assert n - len(gone) >= core.within_bounds(target)
            assert gone <= set(spare) | (plan - here)


@pytest.mark.parametrize(
    "kwargs", [{"minimum": -1}, {"minimum": 2, "maximum": 1}, {"wait_count": 0.5}], ids=str
)
def test_bad_limits(kwargs):
    with pytest.raises(ValueError, match=next(reversed(kwargs))):
        AdaptiveCore(**kwargs)
    with pytest.raises(ValueError, match="maximum"):
        AdaptiveCore(maximum=math.nan)


# -- clusters

GATE = threading.Event()


def block(x):
    assert GATE.wait(20)
    return x


@pytest.fixture
def small():
    """Every worker has one thread; decisions come quickly."""
    GATE.clear()
    with LocalCluster(n_workers=0, threads_per_worker=1, processes=False) as cluster:
        yield cluster
    GATE.set()


QUICK = {"interval": 0.02, "wait_count": 2, "target_duration": 0.1}


def test_a_cluster_grows_and_shrinks(small, caplog):
    caplog.set_level(logging.WARNING, "shoal")
    adaptive = small.adapt(minimum=0, maximum=3, **QUICK)
    with Client(small) as client:
        futures = client.map(block, range(8))
        wait_until(lambda: len(client.nthreads()) == 3)
        GATE.set()
        assert client.gather(futures) == list(range(8))
        # Somebody has to keep the results, and they are still right.
        wait_until(lambda: len(client.nthreads()) == 1)
        assert client.gather(futures) == list(range(8))
        assert all(len(holders) == 1 for holders in client.who_has(futures).values())
        del futures
        wait_until(lambda: len(client.nthreads()) == 0)
        # And up again, from nothing.
        assert client.submit(sum, [1, 2]).result(timeout=10) == 3
    statuses = [advice["status"] for _, advice in adaptive.log]
    assert statuses[0] == "up" and "down" in statuses and "up" in statuses[2:]
    assert caplog.records == []


def test_minimum_comes_without_work_and_a_second_call_takes_over(small):
    first = small.adapt(minimum=2, interval=0.02)
    small.wait_for_workers(2, timeout=10)
    second = small.adapt(minimum=1, maximum=1, interval=0.02, wait_count=1)
    wait_until(lambda: len(small.workers) == 1)
    assert "stopped" in repr(first) and "stopped" not in repr(second)
    second.stop()
    small.scale(2)
    small.wait_for_workers(2, timeout=10)


def test_in_coroutines_with_a_class_of_the_users_own():
    class Greedy(Adaptive):
        def __init__(self, cluster, appetite, **kwargs):
            self.appetite = appetite
            super().__init__(cluster, **kwargs)

        async def target(self):
            return self.appetite

    async def main():
        async with LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, asynchronous=True
        ) as cluster:
            adaptive = cluster.adapt(Adaptive=Greedy, appetite=3, interval="10ms", wait_count=1)
            await until(lambda: len(cluster.observed) == 3)
            adaptive.appetite = 1
            await until(lambda: len(cluster.observed) == 1)
        assert "stopped" in repr(adaptive)
        await asyncio.wait([adaptive._task], timeout=5)
        assert adaptive._task.done()

    run(main())


def test_groups_close_as_a_whole():
    async def main():
        spec = {"cls": "builtins.dict", "group": ["-0", "-1"]}
        cluster = SpecCluster(workers={"a": spec, "b": spec}, asynchronous=True)
        assert cluster._closable(["a-0", "b-0", "b-1"]) == ["b-0", "b-1"]

    run(main())


def test_arguments():
    async def main():
        cluster = Cluster(asynchronous=True)
        with pytest.raises(ValueError, match="interval"):
            cluster.adapt(interval=0)
        with pytest.raises(TypeError, match="fish"):
            cluster.adapt(fish=1)
        adaptive = cluster.adapt()
        assert (adaptive.minimum, adaptive.maximum, adaptive.interval) == (0, math.inf, 1)
        adaptive.stop()

    run(main())


def test_bounds_in_threads_and_memory() -> None:
    with LocalCluster(
        processes=False,
        n_workers=1,
        threads_per_worker=2,
        memory_limit="1 GB",
        dashboard_address=None,
    ) as cluster:
        adaptive = cluster.adapt(minimum_cores=3, maximum_memory="5.5 GB", interval="1 hour")
        assert (adaptive.minimum, adaptive.maximum) == (2, 5)
        adaptive = cluster.adapt(minimum=1, minimum_memory="2.5 GB", maximum_cores=7, maximum=9)
        assert (adaptive.minimum, adaptive.maximum) == (3, 3)
        assert adaptive.loop == cluster.loop and adaptive.scheduler is cluster.scheduler_comm
        assert cluster.sync(adaptive.safe_target) == 3
        adaptive.stop(reason="the test is over")
        with pytest.raises(TypeError, match="cannot be found by its name 'x'"):
            LocalCluster.from_name("x")
