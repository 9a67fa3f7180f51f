"""A long random run: all primitives, maps, dask's collections, while processes are killed.

`python -m benchmarks.chaos --minutes 60 --seed 1`. The scheduler has a journal. A monkey kills it,
or the process of a worker, every few seconds. What users compute must be right, and what was
acknowledged must be there; nobody may hang.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import secrets
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import dask
import dask.array as da
import dask.bag
import dask.dataframe as dd
import numpy as np
import pandas as pd
import psutil

from benchmarks.journal_kills import (
    USERS,
    Outcome,
    Processes,
    double,
    end_users,
    leave_tasks,
    live,
    wait_for,
)
from shoal import Client, as_completed

__all__ = ["run_chaos"]

_PATIENCE = 120.0


def add(x: int, y: int) -> int:
    return x + y


def slow_double(x: int) -> int:
    time.sleep(0.002)
    return 2 * x


def use_maps(client: Client, outcome: Outcome, name: str) -> None:
    while not outcome.stopping.is_set():
        n = random.randint(1, 2000)
        futures = client.map(double, range(n), pure=False)
        total = sum(client.gather(futures))
        outcome.expect(total == n * (n - 1), f"{name}: the sum of {n} is {total}")
        pairs = client.map(add, futures, futures, pure=False)
        some = [future.result(timeout=_PATIENCE) for future in pairs[:: max(1, n // 10)]]
        right = [4 * i for i in range(0, n, max(1, n // 10))]
        outcome.expect(some == right, f"{name}: wrong pairs of {n}")
        outcome.count("tasks", 2 * n)


def use_completed(client: Client, outcome: Outcome, name: str) -> None:
    while not outcome.stopping.is_set():
        n = random.randint(1, 200)
        futures = client.map(slow_double, range(n), pure=False)
        found = sorted(future.result() for future in as_completed(futures, timeout=_PATIENCE))
        outcome.expect(found == list(range(0, 2 * n, 2)), f"{name}: wrong results of {n}")
        outcome.count("tasks", n)


def use_collections(client: Client, outcome: Outcome, name: str) -> None:
    while not outcome.stopping.is_set():
        n = random.randint(10, 500)
        bag = dask.bag.from_sequence(range(n), npartitions=8)
        total = client.compute(bag.map(double).fold(add)).result(timeout=_PATIENCE)
        outcome.expect(total == n * (n - 1), f"{name}: the bag of {n} says {total}")
        kept = client.persist(bag.map(double))
        found = client.compute(kept).result(timeout=_PATIENCE)
        outcome.expect(list(found) == list(range(0, 2 * n, 2)), f"{name}: a persisted bag of {n}")
        parts = [dask.delayed(double)(i) for i in range(n)]
        while len(parts) > 1:
            parts = [dask.delayed(sum)(parts[i : i + 4]) for i in range(0, len(parts), 4)]
        total = client.compute(parts[0]).result(timeout=_PATIENCE)
        outcome.expect(total == n * (n - 1), f"{name}: the tree of {n} says {total}")
        outcome.count("collections", 3)


def use_arrays(client: Client, outcome: Outcome, name: str) -> None:
    while not outcome.stopping.is_set():
        n = random.randint(50, 400)
        x = da.ones((n, n), chunks=(n // 4 + 1, n)).rechunk((n, n // 4 + 1), method="tasks")
        total = client.compute((x + x.T).sum()).result(timeout=_PATIENCE)
        outcome.expect(total == 2 * n * n, f"{name}: the sum of {n} by {n} is {total}")
        outcome.count("arrays")


def use_frames(client: Client, outcome: Outcome, name: str) -> None:
    while not outcome.stopping.is_set():
        n = random.randint(100, 5_000)
        frame = pd.DataFrame({"k": np.arange(n) % 7, "v": np.arange(n)})
        parts = dd.from_pandas(frame, npartitions=6).shuffle("k", shuffle_method="tasks")
        found = client.compute(parts.groupby("k").v.sum()).result(timeout=_PATIENCE)
        right = frame.groupby("k").v.sum()
        outcome.expect(found.sort_index().equals(right), f"{name}: wrong groups of {n}")
        outcome.count("frames")


def use_coroutines(client: Client, outcome: Outcome, name: str) -> None:
    address = client.scheduler.address

    async def main() -> None:
        async with Client(address, asynchronous=True, set_as_default=False) as own:
            while not outcome.stopping.is_set():
                n = random.randint(1, 300)
                futures = own.map(double, range(n), pure=False)
                total = sum(await own.gather(futures))
                outcome.expect(total == n * (n - 1), f"{name}: the sum of {n} is {total}")
                outcome.count("tasks", n)

    asyncio.run(main())


MORE: list[Callable[[Client, Outcome, str], None]] = [
    use_maps,
    use_maps,
    use_completed,
    use_collections,
    use_coroutines,
    use_arrays,
    use_frames,
]


def kill_worker(processes: Processes, rng: random.Random) -> bool:
    """Kill the process of a worker; its nanny starts another."""
    try:
        nannies = psutil.Process(processes.worker.pid)
        workers = [child for child in nannies.children(recursive=True) if not child.children()]
        if workers:
            rng.choice(workers).kill()
        return bool(workers)
    except psutil.Error:
        return False


def run_chaos(minutes: float, seed: int, folder: Path, sync: str = "turn") -> Outcome:
    """Live so long under the monkey, and return what users counted."""
    rng = random.Random(seed)
    outcome = Outcome()
    processes = Processes(folder, sync)
    marks = folder / "marks"
    marks.mkdir()
    try:
        wait_for(processes.is_up)
        with Client(processes.address, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=_PATIENCE)
        users = [
            threading.Thread(target=live, args=(use, processes.address, outcome, f"user-{i}"))
            for i, use in enumerate([*USERS, *MORE])
        ]
        for user in users:
            user.start()
        until = time.monotonic() + 60 * minutes
        while time.monotonic() < until and not outcome.wrong:
            wait_for(processes.is_up)
            draw = rng.random()
            if draw < 0.2:
                with Client(processes.address, set_as_default=False) as client:
                    leave_tasks(client, outcome, marks)
            time.sleep(rng.choice([0.5, 3.0, 10.0]) * rng.random())
            if draw < 0.5:
                processes.kill_scheduler()
                outcome.count("kills of schedulers")
            elif kill_worker(processes, rng):
                outcome.count("kills of workers")
        end_users(users, outcome, _PATIENCE)
    finally:
        outcome.stopping.set()
        processes.end()
    return outcome


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sync", default="turn", choices=("always", "turn", "never"))
    parser.add_argument("--folder", help="where logs and the journal stay; else they go")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chaos-") as temporary:
        folder = Path(options.folder or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        outcome = run_chaos(options.minutes, options.seed, folder, options.sync)
    print(f"{options.minutes:g} minutes, seed {options.seed}: {outcome}")
    return 1 if outcome.wrong else 0


if __name__ == "__main__":
    os.environ.setdefault("SHOAL_SECRET", secrets.token_hex(16))
    sys.exit(main())
