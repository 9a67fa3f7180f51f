"""`progress(notebook=True)` in a real kernel of Jupyter, heard as a front end hears it."""

from __future__ import annotations

import queue
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

pytestmark = [pytest.mark.process, pytest.mark.filterwarnings("ignore")]

START = """
from shoal import Client, progress
client = Client(n_workers=1, threads_per_worker=2, dashboard_address=None)
def work(x):
    import time
    time.sleep(0.02)
    return x
def fail(x):
    raise ValueError(x)
"""


class FrontEnd:
    """Keeps the state of all widgets of a kernel, by what it is told."""

    def __init__(self, kernel: Any) -> None:
        self.kernel = kernel
        self.widgets: dict[str, dict[str, Any]] = {}
        self.shown: list[str] = []
        self.errors: list[str] = []

    def run(self, code: str) -> None:
        """Run a cell; return when it is done."""
        request = self.kernel.execute(code)
        while not self.hear(60, request):
            pass
        assert not self.errors, "\n".join(self.errors)

    def hear(self, timeout: float, request: str = "") -> bool:
        message = self.kernel.get_iopub_msg(timeout=timeout)
        kind, content = message["msg_type"], message["content"]
        if kind == "comm_open":
            self.widgets[content["comm_id"]] = dict(content["data"]["state"])
        elif kind == "comm_msg" and content["data"].get("method") == "update":
            self.widgets[content["comm_id"]].update(content["data"]["state"])
        elif kind in ("display_data", "execute_result"):
            view = content["data"].get("application/vnd.jupyter.widget-view+json", {})
            self.shown.append(view.get("model_id", ""))
        elif kind == "error":
            self.errors += content["traceback"]
        ours = message["parent_header"].get("msg_id") == request
        return kind == "status" and content["execution_state"] == "idle" and ours

    def bars(self) -> list[dict[str, Any]]:
        """Return the bars that are shown now."""
        found = self.widgets.values()
        return [w for w in found if w.get("_model_name") == "FloatProgressModel"]

    def title(self) -> str:
        box = self.widgets[self.shown[-1]]
        first = box["children"][0].removeprefix("IPY_MODEL_")
        text: str = self.widgets[first]["value"]
        return text

    def until_title(self, start: str) -> None:
        deadline = time.monotonic() + 60
        while not self.title().startswith(start):
            assert time.monotonic() < deadline, self.title()
            try:
                self.hear(1)
            except queue.Empty:
                continue


@pytest.fixture(scope="module")
def front() -> Iterator[FrontEnd]:
    pytest.importorskip("ipywidgets")
    manager_class = pytest.importorskip("jupyter_client.manager").KernelManager
    pytest.importorskip("ipykernel")
    manager = manager_class()
    manager.kernel_spec.argv = [
        *(sys.executable, "-m", "ipykernel_launcher"),
        *("-f", "{connection_file}", "--HistoryManager.enabled=False"),
    ]
    manager.start_kernel()
    kernel = manager.blocking_client()
    kernel.start_channels()
    try:
        kernel.wait_for_ready(60)
        front = FrontEnd(kernel)
        front.run(START)
        yield front
        front.run("client.close()")
    finally:
        kernel.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


def test_the_bar_fills_while_no_cell_runs(front: FrontEnd) -> None:
    front.widgets.clear()
    front.run("futures = client.map(work, range(50))\nprogress(futures)")
    assert front.shown[-1] in front.widgets
    front.until_title("<b>Finished")
    (bar,) = front.bars()
    assert bar["value"] == 1.0 and bar["bar_style"] == "success"


def test_failures_are_shown(front: FrontEnd) -> None:
    front.widgets.clear()
    front.run("futures = [client.submit(fail, 1), client.submit(work, 3)]\nprogress(*futures)")
    front.until_title("<b>F")
    assert any(bar["bar_style"] == "danger" for bar in front.bars())


def test_it_ends_when_the_cluster_does(front: FrontEnd) -> None:
    """After `restart` the tasks are nobody's: the bar says so, and does not wait for ever."""
    front.widgets.clear()
    front.run("other = Client(n_workers=1, threads_per_worker=1, dashboard_address=None)")
    front.run("import time\nfutures = other.map(time.sleep, [100] * 4)\nprogress(futures)")
    front.run("other.restart();")
    front.until_title("<b>Cancelled")
    front.run("other.close()")
