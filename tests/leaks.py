"""What a test may not leave behind: processes, threads, and files in the temporary folders."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

# The loop threads that all clients of a process, or all its file systems, share live as long.
LASTING_THREADS = {"shoal-loop", "fsspecIO"}
# And so do those of its default executor.
LASTING_POOLS = ("uvloop_", "asyncio_")


@dataclass(frozen=True)
class Snapshot:
    """What there is at one moment, by name where a name says more than a number."""

    processes: frozenset[str]
    threads: frozenset[str]
    files: frozenset[str]


def take() -> Snapshot:
    """Look at this process's children and threads and at the temporary folders."""
    return Snapshot(frozenset(_processes()), frozenset(_threads()), frozenset(_files()))


def since(before: Snapshot, timeout: float = 5) -> list[str]:
    """Return what is there now, was not `before`, and does not go away within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        now = take()
        left = [
            *(f"process {name}" for name in sorted(now.processes - before.processes)),
            *(f"thread {name}" for name in sorted(now.threads - before.threads)),
            *(f"file {name}" for name in sorted(now.files - before.files)),
        ]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.02)


def _processes() -> list[str]:
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            if child.status() != psutil.STATUS_ZOMBIE:
                found.append(f"{child.pid}: {' '.join(child.cmdline())[:200]}")
        except psutil.NoSuchProcess:
            continue
    # multiprocessing's own helper, which tests that use multiprocessing start; it ends with us.
    return [name for name in found if "multiprocessing.resource_tracker" not in name]


def _threads() -> list[str]:
    return [
        f"{thread.name} ({thread.ident})"
        for thread in threading.enumerate()
        if thread.name not in LASTING_THREADS and not thread.name.startswith(LASTING_POOLS)
    ]


def _files() -> list[str]:
    folders = [Path(tempfile.gettempdir())]
    # Others on this machine may run clusters of their own; only CI has /dev/shm for itself.
    if os.environ.get("CI") and Path("/dev/shm").is_dir():
        folders.append(Path("/dev/shm"))
    found = []
    for folder in folders:
        found += [str(path) for path in folder.iterdir() if "shoal" in path.name]
    return found
