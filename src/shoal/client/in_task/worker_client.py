"""`worker_client`: a client for a block of code in a task, which gives up its thread meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from shoal.client.finding import get_client
from shoal.task_context import away, get_worker

if TYPE_CHECKING:
    from shoal.client.client import Client

__all__ = ["local_client", "worker_client"]


@contextmanager
def worker_client(
    timeout: float | str | None = None, separate_thread: bool = True
) -> Iterator[Client]:
    """Have a client inside a task; another task may run in the place of this one meanwhile.

    Parameters
    ----------
    timeout : float or str, optional
        Seconds to connect; ``distributed.comm.timeouts.connect`` by default.
    separate_thread : bool
        Leave the worker's threads for the length of the block, and come back at its end. With
        False the task keeps its place, except while it waits for results.

    Raises
    ------
    ValueError
        Outside of tasks.

    See Also
    --------
    get_client, get_worker, secede

    Examples
    --------
    >>> def func(x):
    ...     with worker_client() as c:
    ...         a = c.submit(inc, x)
    ...         b = c.submit(dec, x)
    ...         a, b = c.gather([a, b])
    ...         return a + b
    """
    get_worker()  # raises where there is none
    client = get_client(timeout=timeout)
    with away() if separate_thread else nullcontext():
        yield client


def local_client(
    timeout: float | str | None = None, separate_thread: bool = True
) -> AbstractContextManager[Client]:
    """Do what `worker_client` does; this is its former name."""
    return worker_client(timeout, separate_thread)
