"""Systems under one monkey: `python -m benchmarks.monkey`, for a table of docs/reliability.md.

Each runs `monkey_program` three times: undisturbed, while a process of a random worker is killed
with -9 every few seconds, and while the scheduler is among those that are killed. What supervises
the scheduler starts it again half a second later. Needs the environments `.venvs/bench-*`, as
`make bench` makes them; systems without one are left out.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

_ROOT = Path(__file__).parent.parent
_PROGRAM = Path(__file__).with_name("monkey_program.py")
_PATIENCE = 90.0
_SUPERVISED = 0.5  # seconds until a dead scheduler is started again
KILLS = ("nothing", "workers", "all")


class Cluster:
    """Processes of one system: a scheduler, and two workers of one thread."""

    def __init__(self, system: str, python: Path, folder: Path) -> None:
        self.system, self.python, self.folder = system, python, folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        scheme = "" if system == "ray" else "tcp://"
        self.address = f"{scheme}127.0.0.1:{self.port}"
        self.log = (folder / "processes.log").open("ab")
        self.scheduler = self._start_scheduler()
        self.workers = None if system == "ray" else self._start_workers()

    def _start(self, program: str, *words: str) -> subprocess.Popen[bytes]:
        name = [str(self.python), "-m", "shoal"] if program == "shoal" else []
        command = [*(name or [str(self.python.parent / program)]), *words]
        return subprocess.Popen(command, stdout=self.log, stderr=self.log, cwd=self.folder)

    def _start_scheduler(self) -> subprocess.Popen[bytes]:
        port = str(self.port)
        if self.system == "ray":
            more = ["--include-dashboard", "false", "--disable-usage-stats", "--num-cpus", "2"]
            return self._start("ray", "start", "--head", "--block", "--port", port, *more)
        if self.system == "dask":
            return self._start("dask", "scheduler", "--port", port, "--no-dashboard")
        more = ["--journal", "journal"] if self.system == "shoal --journal" else []
        return self._start("shoal", "scheduler", "--port", port, "--no-dashboard", *more)

    def _start_workers(self) -> subprocess.Popen[bytes]:
        words = ["worker", self.address, "--nworkers", "2", "--nthreads", "1", "--no-dashboard"]
        return self._start("dask" if self.system == "dask" else "shoal", *words)

    def kill(self, rng: random.Random, also_scheduler: bool) -> str:
        """Kill a process; return what it was, empty where none was found."""
        if also_scheduler and rng.random() < 1 / 3:
            self.kill_scheduler()
            return "scheduler"
        found = list(self._of_workers())
        if found:
            rng.choice(found).kill()
        return "worker" if found else ""

    def kill_scheduler(self) -> None:
        """Kill what knows of all tasks, and start it again."""
        if self.system == "ray":
            for process in psutil.Process(self.scheduler.pid).children(recursive=True):
                if process.name().startswith("gcs_server"):
                    process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.scheduler.wait(20)  # it ends all others when one is gone
            self._end_tree(self.scheduler)
        else:
            self.scheduler.kill()
            self.scheduler.wait()
        time.sleep(_SUPERVISED)
        self.scheduler = self._start_scheduler()

    def _of_workers(self) -> Iterator[psutil.Process]:
        parent = self.workers or self.scheduler
        with contextlib.suppress(psutil.Error):
            for process in psutil.Process(parent.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    words = " ".join(process.cmdline())
                    if self.system == "ray":
                        if words.startswith("ray::") and "gent" not in words:
                            yield process
                    elif not process.children() and "resource_tracker" not in words:
                        yield process

    def is_up(self) -> bool:
        """Whether somebody listens."""
        try:
            socket.create_connection(("127.0.0.1", self.port), 1.0).close()
        except OSError:
            return False
        return True

    def end(self) -> None:
        """End all processes."""
        for process in (self.workers, self.scheduler):
            if process is not None:
                self._end_tree(process)
        self.log.close()

    @staticmethod
    def _end_tree(process: subprocess.Popen[bytes]) -> None:
        tree: list[psutil.Process] = []
        with contextlib.suppress(psutil.Error):
            tree = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()
        for each in tree:
            with contextlib.suppress(psutil.Error):
                each.kill()


def run_once(
    system: str, python: Path, kills: str, rounds: int, every: float, seed: int
) -> dict[str, Any]:
    """Run the program once; return what came of it."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="monkey-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        path = folder / "runs"
        cluster = Cluster(system, python, folder)
        try:
            wait_for(cluster.is_up)
            if system == "ray":
                time.sleep(5)
            name = "shoal" if system.startswith("shoal") else system
            command = [python, _PROGRAM, name, cluster.address, str(rounds), path]
            log = (folder / "program.log").open("wb")
            with subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True
            ) as program:
                lines: list[str] = []
                reader = threading.Thread(target=lambda: lines.extend(program.stdout or ()))
                reader.start()
                killed = disturb(cluster, program, lines, kills, every, rng, path)
                program.kill()
                reader.join(5)
        finally:
            cluster.end()
        runs = path.read_text().split() if path.exists() else []
    ends = [line.split() for line in lines if line.startswith("END")]
    outcome, what, seconds = ends[0][1:4] if ends else ("hung", "-", str(_PATIENCE))
    return {
        "outcome": outcome if what == "-" else f"{outcome}: {what}",
        "seconds": float(seconds),
        "killed": killed,
        "again": len(runs) - len(set(runs)),
        "tasks": len(set(runs)),
    }


def disturb(
    cluster: Cluster,
    program: subprocess.Popen[str],
    lines: list[str],
    kills: str,
    every: float,
    rng: random.Random,
    path: Path,
) -> int:
    """Kill until the program has ended; return how many processes were killed."""
    until = time.monotonic() + _PATIENCE
    killed = 0
    due = None
    while program.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
        if due is None and path.exists():  # the first task runs
            due = time.monotonic() + every
        if kills != "nothing" and due is not None and time.monotonic() >= due:
            killed += bool(cluster.kill(rng, kills == "all"))
            due = time.monotonic() + every
    return killed


def wait_for(reached: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not reached():
        if time.monotonic() > until:
            raise TimeoutError("the scheduler does not come up")
        time.sleep(0.1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two kills")
    parser.add_argument("--systems", default="shoal --journal,shoal,dask,ray")
    parser.add_argument("--envs", type=Path, default=_ROOT / ".venvs")
    options = parser.parse_args()
    print("| system | killed | outcome | seconds | times the undisturbed | tasks run again |")
    print("|---|---|---|---|---|---|")
    for system in options.systems.split(","):
        environment = {"dask": "bench-dask", "ray": "bench-ray"}.get(system)
        python = Path(sys.executable)
        if environment is not None:
            python = options.envs / environment / "bin" / "python"
        if not python.exists():
            continue
        first = 0.0
        for kills in KILLS:
            found = run_once(system, python, kills, options.rounds, options.every, options.seed)
            first = first or found["seconds"]
            ratio = f"{found['seconds'] / first:.2f}" if found["outcome"] == "right" else ""
            print(
                f"| {system} | {found['killed']} of {kills} | {found['outcome']} | "
                f"{found['seconds']:.1f} | {ratio} | {found['again']} of {found['tasks']} |",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    os.environ.setdefault("SHOAL_SECRET", secrets.token_hex(16))
    sys.exit(main())
