"""Defaults for workers and threads."""

from __future__ import annotations

import pytest

from shoal.deploy import sizing
from shoal.deploy.sizing import nprocesses_nthreads, worker_shape


@pytest.mark.parametrize(
    ("cores", "shape"),
    [
        *[(1, (1, 1)), (2, (2, 1)), (4, (4, 1)), (6, (3, 2)), (7, (7, 1)), (8, (4, 2))],
        *[(9, (3, 3)), (12, (4, 3)), (16, (4, 4)), (32, (8, 4)), (64, (8, 8)), (96, (12, 8))],
    ],
)
def test_processes_and_threads(cores, shape):
    assert nprocesses_nthreads(cores) == shape


def test_every_core_has_a_thread():
    for cores in range(1, 300):
        processes, threads = nprocesses_nthreads(cores)
        assert processes * threads == cores and processes >= threads


@pytest.mark.parametrize(
    ("n_workers", "threads", "processes", "shape"),
    [
        (None, None, True, (4, 3)),
        (None, None, False, (1, 12)),
        (None, 4, True, (3, 4)),
        (None, 40, True, (1, 40)),
        (None, 4, False, (1, 4)),
        (3, None, True, (3, 4)),
        (30, None, True, (30, 1)),
        (0, None, True, (0, 12)),
        (2, 5, True, (2, 5)),
    ],
)
def test_shape(n_workers, threads, processes, shape, monkeypatch):
    monkeypatch.setattr(sizing, "CPU_COUNT", 12)
    assert worker_shape(n_workers, threads, processes) == shape


@pytest.mark.parametrize(
    ("n_workers", "threads", "text"),
    [
        (-1, None, "n_workers must be a whole number of at least 0, got -1"),
        ("4", None, "n_workers must be a whole number of at least 0, got '4'"),
        (2, 0, "threads_per_worker must be a whole number of at least 1, got 0"),
        (2, 1.5, "threads_per_worker"),
        (True, 1, "n_workers"),
    ],
)
def test_bad_numbers_are_named(n_workers, threads, text):
    with pytest.raises(ValueError, match=text):
        worker_shape(n_workers, threads, True)
