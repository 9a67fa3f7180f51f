"""How clients, futures, clusters, schedulers and workers show themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from helpers import run, until

from shoal import Client, LocalCluster, Scheduler, Worker
from shoal.diagnostics.reprs import card, memory_text, workers_table


class Reader(HTMLParser):
    """Finds what is not closed, and what would be fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data + " "


def read(html: str, *links: str) -> str:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == [] and reader.fetched == [*links]
    assert "url(" not in html and "<script" not in html
    return re.sub(r"\s+", " ", reader.text)


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(
        name="fish",
        processes=False,
        n_workers=2,
        threads_per_worker=3,
        memory_limit="1 GiB",
        dashboard_address=None,
    ) as cluster:
        yield cluster


def test_client(cluster: LocalCluster) -> None:
    with Client(cluster) as client:
        text = read(client._repr_html_())
        for word in (client.id, client.scheduler.address, "Workers 2", "Threads 6", "2.00 GiB"):
            assert word in text
        assert all(address in text for address in client.scheduler_info()["workers"])
    assert "closed" in read(client._repr_html_())


def test_cluster(cluster: LocalCluster) -> None:
    text = read(cluster._repr_html_())
    for word in ("LocalCluster", "fish", cluster.scheduler_address, "Threads 6", "2.00 GiB"):
        assert word in text
    assert "Workers (2)" in text


def test_futures_escape(cluster: LocalCluster) -> None:
    with Client(cluster) as client:
        future = client.submit(int, 3, key="<b>&")
        assert future.result() == 3
        assert "finished" in read(future._repr_html_()) and "<b>& " in read(future._repr_html_())


def test_scheduler_and_worker() -> None:
    async def main() -> None:
        scheduler = Scheduler(host="127.0.0.1")
        assert "not-running" in repr(scheduler) and "not-running" in read(scheduler._repr_html_())
        async with scheduler:
            worker = Worker(scheduler.address, nthreads=2, memory_limit="1 GiB", name="w<1>")
            assert "running: 0/2" in repr(worker)
            async with worker:
                assert repr(scheduler) == (
                    f"<Scheduler {scheduler.address!r}, workers: 1, threads: 2, tasks: 0, "
                    "memory: 1.00 GiB>"
                )
                text = read(scheduler._repr_html_())
                for word in (scheduler.address, "Threads 2", "1.00 GiB", "w<1>", worker.address):
                    assert word in text
                assert repr(worker) == (
                    f"<Worker {worker.address!r}, name: w<1>, status: running, stored: 0, "
                    "running: 0/2, memory: 1.00 GiB>"
                )
                text = read(worker._repr_html_())
                for word in (scheduler.address, worker.address, "1.00 GiB", "w<1>"):
                    assert word in text
            assert "closed" in repr(worker)
            read(worker._repr_html_())
        read(scheduler._repr_html_())

    run(main())


def test_pages_are_linked() -> None:
    """Workers have none of their own: they lead to the scheduler's."""

    async def main() -> None:
        async with (
            Scheduler(host="127.0.0.1", dashboard_address="127.0.0.1:0") as scheduler,
            Worker(scheduler.address, nthreads=1, memory_limit="1 GiB") as worker,
            Client(scheduler.address, asynchronous=True, set_as_default=False) as client,
        ):
            link = scheduler.dashboard_link
            assert link.startswith("http://127.0.0.1:")
            for shown in (scheduler, worker, client):
                assert shown.dashboard_link == link and link in repr(shown)
                assert "1.00 GiB" in repr(shown)
                assert link in read(shown._repr_html_(), link)

    run(main())


def test_a_worker_that_comes_back_looks_for_the_pages_again() -> None:
    async def main() -> None:
        async with (
            Scheduler(host="127.0.0.1", dashboard_address="127.0.0.1:0") as scheduler,
            Worker(scheduler.address, nthreads=1) as worker,
        ):
            worker.dashboard_link = "of another scheduler"
            scheduler.worker_streams.drop(worker.address)
            await until(lambda: worker.dashboard_link == scheduler.dashboard_link)

    run(main())


def test_many_workers_are_cut() -> None:
    one: dict[str, Any] = {"name": "w", "nthreads": 1, "memory_limit": 0}
    text = read(workers_table({f"tcp://{i}": one for i in range(60)}))
    assert "Workers (60)" in text and "and 10 more" in text and "no limit" in text
    assert workers_table({}) == ""


def test_memory_without_a_limit_is_not_told() -> None:
    assert memory_text([2**30, 0]) == memory_text([]) == ""
    assert "None" not in card("x", {"a": None, "b": 1})
