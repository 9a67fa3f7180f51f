"""Numbers of this process and its Python, under the names that all Python programs have.

Where users' code has loaded `prometheus_client`, what it registered there is told as well.
"""

from __future__ import annotations

import gc
import platform
import sys

import psutil

from shoal.http.exposition import Families

if sys.platform != "win32":
    import resource

__all__ = ["process_text"]


def process_text() -> str:
    """Return the families ``process_*`` and ``python_*``, and users' own."""
    client = sys.modules.get("prometheus_client")
    if client is not None:
        text: bytes = client.generate_latest(client.REGISTRY)
        return text.decode()
    return _python() + _process()


def _python() -> str:
    found = Families("python")
    stats = list(enumerate(gc.get_stats()))
    for name, key, text in (
        ("gc_objects_collected", "collected", "Objects collected during gc"),
        ("gc_objects_uncollectable", "uncollectable", "Uncollectable objects found during GC"),
        ("gc_collections", "collections", "Number of times this generation was collected"),
    ):
        found.counter(name, text, [({"generation": str(n)}, each[key]) for n, each in stats])
    major, minor, patch = platform.python_version_tuple()
    labels = {
        "implementation": platform.python_implementation(),
        "major": major,
        "minor": minor,
        "patchlevel": patch,
        "version": platform.python_version(),
    }
    found.gauge("info", "Python platform information", [(labels, 1)])
    return found.text()


def _process() -> str:
    found = Families("process")
    process = psutil.Process()
    with process.oneshot():
        memory, times = process.memory_info(), process.cpu_times()
        found.gauge("virtual_memory_bytes", "Virtual memory size in bytes.", memory.vms)
        found.gauge("resident_memory_bytes", "Resident memory size in bytes.", memory.rss)
        found.gauge(
            "start_time_seconds",
            "Start time of the process since unix epoch in seconds.",
            process.create_time(),
        )
        found.counter(
            "cpu_seconds",
            "Total user and system CPU time spent in seconds.",
            times.user + times.system,
        )
        if hasattr(process, "num_fds"):
            found.gauge("open_fds", "Number of open file descriptors.", process.num_fds())
    if sys.platform != "win32":
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        found.gauge("max_fds", "Maximum number of open file descriptors.", limit)
    return found.text()
