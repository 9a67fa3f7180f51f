"""Notices that a host is taken away: workers hand over their data, and their command ends."""

from __future__ import annotations

import http.server
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import pytest
from helpers import run, until

from shoal import Client, Scheduler
from shoal.cli.preemption import Notice


@pytest.fixture
def endpoint() -> Iterator[dict[str, Any]]:
    """A service that knows of notices, as clouds have: none at first."""
    told: dict[str, Any] = {"status": 404, "body": b"", "headers": []}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told["headers"].append(self.headers.get("Metadata-Flavor"))
            self.send_response(told["status"])
            self.end_headers()
            self.wfile.write(told["body"])

        def log_message(self, *args: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        told["url"] = f"http://127.0.0.1:{server.server_port}/preempted"
        yield told
        server.shutdown()
        thread.join()


def test_a_file_is_a_notice(tmp_path: Path) -> None:
    path = tmp_path / "notice"

    async def main() -> str:
        import asyncio

        waiting = asyncio.ensure_future(Notice(str(path), None, {}, None, 0.01, ()).wait())
        await asyncio.sleep(0)
        assert not waiting.done()
        path.write_text("")
        return await waiting

    assert run(main()) == f"the file {path} is there"


def test_an_answer_is_a_notice_when_it_has_the_words(endpoint: dict[str, object]) -> None:
    notice = Notice(None, endpoint["url"], {"Metadata-Flavor": "Google"}, "TRUE", 0.01, ())
    assert not notice._is_told()  # 404
    endpoint.update(status=200, body=b"FALSE")
    assert not notice._is_told()
    endpoint["body"] = b"TRUE\n"
    assert notice._is_told()
    assert set(endpoint["headers"]) == {"Google"}
    assert not Notice(None, "http://127.0.0.1:1/", {}, None, 0.01, ())._is_told()


def test_bad_settings_are_named() -> None:
    with (
        dask.config.set({"shoal.preemption.signals": ["SIGNOTHING"]}),
        pytest.raises(ValueError, match="not 'SIGNOTHING'"),
    ):
        Notice.configured()
    with (
        dask.config.set({"shoal.preemption.url": "ftp://x"}),
        pytest.raises(ValueError, match="an address of http"),
    ):
        Notice.configured()
    with dask.config.set({"shoal.preemption.signals": ["SIGUSR2"]}):
        assert Notice.configured().signals == (signal.SIGUSR2,)


@pytest.mark.process
def test_a_worker_that_is_told_hands_over_its_data(tmp_path: Path) -> None:
    """What only it held is on the other worker, and nothing is computed again."""
    path = tmp_path / "notice"
    ran = tmp_path / "ran"

    def work(ran: str) -> int:
        with open(ran, "a") as file:
            file.write("x")
        return 7

    async def main() -> None:
        async with (
            Scheduler(host="127.0.0.1", protocol="tcp", dashboard=False) as scheduler,
            Client(scheduler.address, asynchronous=True) as client,
        ):
            command = [sys.executable, "-m", "shoal", "worker", "--nthreads", "1"]
            command += ["--no-nanny", "--no-dashboard"]
            processes = [
                subprocess.Popen(
                    [*command, scheduler.address, "--name", name],
                    env={
                        **os.environ,
                        "DASK_SHOAL__PREEMPTION__FILE": str(path) if name == "spot" else "",
                        "DASK_SHOAL__PREEMPTION__INTERVAL": "50ms",
                    },
                    stderr=subprocess.DEVNULL,
                )
                for name in ("spot", "other")
            ]
            await client.wait_for_workers(2)
            future = client.submit(work, str(ran), workers=["spot"], pure=False)
            assert await future == 7
            path.write_text("")
            await until(lambda: processes[0].poll() is not None)
            assert processes[0].returncode == 0
            assert await future == 7
            processes[1].terminate()
            await until(lambda: processes[1].poll() is not None)

    run(main())
    assert ran.read_text() == "x"
