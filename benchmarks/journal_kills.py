"""A real scheduler with a journal is killed again and again; clients count what it acknowledged.

`python -m benchmarks.journal_kills --kills 200 --seed 1 --sync turn`. Each user is a thread with a
client of its own, and things that nobody else changes: what was acknowledged last must be there.
"""

from __future__ import annotations

import argparse
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shoal import (
    Client,
    Event,
    Lock,
    Queue,
    Semaphore,
    Variable,
    fire_and_forget,
)

__all__ = ["Outcome", "run_kills"]

_PATIENCE = 60.0
_ROOT = Path(__file__).resolve().parent.parent


def double(x: int) -> int:
    return 2 * x


def note(path: str) -> None:
    """Leave a mark, a little later."""
    time.sleep(0.2)
    Path(path).touch()


class Outcome:
    """What users counted."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.done: dict[str, int] = {}
        self.wrong: list[str] = []
        self.inside: dict[str, int] = {}
        self.owed: list[Path] = []
        self.stopping = threading.Event()

    def count(self, what: str, n: int = 1) -> None:
        with self.lock:
            self.done[what] = self.done.get(what, 0) + n

    def expect(self, holds: bool, text: str) -> None:
        if not holds:
            with self.lock:
                self.wrong.append(text)

    def enter(self, what: str, most: int) -> None:
        with self.lock:
            self.inside[what] = self.inside.get(what, 0) + 1
            if self.inside[what] > most:
                self.wrong.append(f"{self.inside[what]} are inside {what}")

    def leave(self, what: str) -> None:
        with self.lock:
            self.inside[what] -= 1

    def __str__(self) -> str:
        done = ", ".join(f"{n} {what}" for what, n in sorted(self.done.items()))
        return f"{done}; wrong: {self.wrong or 'nothing'}"


class Processes:
    """A scheduler that is started again at its port, and workers."""

    def __init__(self, folder: Path, sync: str) -> None:
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.sync = sync
        self.log = (folder / "scheduler.log").open("ab")
        self.scheduler = self._start_scheduler()
        self.worker = self._start("worker", self.address, "--nworkers", "2", "--nthreads", "2")

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "shoal", *words]
        # Workers are to import what tasks are made of.
        paths = os.pathsep.join([str(_ROOT), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "PYTHONPATH": paths.rstrip(os.pathsep)}
        return subprocess.Popen(
            command, stdout=self.log, stderr=self.log, cwd=self.folder, env=environment
        )

    def _start_scheduler(self) -> subprocess.Popen[bytes]:
        where = ["--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard"]
        journal = ["--journal", str(self.folder / "journal"), "--journal-sync", self.sync]
        return self._start("scheduler", *where, *journal)

    def kill_scheduler(self) -> None:
        self.scheduler.kill()
        self.scheduler.wait()
        self.scheduler = self._start_scheduler()

    def is_up(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1.0).close()
        except OSError:
            return False
        return True

    def end(self) -> None:
        for process in (self.worker, self.scheduler):
            process.send_signal(signal.SIGTERM)
        for process in (self.worker, self.scheduler):
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.log.close()


# -- users: each does one thing, and returns when it is told to ------------------------------


def use_queue(client: Client, outcome: Outcome, name: str) -> None:
    """Put numbers and get them back, some of them later."""
    queue = Queue(name, client=client)
    put = got = 0
    while not outcome.stopping.is_set():
        for _ in range(3):
            queue.put(put)
            put += 1
        for _ in range(random.randint(1, 5)):
            if got < put:
                value = queue.get(timeout=_PATIENCE)
                outcome.expect(value == got, f"{name}: {got} comes next, not {value}")
                got = value + 1
                outcome.count("items")
    rest = queue.get(batch=True)
    outcome.expect(rest == list(range(got, put)), f"{name}: {rest} is left, of {got} to {put}")


def use_variable(client: Client, outcome: Outcome, name: str) -> None:
    variable, event = Variable(name, client=client), Event(name, client=client)
    number = 0
    while not outcome.stopping.is_set():
        number += 1
        variable.set(number)
        found = variable.get(timeout=_PATIENCE)
        outcome.expect(found == number, f"{name}: {number} was set, and {found} is there")
        (event.set if number % 2 else event.clear)()
        outcome.expect(event.is_set() == bool(number % 2), f"{name}: event at {number}")
        outcome.count("values")


def use_dataset(client: Client, outcome: Outcome, name: str) -> None:
    number = 0
    while not outcome.stopping.is_set():
        number += 1
        future = client.submit(double, number, pure=False)
        client.publish_dataset(**{name: [number, future]}, override=True)
        del future
        time.sleep(random.random() * 0.3)
        known, future = client.get_dataset(name)
        outcome.expect(known == number, f"{name}: {number} was published, and {known} is there")
        result = future.result(timeout=_PATIENCE)
        outcome.expect(result == 2 * known, f"{name}: {result} is not twice {known}")
        outcome.count("datasets")


def use_lock(client: Client, outcome: Outcome, name: str) -> None:
    lock, semaphore = Lock("shared", client=client), Semaphore(2, "shared", client=client)
    while not outcome.stopping.is_set():
        for kind, most, holdable in (("lock", 1, lock), ("semaphore", 2, semaphore)):
            outcome.expect(bool(holdable.acquire(timeout=_PATIENCE)), f"{name} did not get {kind}")
            outcome.enter(kind, most)
            time.sleep(random.random() * 0.05)
            outcome.leave(kind)
            outcome.expect(holdable.release() is not False, f"{name} had lost its {kind}")
            outcome.count(kind)


def use_notes(client: Client, outcome: Outcome, name: str) -> None:
    """What is asked by calls may have been done though nobody answered: it is asked again."""
    number = logged = 0
    while not outcome.stopping.is_set():
        number += 1
        again(outcome, lambda: client.set_metadata([name, "n"], number))  # noqa: B023 called now
        found = again(outcome, lambda: client.get_metadata([name, "n"]))
        outcome.expect(found == number, f"{name}: {number} was noted, and {found} is there")
        again(outcome, lambda: client.log_event(name, {"n": number}))  # noqa: B023 called now
        logged = number
        outcome.count("notes")
    events = [message["n"] for _, message in again(outcome, lambda: client.get_events(name))]
    first = max(1, logged - 5000)
    missing = set(range(first, logged + 1)).difference(events)
    outcome.expect(not missing, f"{name}: events {sorted(missing)[:5]} are not there")
    outcome.expect(events == sorted(events), f"{name}: events are out of order")


def again(outcome: Outcome, call: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return call()
        except (OSError, RuntimeError) as error:
            if time.monotonic() > deadline:
                outcome.expect(False, f"nobody answers: {error!r}")
                raise
            time.sleep(0.05)


def leave_tasks(client: Client, outcome: Outcome, folder: Path) -> None:
    """Have tasks run, and go."""
    paths = [folder / f"{client.id}-{i}" for i in range(3)]
    futures = client.map(note, [str(path) for path in paths], pure=False)
    fire_and_forget(futures)
    del futures
    Variable("left", client=client).set(1)  # its answer says that all before was heard
    outcome.owed += paths
    outcome.count("tasks left", len(paths))


USERS: list[Callable[[Client, Outcome, str], None]] = [
    use_queue,
    use_queue,
    use_variable,
    use_dataset,
    use_lock,
    use_lock,
    use_notes,
]


def run_kills(kills: int, seed: int, sync: str, folder: Path) -> Outcome:
    """Kill a scheduler so many times, at random, and return what its users counted."""
    rng = random.Random(seed)
    outcome = Outcome()
    processes = Processes(folder, sync)
    marks = folder / "marks"
    marks.mkdir()
    try:
        wait_for(processes.is_up)
        with Client(processes.address, set_as_default=False) as client:
            client.wait_for_workers(1, timeout=_PATIENCE)
        users = [
            threading.Thread(target=live, args=(use, processes.address, outcome, f"user-{i}"))
            for i, use in enumerate(USERS)
        ]
        for user in users:
            user.start()
        for n in range(kills):
            wait_for(processes.is_up)
            if n % 4 == 0:
                with Client(processes.address, set_as_default=False) as client:
                    leave_tasks(client, outcome, marks)
            time.sleep(rng.choice([0.02, 0.2, 1.0, 3.5]) * rng.random())
            processes.kill_scheduler()
            if outcome.wrong:
                break
        end_users(users, outcome, _PATIENCE)
    finally:
        outcome.stopping.set()
        processes.end()
    return outcome


def end_users(users: list[threading.Thread], outcome: Outcome, patience: float) -> None:
    """Have users stop, and see that none hangs and that no task that was left to run is missing."""
    outcome.stopping.set()
    for user in users:
        user.join(3 * patience)
        outcome.expect(not user.is_alive(), f"{user.name} hangs")
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and not all(path.exists() for path in outcome.owed):
        time.sleep(0.1)
    never = [path.name for path in outcome.owed if not path.exists()]
    outcome.expect(not never, f"tasks never ran: {never[:5]}")


def live(
    use: Callable[[Client, Outcome, str], None], address: str, outcome: Outcome, name: str
) -> None:
    try:
        with Client(address, set_as_default=False, timeout=_PATIENCE) as client:
            use(client, outcome, name)
    except BaseException as error:
        outcome.expect(False, f"{name}, {use.__name__}: {type(error).__name__}: {error}")


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the scheduler does not come up")
        time.sleep(0.02)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sync", default="turn", choices=("always", "turn", "never"))
    parser.add_argument("--folder", help="where logs and the journal stay; else they go")
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kills-") as temporary:
        folder = Path(options.folder or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        outcome = run_kills(options.kills, options.seed, options.sync, folder)
    print(f"{options.kills} kills, {time.monotonic() - began:.0f} s, {options.sync}: {outcome}")
    return 1 if outcome.wrong else 0


if __name__ == "__main__":
    os.environ.setdefault("SHOAL_SECRET", secrets.token_hex(16))
    sys.exit(main())
