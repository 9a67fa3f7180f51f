"""`MemorySampler`: memory of the cluster while a block runs."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator

import pytest
from helpers import run, until, wait_until

from shoal import Client, MemorySampler

HAS_MATPLOTLIB = importlib.util.find_spec("matplotlib") is not None


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with Client(processes=False, n_workers=2, threads_per_worker=1, dashboard_address=None) as c:
        infos = c.scheduler_info
        wait_until(lambda: all(each["metrics"] for each in infos()["workers"].values()))
        yield c


def filled() -> MemorySampler:
    sampler = MemorySampler()
    sampler.samples = {"a": [(100.0, 2**30), (102.0, 3 * 2**30)], "b": [(201.0, 2**29)]}
    return sampler


def test_two_runs(client: Client) -> None:
    sampler = MemorySampler()
    begun = time.time()
    with sampler.sample("first", interval="5ms") as nothing:
        wait_until(lambda: client.submit(time.time, pure=False).result() > begun + 0.1)
    with sampler.sample(client=client, measure="managed"):
        pass
    assert nothing is None
    first, second = sampler.samples.values()
    assert next(iter(sampler.samples)) == "first"
    assert len(first) > 3 and len(second) == 2
    times = [when for when, _ in first]
    assert times == sorted(times) and begun <= times[0]
    assert all(nbytes > 10**6 for _, nbytes in first)
    assert "first: " in repr(sampler)


def test_what_is_measured(client: Client) -> None:
    def measure(name: str) -> int:
        sampler = MemorySampler()
        with sampler.sample("it", measure=name):
            pass
        return sampler.samples["it"][-1][1]

    held = client.submit(bytes, 10**6)
    wait_until(lambda: measure("managed") >= 10**6)
    process = measure("process")
    assert 0 < measure("unmanaged") < 2 * process
    assert measure("spilled") == 0
    del held


def test_a_block_that_fails_keeps_its_samples(client: Client) -> None:
    sampler = MemorySampler()
    with pytest.raises(ZeroDivisionError), sampler.sample("x"):
        1 / 0  # noqa: B018
    assert len(sampler.samples["x"]) == 2


def test_bad_arguments(client: Client) -> None:
    sampler = MemorySampler()
    with pytest.raises(ValueError, match="interval"):
        sampler.sample(interval=0)
    wrong = pytest.raises(ValueError, match="process, managed, unmanaged, spilled; got 'fish'")
    with wrong, sampler.sample(measure="fish"):
        pass
    assert sampler.samples == {}


def test_in_coroutines() -> None:
    async def main() -> None:
        async with Client(
            processes=False, n_workers=1, asynchronous=True, dashboard_address=None
        ) as client:
            sampler = MemorySampler()
            with pytest.raises(TypeError, match="async with"), sampler.sample("x"):
                pass
            sampling = sampler.sample("x", client=client, interval=0.005)
            async with sampling:
                await until(lambda: len(sampling._found) > 3)
            assert len(sampler.samples["x"]) > 4

    run(main())


def test_as_a_data_frame() -> None:
    frame = filled().to_pandas()
    assert list(frame.columns) == ["a", "b"]
    assert frame.shape == (3, 2)
    aligned = filled().to_pandas(align=True)
    assert aligned.shape == (2, 2)
    assert aligned["a"].tolist() == [2**30, 3 * 2**30]
    assert aligned["b"].iloc[0] == 2**29
    assert aligned.index[1].total_seconds() == 2
    assert MemorySampler().to_pandas().empty


@pytest.mark.skipif(HAS_MATPLOTLIB, reason="matplotlib is there")
def test_a_plot_says_what_it_needs() -> None:
    with pytest.raises(ImportError, match="pip install matplotlib"):
        filled().plot()


@pytest.mark.skipif(not HAS_MATPLOTLIB, reason="needs matplotlib")
def test_a_plot() -> None:
    lines = filled().plot(align=True).get_lines()
    assert list(lines[0].get_xdata()) == [0, 2]
    assert list(lines[0].get_ydata()) == [1, 3]
