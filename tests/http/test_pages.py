"""The scheduler's pages: what they say, where they are, and that they cost nothing until asked."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from typing import Any

import dask
import pytest
from helpers import run

from shoal import Client, LocalCluster, Scheduler, Worker
from shoal.diagnostics.links import DEFAULT_PLACE, parse_place, warn_of_taken_port

TABLES = "prefix <script>alert(1)</script>"


def fetch(url: str) -> tuple[int, dict[str, str], str]:
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return answer.status, dict(answer.headers), answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read().decode()


async def get(scheduler: Scheduler, path: str) -> tuple[int, dict[str, str], str]:
    base = scheduler.dashboard_link.removesuffix("/status")
    return await asyncio.to_thread(fetch, base + path)


def double(x: int) -> int:
    return 2 * x


def fail(x: int) -> None:
    raise ValueError(x)


def test_pages_say_what_the_scheduler_knows() -> None:
    async def main() -> None:
        async with (
            Scheduler(protocol="inproc", dashboard_address=":0") as s,
            Worker(s.address, name="alice <b>", nthreads=3),
            Client(s.address, asynchronous=True, set_as_default=False) as c,
        ):
            futures = c.map(double, range(7))
            failed = c.submit(fail, 1, key=f"{TABLES}-1")
            await asyncio.wait([asyncio.ensure_future(f._result()) for f in (*futures, failed)])
            code, headers, body = await get(s, "/json/counts.json")
            counts = json.loads(body)
            assert code == 200 and headers["Content-Type"] == "application/json"
            assert (counts["workers"], counts["threads"], counts["clients"]) == (1, 3, 1)
            assert counts["tasks"] == 8
            assert counts["tasks_by_state"]["memory"] == 7
            assert counts["tasks_by_state"]["erred"] == 1
            assert counts["prefixes"]["double"]["tasks"]["memory"] == 7
            assert counts["by_worker"][0]["stored"] == 7
            code, headers, page = await get(s, "/status")
            assert code == 200 and headers["Content-Type"].startswith("text/html")
            # Nothing of the cluster's is in the page itself, and nothing of elsewhere.
            assert "alice" not in page and TABLES not in page
            assert "http://" not in page and "https://" not in page
            assert counts["prefixes"][TABLES]["seconds"] is None  # none ended well
            assert (await get(s, "/"))[2] == page
            assert (await get(s, "/health"))[2] == "ok"
            assert (await get(s, "/nothing"))[0] == 404

    run(main())


def test_the_link_is_where_people_look_for_it() -> None:
    with (
        LocalCluster(n_workers=1, processes=False, dashboard_address=":0") as cluster,
        Client(cluster) as client,
        Client(cluster.scheduler_address, set_as_default=False) as other,
    ):
        link = cluster.dashboard_link
        assert link.startswith("http://127.0.0.1:") and link.endswith("/status")
        assert client.dashboard_link == other.dashboard_link == link
        scheduler: Any = cluster.scheduler
        assert scheduler.dashboard_link == link
        assert link in repr(cluster)
        for each in (cluster, client, scheduler):
            assert f'<a href="{link}"' in each._repr_html_()
        assert fetch(link)[0] == 200
    with pytest.raises(urllib.error.URLError):
        fetch(link)


def test_the_link_follows_its_template(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_TEST_USER", "ann")

    async def main() -> None:
        async with Scheduler(protocol="tcp", host="127.0.0.1", dashboard=True) as s:
            with dask.config.set({"distributed.dashboard.link": "/hub/{SHOAL_TEST_USER}/{port}"}):
                port = s.identity()["services"]["dashboard"]
                link, _, token = s.dashboard_link.partition("?token=")
                assert link == f"/hub/ann/{port}" and token  # the hub calls it by its own name
            with dask.config.set({"distributed.dashboard.link": "{nobody}"}):
                assert "nobody" in s.dashboard_link

    run(main())


@pytest.mark.parametrize("options", [{}, {"dashboard": False, "dashboard_address": ":0"}])
def test_there_need_be_none(options: dict[str, Any]) -> None:
    async def main() -> None:
        async with Scheduler(protocol="inproc", **options) as s:
            assert s.dashboard_link == "" and s.identity()["services"] == {}
            assert "Dashboard" not in s._repr_html_()

    run(main())


def test_a_port_that_is_taken_makes_room_for_another(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.warns(UserWarning, match=f"Port {port} is already in use.* port "):
                s = Scheduler(protocol="inproc", dashboard_address=f":{port}")
                await s
            async with s:
                assert s.identity()["services"]["dashboard"] not in (0, port)
                assert (await get(s, "/health"))[2] == "ok"

    run(main())


def test_a_taken_port_is_told_of_also_where_nobody_asked_for_one() -> None:
    with pytest.warns(UserWarning, match="Port 8787 is already in use.* port 8790"):
        warn_of_taken_port(DEFAULT_PLACE, 8790)
    warn_of_taken_port(DEFAULT_PLACE, 8787)
    warn_of_taken_port(":0", 8790)


def test_a_prefix_comes_before_all_paths() -> None:
    async def main() -> None:
        async with Scheduler(
            protocol="inproc", dashboard_address="localhost:0", http_prefix="/user/me/"
        ) as s:
            assert (await get(s, "/user/me/health"))[2] == "ok"
            assert (await get(s, "/health"))[0] == 404

    run(main())


def test_pages_of_elsewhere_cannot_read_through_a_name_that_leads_here() -> None:
    async def ask(port: int, name: str, path: str = "/status") -> tuple[int, str]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
        answer = (await reader.read()).decode()
        writer.close()
        return int(answer.split()[1]), answer

    async def main() -> None:
        more = {"shoal.dashboard.hosts": ["Lake.example"]}
        with dask.config.set(more):
            async with Scheduler(protocol="inproc", dashboard_address=":0") as s:
                port = s.identity()["services"]["dashboard"]
                here = socket.gethostname()
                names = [
                    "localhost",
                    f"127.0.0.1:{port}",
                    "[::1]:1",
                    "192.0.2.7",
                    here,
                    "a.localhost",
                ]
                for name in [*names, "lake.example:80"]:
                    assert (await ask(port, name))[0] == 200, name
                for path in ("/status", "/json/counts.json", "/metrics"):
                    code, text = await ask(port, "evil.example", path)
                    assert code in (403, 404) and "workers" not in text
                code, text = await ask(port, "evil.example:8787")
                assert code == 403 and "'evil.example' is not known" in text
                assert "shoal.dashboard.hosts" in text
                assert (await ask(port, "evil.example", "/health"))[0] == 200  # says nothing

    run(main())


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (":8787", ("127.0.0.1", 8787)),
        (8787, ("127.0.0.1", 8787)),
        ("8787", ("127.0.0.1", 8787)),
        ("0.0.0.0:0", ("0.0.0.0", 0)),
        ("[::1]:80", ("::1", 80)),
        ("", ("127.0.0.1", 0)),
    ],
)
def test_places(place: Any, expected: tuple[str, int]) -> None:
    assert parse_place(place) == expected


@pytest.mark.parametrize("place", [":port", "host:99999", ":-1"])
def test_places_that_are_none(place: str) -> None:
    with pytest.raises(ValueError, match=f"dashboard_address.*{place}"):
        parse_place(place)


def test_closing_leaves_nothing_also_with_visitors() -> None:
    async def main() -> int:
        async with Scheduler(protocol="inproc", dashboard_address=":0") as s:
            port: int = s.identity()["services"]["dashboard"]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"200" in await reader.readline()
        assert await asyncio.wait_for(reader.read(), 10) is not None  # it was closed on us
        writer.close()
        # A visitor who knocks at the last moment does not keep it from closing.
        async with Scheduler(protocol="inproc", dashboard_address=":0") as s:
            _, writer = await asyncio.open_connection(
                "127.0.0.1", s.identity()["services"]["dashboard"]
            )
        writer.close()
        return port

    port = run(main())
    gc.collect()
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), 1)


def test_nothing_is_loaded_before_somebody_looks() -> None:
    code = """
import asyncio, sys
from shoal import Scheduler
async def main():
    async with Scheduler(protocol="inproc", dashboard_address=":0") as s:
        assert s.dashboard_link
        assert not [m for m in sys.modules if m.startswith("tornado")]
        assert "shoal.http.app" not in sys.modules and "shoal.http.pages" not in sys.modules
asyncio.run(main())
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)


@pytest.mark.process
def test_a_local_cluster_of_processes_shows_its_pages() -> None:
    with LocalCluster(n_workers=1, threads_per_worker=1, memory_limit=0) as cluster:
        link = cluster.dashboard_link
        assert link.startswith("http://127.0.0.1:")
        with Client(cluster) as client:
            assert client.submit(double, 4).result() == 8
            assert "double" in fetch(link.replace("/status", "/json/counts.json"))[2]
        assert os.getpid() != cluster.scheduler.pid  # type: ignore[attr-defined]
