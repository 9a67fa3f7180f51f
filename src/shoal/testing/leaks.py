"""Checks that a test leaves nothing: threads, processes, clients, clusters, configuration."""

from __future__ import annotations

import copy
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import dask.config
import psutil

import shoal.config  # noqa: F401  (its defaults belong to the original configuration)
from shoal.client import client as clients
from shoal.deploy import spec

__all__ = [
    "check_instances",
    "check_process_leak",
    "check_thread_leak",
    "clean",
    "original_config",
    "reset_config",
]

original_config: dict[str, Any] = copy.deepcopy(dask.config.config)
"""The configuration when this module was imported."""

_TIMEOUT = 5.0
# These live as long as the process: the loop of all clients, and the loops' own helpers.
_LASTING = ("shoal-loop", "asyncio_", "uvloop_", "pytest_timeout")


def reset_config() -> None:
    """Bring back `original_config`; the dict that modules hold stays the same."""
    dask.config.config.clear()
    dask.config.config.update(copy.deepcopy(original_config))


@contextmanager
def clean(
    threads: bool = True,
    instances: bool = True,
    processes: bool = True,
    timeout: float = _TIMEOUT,
) -> Iterator[None]:
    """Fail when the block leaves something behind; and run it with the original configuration.

    Parameters
    ----------
    threads, instances, processes : bool
        Whether to look for threads, for open clients and clusters, for child processes.
    timeout : float
        Seconds that they may take to go.
    """
    reset_config()
    with ExitStack() as stack:
        if threads:
            stack.enter_context(check_thread_leak(timeout))
        if processes:
            stack.enter_context(check_process_leak(timeout=timeout))
        if instances:
            stack.enter_context(check_instances(timeout))
        try:
            yield
        finally:
            reset_config()


@contextmanager
def check_thread_leak(timeout: float = _TIMEOUT) -> Iterator[None]:
    """Fail when the block leaves a thread behind; the error shows where it is."""
    before = set(threading.enumerate())
    yield
    _nothing_left(lambda: _threads_since(before), timeout, _show_thread)


def _threads_since(before: set[threading.Thread]) -> list[threading.Thread]:
    return [
        thread
        for thread in threading.enumerate()
        if thread not in before and not thread.name.startswith(_LASTING)
    ]


def _show_thread(thread: threading.Thread) -> str:
    frame = sys._current_frames().get(thread.ident or 0)
    where = "".join(traceback.format_stack(frame)) if frame is not None else ""
    return f"thread {thread.name}\n{where}"


@contextmanager
def check_process_leak(check: bool = True, timeout: float = _TIMEOUT) -> Iterator[None]:
    """Fail when the block leaves a child process behind, and end it."""
    before = set(_children())
    try:
        yield
        if check:
            _nothing_left(lambda: [c for c in _children() if c not in before], timeout, str)
    finally:
        for child in _children():
            if child not in before:
                child.kill()


def _children() -> list[psutil.Process]:
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            # multiprocessing's own helper ends with this process.
            if child.status() != psutil.STATUS_ZOMBIE and not any(
                "multiprocessing.resource_tracker" in word for word in child.cmdline()
            ):
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


@contextmanager
def check_instances(timeout: float = _TIMEOUT) -> Iterator[None]:
    """Fail when the block leaves a client or a cluster open."""
    before = set(map(id, _open()))
    yield
    _nothing_left(lambda: [each for each in _open() if id(each) not in before], timeout, repr)


def _open() -> list[Any]:
    clusters = [cluster for _, cluster in list(spec._open.values())]
    return [*list(clients._open_clients), *clusters]


def _nothing_left(
    look: Callable[[], list[Any]], timeout: float, show: Callable[[Any], str]
) -> None:
    deadline = time.monotonic() + timeout
    while left := look():
        if time.monotonic() > deadline:
            raise AssertionError("left behind: " + "; ".join(map(show, left)))
        time.sleep(0.01)
