"""How many worker processes, and how many threads in each, when the user does not say."""

from __future__ import annotations

import math

from shoal._base.numbers import whole_number
from shoal._base.system import CPU_COUNT

__all__ = ["nprocesses_nthreads", "worker_shape"]


def nprocesses_nthreads(n: int | None = None) -> tuple[int, int]:
    """Return the default number of processes, and of threads in each, for `n` cores.

    Few cores get a process each. From then on there are about as many processes as threads in each,
    rather a few more: processes do not share a GIL, threads share memory.

    Parameters
    ----------
    n : int, optional
        Number of cores; default those that this process may use.

    Examples
    --------
    >>> nprocesses_nthreads(4)
    (4, 1)
    >>> nprocesses_nthreads(32)
    (8, 4)
    """
    cores = CPU_COUNT if n is None else n
    if cores <= 4:
        return cores, 1
    processes = next(p for p in range(math.isqrt(cores - 1) + 1, cores + 1) if cores % p == 0)
    return processes, cores // processes


def worker_shape(
    n_workers: int | None, threads_per_worker: int | None, processes: bool
) -> tuple[int, int]:
    """Return the number of workers and of threads in each, given what the user said.

    Raises
    ------
    ValueError
        When a number is no whole number, or is out of range.
    """
    if n_workers is not None:
        n_workers = whole_number("n_workers", n_workers, 0)
    if threads_per_worker is not None:
        threads_per_worker = whole_number("threads_per_worker", threads_per_worker, 1)
    if n_workers is None and threads_per_worker is None:
        return nprocesses_nthreads() if processes else (1, CPU_COUNT)
    if n_workers is None:
        assert threads_per_worker is not None
        return (max(1, CPU_COUNT // threads_per_worker) if processes else 1), threads_per_worker
    if threads_per_worker is None:
        return n_workers, max(1, CPU_COUNT // max(n_workers, 1))
    return n_workers, threads_per_worker
