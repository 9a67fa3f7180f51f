"""Waiting as a coroutine, the client if there is one, and what a thread runs at the moment."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from shoal.client.collections.default import take_over
from shoal.client.current import as_current, current_client, remember_client
from shoal.client.futures.future import futures_of, seconds_or_none
from shoal.client.futures.waiting import (
    ALL_COMPLETED,
    FIRST_COMPLETED,
    DoneAndNotDoneFutures,
    wait_async,
)
from shoal.task_context import current_task

if TYPE_CHECKING:
    from shoal.client.client import Client

__all__ = ["ensure_default_client", "temp_default_client", "thread_state"]


async def _wait(
    fs: Any, timeout: float | str | None = None, return_when: str = ALL_COMPLETED
) -> DoneAndNotDoneFutures:
    """Wait for futures on the event loop of their client; `shoal.wait` as a coroutine."""
    if return_when not in (ALL_COMPLETED, FIRST_COMPLETED):
        raise ValueError(f"return_when= is ALL_COMPLETED or FIRST_COMPLETED, got {return_when!r}")
    futures = futures_of(fs)
    if not futures:
        return DoneAndNotDoneFutures(set(), set())
    enough = 1 if return_when == FIRST_COMPLETED else None
    return await wait_async(futures, seconds_or_none(timeout), enough)


def _get_global_client() -> Any:
    """Return the current client, or None."""
    try:
        return current_client()
    except ValueError:
        return None


@contextmanager
def temp_default_client(c: Client) -> Iterator[None]:
    """Make a client the default one while the block runs."""
    with as_current(c):
        yield


def ensure_default_client(client: Client) -> None:
    """Make a client the default one, from now on."""
    remember_client(client)
    take_over(client)


class _ThreadState(threading.local):
    """The current state of this thread; anything else that is set here is the thread's own.

    Attributes
    ----------
    execution_state : dict
        ``worker`` and ``key`` of the task that runs; there is none outside of tasks.
    on_event_loop_thread : bool
        Whether an event loop runs on this thread.
    """

    @property
    def execution_state(self) -> dict[str, Any]:
        context = current_task()
        if context is None:
            raise AttributeError("execution_state: no task runs here")
        return {"worker": context.worker.address, "key": context.key}

    @property
    def on_event_loop_thread(self) -> bool:
        return asyncio._get_running_loop() is not None


thread_state = _ThreadState()
