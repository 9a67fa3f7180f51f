"""The tasks of a simulated worker's memory: their sizes, what they grow to, and what they need."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

__all__ = ["LIMIT", "Work", "draw_works"]

LIMIT = 1_000
"""The worker's limit, in bytes; sizes are parts of it."""


@dataclass
class Work:
    """One task."""

    key: str
    deps: tuple[str, ...]
    kind: int  # its function
    nbytes: int  # of its result
    peak: int  # that it grows to, its result included
    seconds: float
    remote: bool = False  # a value of a peer


def draw_works(rng: Random, nthreads: int) -> dict[str, Work]:
    """Draw tasks, in the order of their priorities: layers that need a few of what is before."""
    works: dict[str, Work] = {}
    most = LIMIT // (6 * nthreads) if nthreads > 1 else LIMIT // 8
    kinds = [
        (rng.randint(5, most), rng.choice([1.0, 1.5, 2.0]), rng.uniform(0.01, 0.2))
        for _ in range(4)
    ]
    if nthreads == 1 and rng.random() < 0.3:  # one that fits only where nothing else is
        kinds[0] = (LIMIT // 10, 6.8, 0.1)
    for number in range(rng.randint(0, 10)):
        works[f"r{number}"] = Work(f"r{number}", (), -1, rng.randint(10, most), 0, 0.0, remote=True)
    for number in range(rng.randint(20, 80)):
        kind = rng.randrange(len(kinds))
        nbytes, factor, seconds = kinds[kind]
        # Few inputs, that fit together with what is made of them.
        known = list(works)[-30:]
        deps: list[str] = []
        room = LIMIT // 3 // nthreads
        for dep in rng.sample(known, min(len(known), rng.choice([0, 1, 2, 4]))):
            if works[dep].nbytes <= room:
                deps.append(dep)
                room -= works[dep].nbytes
        key = f"t{number}"
        works[key] = Work(key, tuple(deps), kind, nbytes, int(nbytes * factor), seconds)
    return works
