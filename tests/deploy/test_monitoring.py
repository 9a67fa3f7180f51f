"""What is in `deploy/`: dashboard and alert rules ask for what a cluster tells, and Prometheus
itself takes them.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
import shutil
import socket
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers import ROOT, run, until

from shoal import Client, Scheduler, Semaphore, Worker
from shoal.comm.page_tokens import PageTokens
from shoal.comm.secret import new_secret
from shoal.security import Security

FOLDER = ROOT / "deploy"
RULES = FOLDER / "prometheus" / "alerts.yml"
METRIC = re.compile(r"\b(?:dask|process|python)_[a-z_]+")
SECRET = new_secret()


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "grafana" / "dashboard.json").read_text())
    return found


def queries() -> list[str]:
    return [
        target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", [])
    ]


def rules() -> list[str]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule["expr"] for group in groups for rule in group["rules"]]


def inc(x: int) -> int:
    return x + 1


def test_the_dashboard_is_what_its_program_makes() -> None:
    path = FOLDER / "grafana" / "make_dashboard.py"
    spec = importlib.util.spec_from_file_location("make_dashboard", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.dashboard() == dashboard()
    ids = [panel["id"] for panel in dashboard()["panels"]]
    assert len(set(ids)) == len(ids) > 20


def fetch(url: str, token: str = "") -> str:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as got:
        text: str = got.read().decode()
        return text


def asked(port: int, query: str) -> list[Any]:
    answer = fetch(
        f"http://127.0.0.1:{port}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    )
    found: list[Any] = json.loads(answer)["data"]["result"]
    return found


def test_every_metric_is_told_by_scheduler_or_worker() -> None:
    async def main() -> set[str]:
        async with (
            Scheduler(protocol="inproc", dashboard_address=":0") as s,
            Worker(s.address, dashboard_address=":0") as w,
        ):
            told = ""
            for server in (s, w):
                port = server.services["dashboard"].port
                told += await asyncio.to_thread(fetch, f"http://127.0.0.1:{port}/metrics")
            return set(re.findall(r"# TYPE (\S+)", told))

    told = run(main())
    for query in [*queries(), *rules()]:
        assert set(METRIC.findall(query)) - told == set(), query


@pytest.mark.process
@pytest.mark.skipif(not shutil.which("promtool"), reason="Prometheus is not installed")
def test_prometheus_takes_the_rules_and_their_tests() -> None:
    for command in (["check", "rules", RULES.name], ["test", "rules", "alerts_test.yml"]):
        done = subprocess.run(
            ["promtool", *command], cwd=RULES.parent, capture_output=True, text=True, timeout=50
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.process
@pytest.mark.skipif(not shutil.which("prometheus"), reason="Prometheus is not installed")
def test_a_prometheus_scrapes_a_cluster_and_answers_every_panel(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    async def main() -> None:
        security = Security(secret=SECRET)
        async with (
            Scheduler(protocol="inproc", dashboard_address="0.0.0.0:0", security=security) as s,
            Worker(s.address, dashboard_address="0.0.0.0:0", security=security) as w,
            Client(s.address, asynchronous=True, set_as_default=False, security=security) as c,
        ):
            await c.gather(c.map(inc, range(10)))
            lease = await Semaphore(max_leases=2, name="two", client=c)
            assert await lease.acquire()
            configure(tmp_path, s.services["dashboard"].port, w.services["dashboard"].port)
            command = [
                "prometheus",
                f"--config.file={tmp_path / 'prometheus.yml'}",
                f"--storage.tsdb.path={tmp_path / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ]
            with (tmp_path / "log").open("w") as log:
                process = subprocess.Popen(command, stderr=log, stdout=log)
            try:
                await until(lambda: asyncio.to_thread(is_up, port), 40)
                await asyncio.to_thread(look, port)
            finally:
                process.terminate()
                process.wait()

    run(main(), timeout=55)


def configure(folder: Path, scheduler: int, worker: int) -> None:
    """Write what a Prometheus needs: the example, at the ports of a cluster that runs."""
    settings = yaml.safe_load((FOLDER / "prometheus" / "prometheus.yml").read_text())
    settings["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    settings["rule_files"] = [str(RULES)]
    for job, port in zip(settings["scrape_configs"], (scheduler, worker), strict=True):
        job["static_configs"] = [{"targets": [f"127.0.0.1:{port}"]}]
    (folder / "shoal-token").write_text(PageTokens.configured(SECRET).bearer)
    (folder / "prometheus.yml").write_text(yaml.safe_dump(settings))


def is_up(port: int) -> bool:
    try:
        found = asked(port, "up")
        # Rates need two values.
        twice = asked(port, "count_over_time(dask_worker_threads[1m]) >= 3")
    except OSError:
        return False
    return [each["value"][1] for each in found] == ["1", "1"] and bool(twice)


def look(port: int) -> None:
    """Ask all that the dashboard asks, for all instances and the last minute."""
    for query in queries():
        query = query.replace("$scheduler", ".*").replace("$worker", ".*")
        found = asked(port, query.replace("$__rate_interval", "1m"))
        # Nothing was spilled, and no time of transfers told yet.
        assert found or "spill" in query or "transfer_seconds" in query, query
    (done,) = asked(port, 'dask_scheduler_prefix_state_totals_total{state="memory"}')
    assert done["metric"]["task_prefix_name"] == "inc" and done["value"][1] == "10"
    loaded = json.loads(fetch(f"http://127.0.0.1:{port}/api/v1/rules"))["data"]["groups"]
    told = [rule for group in loaded for rule in group["rules"]]
    assert len(told) == len(rules()) and all(rule["health"] == "ok" for rule in told)
