"""The client inside a task: one for each worker, made when a task first asks for it.

The worker keeps it as `client_of_tasks`, and closes it when it closes itself.
"""

from __future__ import annotations

import importlib
import sys
import threading
from typing import TYPE_CHECKING, Any

from shoal.client.current import current_client

if TYPE_CHECKING:
    from shoal.client.session.context import ClientContext

__all__ = ["client_here", "client_of", "client_of_task", "worker_here"]

_lock = threading.Lock()


def worker_here() -> Any:
    """Return the worker that runs this task; `None` outside of tasks."""
    # Not imported: where no worker was ever made, there is no task either.
    context = sys.modules.get("shoal.task_context")
    if context is None:
        return None
    try:
        return context.get_worker()
    except ValueError:
        return None


def client_of_task(
    address: str | None = None, timeout: float | str | None = None
) -> ClientContext | None:
    """Return the connected client of the task that runs here; `None` outside of tasks.

    With an `address`, only if that is the scheduler of the task's worker.
    """
    worker = worker_here()
    if worker is None or address not in (None, worker.scheduler_address):
        return None
    client = client_of(worker, timeout)
    if not client.asynchronous:
        client.sync(client._started)
    return client


def client_here() -> ClientContext:
    """Return the client that a future belongs to that is unpickled here."""
    try:
        return current_client(allow_global=False)
    except ValueError:
        worker = worker_here()
        return current_client() if worker is None else client_of(worker)


def client_of(worker: Any, timeout: float | str | None = None) -> ClientContext:
    """Return the client of the tasks of a worker, made at first use."""
    # The lock is not held while waiting: the loop may need it, and others wait for the loop.
    with _lock:
        client: ClientContext | None = worker.client_of_tasks
        if client is None or client.status in ("closing", "closed"):
            client = worker.client_of_tasks = _new_client(worker, timeout)
            client._session.stores.own = worker.address
    return client


def _new_client(worker: Any, timeout: float | str | None) -> ClientContext:
    # Clients make futures, and futures that are unpickled make clients: one import comes late.
    make: type[Any] = importlib.import_module("shoal.client.client").TaskClient
    client: ClientContext = make(
        worker.scheduler_address,
        loop=worker.loop,
        security=worker.security,
        name="worker",
        set_as_default=False,
        **({} if timeout is None else {"timeout": timeout}),
    )
    return client
