"""Make the pictures of the dashboard's pages: ``make screenshots``.

A cluster works for a while, with dataframes and arrays, failures and a worker that dies, and each
page is looked at in the system's Chromium. The pictures go to docs/images/dashboard.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import dask
import dask.array as da
from dask.datasets import timeseries
from playwright.sync_api import sync_playwright

from shoal import Client, LocalCluster, performance_report, wait
from shoal.dashboard.pages import PAGES

TARGET = Path(__file__).parent / "images" / "dashboard"
PARAMETERS = {"task": "?key=total", "worker": "?address={worker}", "search": "?prefix=model"}
SECONDS = {"history": 3.0, "profile": 6.0, "shuffle": 4.0, "fine": 5.0}


def model(x: int) -> float:
    end, value = time.perf_counter() + 0.05 + 0.01 * (x % 7), 0.0
    while time.perf_counter() < end:
        value += x**0.5
    return value


def load(x: int) -> bytes:
    time.sleep(0.05)
    return bytes(200_000)


def check(data: bytes, x: int) -> int:
    if x == 13:
        raise ValueError(f"part {x} has no header")
    return len(data)


def die() -> None:
    os._exit(3)


def work(client: Client) -> list[Any]:
    """Send a bit of everything; return what keeps it."""
    parts = client.map(load, range(200))
    kept: list[Any] = [parts, client.map(check, parts, range(200))]
    models = client.map(model, range(300))
    kept += [models, client.submit(sum, models, key="total")]
    x = da.random.random((2000, 2000), chunks=(250, 250))
    kept.append((x @ x.T).sum(axis=0).persist())
    frame = timeseries(end="2000-01-08", partition_freq="6h").shuffle("id").persist()
    kept.append(frame)
    kept.append(client.submit(model, 1, key="needs-a-gpu", resources={"GPU": 1}))
    kept.append(client.submit(die, retries=0, key="hard-exit"))
    return kept


def main() -> int:
    browser_path = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser_path is None:
        raise SystemExit("there is no Chromium on this machine")
    TARGET.mkdir(parents=True, exist_ok=True)
    dask.config.set({"distributed.diagnostics.computations.nframes": 2})
    with (
        LocalCluster(n_workers=4, threads_per_worker=2, dashboard_address=":0") as cluster,
        Client(cluster) as client,
        sync_playwright() as playwright,
    ):
        link = cluster.dashboard_link.removesuffix("status")
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 760})
        page.goto(f"{link}status")
        kept = work(client)
        time.sleep(8)
        for name in PAGES:
            worker = next(iter(client.scheduler_info()["workers"]))
            if name == "shuffle":
                kept.append(timeseries(seed=3).shuffle("name").persist())
            if name in ("profile", "call-stacks", "tasks", "cluster-map", "fine"):
                kept.append(client.map(model, range(200), pure=False))
            page.goto(f"{link}{name}{PARAMETERS.get(name, '').format(worker=worker)}")
            time.sleep(SECONDS.get(name, 2.0))
            page.screenshot(path=TARGET / f"{name}.png")
            logging.getLogger("screenshots").warning("%s", name)
        for name in ("status", "workers"):
            page.goto(f"{link}{name}?theme=dark")
            time.sleep(3)
            page.screenshot(path=TARGET / f"{name}-dark.png")
        report = Path(tempfile.mkdtemp()) / "report.html"
        with performance_report(report):
            wait(work(client)[:4])
        page.goto(report.as_uri())
        time.sleep(2)
        page.screenshot(path=TARGET / "report.png")
        page.goto(f"{report.as_uri()}#tasks")
        time.sleep(2)
        page.screenshot(path=TARGET / "report-tasks.png")
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
