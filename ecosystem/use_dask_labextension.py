"""dask-labextension: its server handlers in a Jupyter server, which start, scale, adapt and close a
cluster, check for its dashboard, and show panes of it through the proxy.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

from harness import Report

TOKEN = "a-token-of-this-test"
# The names in the layout that the extension comes with.
PANES = ("individual-task-stream", "individual-workers-memory", "individual-progress")
EXTENSIONS = ("dask_labextension", "jupyter_server_proxy")
FACTORY = {
    "DASK_LABEXTENSION__FACTORY__MODULE": "distributed",
    "DASK_LABEXTENSION__FACTORY__CLASS": "LocalCluster",
    "DASK_LABEXTENSION__FACTORY__KWARGS": json.dumps(
        {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": ":0"}
    ),
}


class Server:
    """A Jupyter server with the extension, in a process of its own."""

    def __init__(self, folder: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        command = [
            *[sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root"],
            f"--ServerApp.port={self.port}",
            f"--IdentityProvider.token={TOKEN}",
            f"--ServerApp.root_dir={folder}",
            f"--ServerApp.jpserver_extensions={dict.fromkeys(EXTENSIONS, True)}",
        ]
        environment = {**os.environ, **FACTORY, "JUPYTER_RUNTIME_DIR": folder}
        self.process = subprocess.Popen(command, env=environment)

    def ask(self, path: str, method: str = "GET", body: Any = None, **headers: str) -> str:
        """Return the answer to a request; an error is raised."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/{path}",
            None if body is None else json.dumps(body).encode(),
            {"Authorization": f"token {TOKEN}", **headers},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read().decode()

    def close(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(30)


def until(condition: Callable[[], Any]) -> Any:
    """Return the first true value."""
    deadline = time.monotonic() + 60
    while True:
        try:
            found = condition()
        except (OSError, urllib.error.URLError):
            found = None
        if found:
            return found
        if time.monotonic() > deadline:
            raise TimeoutError("it did not come to that in a minute")
        time.sleep(0.1)


def work(server: Server) -> None:
    until(lambda: server.ask("api/status"))
    assert json.loads(server.ask("dask/clusters")) == []
    model = json.loads(server.ask("dask/clusters", "PUT", {}))
    where = f"dask/clusters/{model['id']}"
    link = model["dashboard_link"]
    assert link.startswith("http://") and "/status" in link

    def look() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(server.ask(where))
        return found

    until(lambda: look()["workers"] == 1)
    assert look()["cores"] == 1 and look()["memory"].endswith("iB")
    json.loads(server.ask(where, "PATCH", {"workers": 2}))
    until(lambda: look()["workers"] == 2)
    adapted = json.loads(server.ask(where, "PATCH", {"adapt": {"minimum": 1, "maximum": 3}}))
    assert adapted["adapt"] == {"minimum": 1, "maximum": 3}

    checked = json.loads(server.ask(f"dask/dashboard-check/{urllib.parse.quote(link, safe='')}"))
    assert checked["isActive"], checked
    listed = {path.lstrip("/").partition("?")[0] for path in checked["plots"].values()}
    assert set(PANES) <= listed
    for pane in PANES:
        # The proxy hands on the name by which the browser calls the hub in front of it.
        shown = server.ask(f"dask/dashboard/{model['id']}/{pane}?theme=dark")
        assert "<html" in shown and "<script" in shown
    plots = json.loads(server.ask(f"dask/dashboard/{model['id']}/individual-plots.json"))
    assert f"/{PANES[0]}" in plots.values()
    server.ask(where, "DELETE")
    assert json.loads(server.ask("dask/clusters")) == []


def main() -> None:
    report = Report("dask-labextension", "Jupyter server: clusters, dashboard check, proxied panes")
    with tempfile.TemporaryDirectory() as folder:
        server = Server(folder)
        try:
            report.timed(lambda: work(server))
        finally:
            server.close()
    report.done()


if __name__ == "__main__":
    main()
