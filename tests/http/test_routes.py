"""What programs ask for over HTTP: JSON, the API, events as they happen, and users' own routes."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
from pathlib import Path
from typing import Any

import dask
import pytest
from helpers import run

from shoal import Client, Scheduler, Worker
from shoal.comm.page_tokens import LINK, PageTokens
from shoal.comm.secret import new_secret
from shoal.security import Security

EVIL = "<script>alert(1)</script>"
COUNTS = {
    *["bytes", "clients", "cores", "erred", "hosts", "idle", "memory", "processing", "released"],
    *["saturated", "tasks", "unrunnable", "waiting", "waiting_data", "workers", "desired_workers"],
}
METRICS = {
    *["task_counts", "bandwidth", "digests_total_since_heartbeat", "managed_bytes", "transfer"],
    *["spilled_bytes", "event_loop_interval", "cpu", "memory", "time", "host_net_io", "num_fds"],
    *["host_disk_io", "gil_contention"],
}
IDENTITY = {
    *["type", "id", "host", "resources", "local_directory", "name", "nthreads", "memory_limit"],
    *["last_seen", "services", "metrics", "status", "nanny"],
}


def inc(x: int) -> int:
    return x + 1


def fail(text: str) -> None:
    raise ValueError(text)


def test_counts_and_identity_have_the_names_that_others_read(visitor: Any) -> None:
    async def main() -> None:
        async with (
            Scheduler(protocol="inproc", dashboard_address=":0") as s,
            Worker(s.address, name="alice", nthreads=3, memory_limit="1 GiB") as w,
            Client(s.address, asynchronous=True, set_as_default=False) as c,
        ):
            futures = c.map(inc, range(4), pure=False)
            await c.gather(futures)
            await w.heartbeat()
            while not s.state.workers[w.address].metrics:
                await asyncio.sleep(0)
            counts = (await visitor(s).ask("/json/counts.json")).json()
            assert all(type(counts[name]) is int for name in COUNTS)
            assert (counts["memory"], counts["tasks"], counts["cores"]) == (4, 4, 3)
            assert counts["bytes"] == sum(each.nbytes for each in s.state.workers.values())
            told = (await visitor(s).ask("/json/identity.json")).json()
            assert told["type"] == "Scheduler" and told["id"] == s.id
            assert told["n_workers"] == 1 and told["total_threads"] == 3
            assert told["total_memory"] == 2**30
            assert told["services"] == {"dashboard": s.services["dashboard"].port}
            worker = told["workers"][w.address]
            assert IDENTITY - set(worker) == set()
            assert METRICS - set(worker["metrics"]) == set()
            assert worker["metrics"]["spilled_bytes"] == {"memory": 0, "disk": 0}
            assert worker["metrics"]["task_counts"]["memory"] == 4
            index = (await visitor(s).ask("/json/index.html")).text
            assert '<a href="counts.json">' in index and '<a href="identity.json">' in index
            paths = (await visitor(s).ask("/sitemap.json")).json()["paths"]
            known = {"/health", "/status", "/metrics", "/json/counts.json", "/api/v1"}
            assert known | {"/eventstream", "/info"} <= set(paths)
            for path in set(paths) - {"/eventstream", "/feed", "/api/v1/retire_workers"}:
                assert (await visitor(s).ask(path)).status in (200, 302), path

    run(main())


def test_the_api_starts_and_ends_no_worker_by_mistake(visitor: Any) -> None:
    async def main() -> None:
        async with (
            Scheduler(protocol="inproc", dashboard_address=":0") as s,
            Worker(s.address, name="a") as a,
            Worker(s.address, name="b") as b,
            Worker(s.address, name="c") as c,
        ):
            v = visitor(s)
            assert (await v.ask("/api/v1")).text == "API V1"
            found = (await v.ask("/api/v1/get_workers")).json()
            assert found["num_workers"] == 3
            assert {"name": "a", "address": a.address} in found["workers"]
            assert (await v.ask("/api/v1/adaptive_target")).json() == {"workers": 0}
            assert (await v.ask("/api/v1/check_idle")).json()["idle_since"] > 1.6e9
            retire = "/api/v1/retire_workers"
            for bad in (
                "x",
                "[]",
                '{"n": -1}',
                '{"n": true}',
                '{"workers": "a"}',
                '{"nn": 1}',
                '{"n": 1, "workers": []}',
            ):
                answer = await v.ask(retire, "POST", bad)
                assert answer.status == 400 and "not a request" in answer.text, bad
            assert (await v.ask(retire)).status == 405
            answer = await v.ask(retire, "POST", '{"n": 1}', Origin="http://evil.example")
            assert answer.status == 403 and len(s.state.workers) == 3
            answer = await v.ask(retire, "POST", json.dumps({"workers": [b.address]}))
            assert list(answer.json()) == [b.address]
            assert answer.json()[b.address]["name"] == "b"
            await asyncio.wait_for(b.finished(), 20)
            own = f"http://127.0.0.1:{v.port}"
            answer = await v.ask(retire, "POST", '{"n": 1}', Origin=own)
            assert len(answer.json()) == 1 and await v.ask("/health")
            while len(s.state.workers) > 1:
                await asyncio.sleep(0)
            assert {a.status.value, c.status.value} & {"closing", "closed"}

    run(main())


def test_what_changes_something_needs_a_login_also_where_paths_are_open(visitor: Any) -> None:
    secret = new_secret()

    async def main() -> None:
        with dask.config.set({"shoal.dashboard.open": ["/api/v1/retire_workers", "/api/v1"]}):
            async with Scheduler(
                protocol="inproc", dashboard_address="0.0.0.0:0", security=Security(secret=secret)
            ) as s:
                v = visitor(s)
                assert (await v.ask("/api/v1")).status == 200
                assert (await v.ask("/api/v1/get_workers")).status == 401
                retire = ("/api/v1/retire_workers", "POST", '{"n": 1}')
                assert (await v.ask(*retire)).status == 401
                good = f"Bearer {PageTokens.configured(secret).bearer}"
                assert (await v.ask(*retire, Authorization=good)).json() == {}

    run(main())


def test_pages_of_information_show_hostile_text_as_text(visitor: Any) -> None:
    async def main() -> None:
        async with (
            Scheduler(protocol="inproc", dashboard_address=":0") as s,
            Worker(s.address, name=f"bob {EVIL}") as w,
            Client(s.address, asynchronous=True, set_as_default=False) as c,
        ):
            key = f"key {EVIL}/?#-1"
            failed = c.submit(fail, EVIL, key=key)
            with pytest.raises(ValueError, match="script"):
                await failed
            kept = c.submit(inc, 1, key="kept-1")
            await kept
            s.log_event("all", {"text": EVIL})
            quoted = "".join(f"%{byte:02X}" for byte in key.encode())
            address = w.address.replace("/", "%2F").replace(":", "%3A")
            v = visitor(s)
            assert (await v.ask("/info")).headers["Location"] == "info/main/workers.html"
            for path, expected in {
                "/info/main/workers.html": "bob &lt;script&gt;",
                "/info/main/exceptions.html": "ValueError",
                "/info/main/logs.html": "",
                f"/info/worker/{address}.html": "kept-1",
                f"/info/task/{quoted}.html": "erred",
                "/info/task/kept-1.html": "memory",
                f"/info/call-stacks/{address}.html": "nothing runs",
                "/info/call-stack/kept-1.html": "does not run",
                f"/info/logs/{address}.html": "",
            }.items():
                answer = await v.ask(path)
                assert answer.status == 200, (path, answer.text)
                assert expected in answer.text, path
                assert "<script" not in answer.text and 'style="' not in answer.text, path
            for path in ("/info/task/nothing.html", "/info/worker/tcp:1.html"):
                answer = await v.ask(path)
                assert answer.status == 404 and answer.text.startswith("there is no ")

    run(main())


class Listener:
    """A WebSocket client: frames of text, without masks that hide anything."""

    def __init__(self, reader: Any, writer: Any) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, port: int, path: str, *headers: str) -> tuple[int, Listener]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: 127.0.0.1:{port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
            *headers,
        ]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        head = await reader.readuntil(b"\r\n\r\n")
        return int(head.split()[1]), cls(reader, writer)

    async def hear(self) -> dict[str, Any]:
        first, length = await self.reader.readexactly(2)
        assert first == 0x81, first
        if length == 126:
            length = int.from_bytes(await self.reader.readexactly(2))
        found: dict[str, Any] = json.loads(await self.reader.readexactly(length))
        return found

    async def hear_of(self, name: str) -> dict[str, Any]:
        while True:
            found = await asyncio.wait_for(self.hear(), 20)
            if found["name"] == name:
                return found

    def say(self, text: str) -> None:
        self.writer.write(bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text.encode())

    def close(self) -> None:
        self.writer.close()


def test_events_are_told_as_they_happen(visitor: Any) -> None:
    async def main() -> None:
        async with (
            Scheduler(protocol="inproc", dashboard_address=":0") as s,
            Worker(s.address) as w,
        ):
            assert (await visitor(s).ask("/health")).text == "ok"
            port = s.services["dashboard"].port
            status, listener = await Listener.open(port, "/eventstream")
            assert status == 101
            assert await listener.hear() == {"worker": w.address, "name": "add_worker"}
            async with Client(s.address, asynchronous=True, set_as_default=False) as c:
                assert (await listener.hear_of("add_client"))["client"] == c.id
                assert await c.submit(inc, 1, key="one-1") == 2
                assert (await listener.hear_of("update_graph"))["client"] == c.id
                told = await listener.hear_of("transition")
                while told["action"] != "compute":
                    told = await listener.hear_of("transition")
                assert (told["key"], told["status"], told["worker"]) == ("one-1", "OK", w.address)
                assert told["action"] == "compute" and told["stop"] >= told["start"] > 1.6e9
                assert told["startstops"][-1] == {
                    "action": "compute",
                    "start": told["start"],
                    "stop": told["stop"],
                }
                assert told["thread"] > 0
                assert told["typename"] == "int" and told["nbytes"] == 28
                assert told["color"].startswith("#")
                with pytest.raises(ValueError, match="x"):
                    await c.submit(fail, "x", key="two-1")
                while (told := await listener.hear_of("transition"))["key"] == "one-1":
                    pass
                assert told["status"] == "error"
                listener.say("ping")
                assert "timestamp" in await listener.hear_of("pong")
                s.tell_plugins("restart", scheduler=s)
                await listener.hear_of("restart")
            await listener.hear_of("remove_client")
            async with Worker(s.address) as other:
                assert (await listener.hear_of("add_worker"))["worker"] == other.address
            assert (await listener.hear_of("remove_worker"))["worker"] == other.address
            listener.close()
            while s.own_plugins.plugins:  # nobody listens, so nothing is noted
                await asyncio.sleep(0)
            assert s.state.watch is None

    run(main())


def test_events_tell_what_came_for_a_task() -> None:
    async def main() -> None:
        async with (
            Scheduler(protocol="inproc", dashboard_address=":0") as s,
            Worker(s.address) as a,
            Worker(s.address) as b,
            Client(s.address, asynchronous=True, set_as_default=False) as c,
        ):
            port = s.services["dashboard"].port
            _, listener = await Listener.open(port, "/eventstream")
            x = c.submit(bytes, 1000, key="x", workers=[a.address])
            assert await c.submit(len, x, key="y", workers=[b.address]) == 1000
            while (told := await listener.hear_of("transition"))["action"] != "transfer":
                pass
            assert (told["key"], told["source"]) == ("y", a.address)
            assert told["stop"] <= told["startstops"][-1]["start"]
            listener.close()

    run(main())


def test_pages_of_workers_by_way_of_the_scheduler(visitor: Any) -> None:
    async def main() -> None:
        async with (
            Scheduler(protocol="tcp", host="127.0.0.1", dashboard_address=":0") as s,
            Worker(s.address, name=EVIL, dashboard_address=":0") as w,
            Worker(s.address) as without,
        ):
            port = w.services["dashboard"].port
            for page in ("status", "counters", "system", "health", "metrics", "sitemap.json"):
                answer = await visitor(s).ask(f"/proxy/{port}/127.0.0.1/{page}")
                assert answer.status == 200, page
                assert EVIL not in answer.text
                policy = answer.headers["Content-Security-Policy"]
                assert "sandbox" in policy and "script-src" not in policy
            shown = await visitor(s).ask(f"/proxy/{port}/127.0.0.1/counters")
            assert "shuffles: written" in shown.text
            assert without.services.get("dashboard") is None
            # Neither other hosts, nor other ports of this one, nor other pages.
            scheduler = s.services["dashboard"].port
            for path in (
                f"{port}/192.0.2.1/status",
                f"{scheduler}/127.0.0.1/status",
                f"{port}/127.0.0.1/login",
                f"{port}/127.0.0.1/../status",
            ):
                assert (await visitor(s).ask(f"/proxy/{path}")).status == 404, path

    run(main())


def test_events_are_for_those_who_may_see_the_pages() -> None:
    secret = new_secret()

    async def main() -> None:
        async with Scheduler(
            protocol="inproc", dashboard_address="0.0.0.0:0", security=Security(secret=secret)
        ) as s:
            port = s.services["dashboard"].port
            status, listener = await Listener.open(port, "/eventstream")
            assert status == 401
            listener.close()
            token = PageTokens.configured(secret).make(LINK)
            status, listener = await Listener.open(port, f"/eventstream?token={token}")
            assert status == 101
            listener.close()
            foreign = "Origin: http://evil.example"
            status, listener = await Listener.open(port, f"/eventstream?token={token}", foreign)
            assert status == 403
            listener.close()

    run(main())


def test_users_have_routes_of_their_own(
    visitor: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lake_routes.py").write_text(
        "from tornado.web import RequestHandler\n"
        "from shoal.http.user_routes import DaskHandler\n"
        "class Fish(RequestHandler):\n"
        "    def initialize(self, dask_server, extra, kind):\n"
        "        self.told = f'{type(dask_server).__name__} {extra} {kind}'\n"
        "    def get(self):\n"
        "        self.write(self.told)\n"
        "class Whale(DaskHandler):\n"
        "    def get(self):\n"
        "        self.write(f'{type(self.server).__name__} {self.extra}')\n"
        "routes = [('/fish', Fish, {'kind': 'eel'}), (r'fish/too', Fish, {'kind': 'carp'}),\n"
        "          ('/whale', Whale)]\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    modules = ["distributed.http.health", "lake_routes"]

    async def main() -> None:
        with dask.config.set(
            {
                "distributed.scheduler.http.routes": modules,
                "distributed.worker.http.routes": modules,
            }
        ):
            async with (
                Scheduler(protocol="inproc", dashboard_address=":0") as s,
                Worker(s.address, dashboard_address=":0") as w,
            ):
                assert (await visitor(s).ask("/fish")).text == "Scheduler {} eel"
                assert (await visitor(w).ask("/fish/too")).text == "Worker {} carp"
                assert (await visitor(s).ask("/whale")).text == "Scheduler {}"
                assert "/fish" in (await visitor(s).ask("/sitemap.json")).json()["paths"]
            async with Scheduler(protocol="inproc", dashboard_address="0.0.0.0:0") as s:
                assert (await visitor(s).ask("/fish")).status == 401  # guarded like all others
        missing = {"distributed.scheduler.http.routes": ["no_such_lake"]}
        with (
            dask.config.set(missing),
            pytest.raises(ImportError, match=r"'no_such_lake', which 'distributed\.scheduler"),
        ):
            await Scheduler(protocol="inproc", dashboard_address=":0")

    run(main())
    sys.modules.pop("lake_routes", None)


def test_visitors_do_not_wait_for_pages_that_cannot_be_shown(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(server: Any) -> list[Any]:
        raise RuntimeError("no routes today")

    monkeypatch.setattr("shoal.http.scheduler_routes.routes", broken)

    async def main() -> None:
        async with Scheduler(protocol="inproc", dashboard_address=":0") as s:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", s.services["dashboard"].port
            )
            try:
                assert await asyncio.wait_for(reader.read(), 10) == b""
            except ConnectionError:
                pass
            writer.close()

    run(main())
    assert "no routes today" in caplog.text
