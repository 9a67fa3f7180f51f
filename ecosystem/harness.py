"""What the scripts of this folder share: a cluster, a stopwatch, and a line for `run.py`.

A script is run twice, by ``python -m shoal run`` and by plain ``python``; which of the two packages
`distributed` is, it does not know.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def two_workers(**kwargs: Any) -> Iterator[Any]:
    """A client of a new cluster of two worker processes with a thread each."""
    from distributed import Client, LocalCluster

    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0", **kwargs}
    began = time.perf_counter()
    with LocalCluster(**options) as cluster, Client(cluster) as client:
        client.wait_for_workers(2)
        Report.start = time.perf_counter() - began
        yield client


class Report:
    """What a script did; printed as its last line.

    Workers import what their tasks need: some while they start, some when the first task comes.
    So both times are reported, `start` and `seconds`.
    """

    start = 0.0

    def __init__(self, package: str, what: str) -> None:
        self.package = package
        self.what = what
        self.seconds = 0.0

    def timed(self, work: Callable[[], Any]) -> Any:
        """Do the work and return its result; its time is added up."""
        started = time.perf_counter()
        result = work()
        self.seconds += time.perf_counter() - started
        return result

    def done(self) -> None:
        """Say that all went well."""
        import distributed

        line = {
            "package": self.package,
            "version": importlib.metadata.version(self.package),
            "what": self.what,
            "start": round(self.start, 3),
            "seconds": round(self.seconds, 3),
            "on": "shoal" if distributed.Client.__module__.startswith("shoal") else "incumbent",
        }
        print(json.dumps(line), flush=True)


def quick() -> bool:
    """Whether little data will do: the run is a test, not a measurement."""
    return "--quick" in sys.argv or bool(os.environ.get("ECOSYSTEM_QUICK"))
