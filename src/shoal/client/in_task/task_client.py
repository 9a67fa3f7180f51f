"""The client inside a task: one for each worker, made when a task first asks for it.

The worker keeps it as `client_of_tasks`, and closes it when it closes itself.
"""

from __future__ import annotations

import importlib
import sys
import threading
from typing import TYPE_CHECKING, Any

from shoal.client.current import current_client
from shoal.comm.addressing import normalize_address

if TYPE_CHECKING:
    from shoal.client.client import Client

__all__ = ["client_here", "client_of", "get_client", "worker_here"]

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


def get_client(
    address: str | None = None, timeout: float | str | None = None, resolve_address: bool = True
) -> Client:
    """Return a client: inside a task, one that is connected to the scheduler of its worker.

    Parameters
    ----------
    address : str, optional
        Of another scheduler.
    timeout : float or str, optional
        Seconds to connect; ``distributed.comm.timeouts.connect`` by default.
    resolve_address : bool
        Whether to bring `address` into its usual form before it is compared.

    Raises
    ------
    ValueError
        When this is not a task, and there is no client to the address.

    Examples
    --------
    >>> def f():
    ...     client = get_client(timeout="10s")
    ...     return sum(client.gather(client.map(lambda x: x + 1, range(10))))
    """
    if address is not None and resolve_address:
        address = normalize_address(address)
    worker = worker_here()
    if worker is not None and address in (None, worker.scheduler_address):
        client = client_of(worker, timeout)
        if not client.asynchronous:
            client.sync(client._started)
        return client
    try:
        found = current_client()
    except ValueError:
        if address is None:
            raise ValueError(
                "no client here: this is not a task, and no Client was made before"
            ) from None
    else:
        if address is None or (found.scheduler and found.scheduler.address == address):
            return found
    return _new_client("Client", address, timeout=timeout)


def client_here() -> Client:
    """Return the client that a future belongs to that is unpickled here."""
    try:
        return current_client(allow_global=False)
    except ValueError:
        worker = worker_here()
        return get_client() if worker is None else client_of(worker, None)


def client_of(worker: Any, timeout: float | str | None = None) -> Client:
    """Return the client of the tasks of a worker, made at first use."""
    # Nobody waits under the lock: the loop may want it, too, and is what others wait for.
    with _lock:
        client: Client | None = worker.client_of_tasks
        if client is None or client.status in ("closing", "closed"):
            client = worker.client_of_tasks = _new_client(
                "TaskClient",
                worker.scheduler_address,
                timeout=timeout,
                loop=worker.loop,
                security=worker.security,
                name="worker",
                set_as_default=False,
            )
            client._session.stores.own = worker.address
    return client


def _new_client(kind: str, address: Any, **kwargs: Any) -> Client:
    # Clients make futures, and futures that are unpickled make clients: one import comes late.
    make: type[Client] = getattr(importlib.import_module("shoal.client.client"), kind)
    if kwargs.get("timeout") is None:
        kwargs.pop("timeout", None)
    return make(address, **kwargs)
