"""`get_client` and `default_client`: the client that a user's code is given where it names none.

Which one that is, `current` and `in_task` know. Needs of `Client` itself do not belong here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.client.client import Client
from shoal.client.current import current_client
from shoal.client.in_task.task_client import client_of_task
from shoal.comm.addressing import normalize_address

if TYPE_CHECKING:
    from shoal.client.session.context import ClientContext

__all__ = ["default_client", "get_client"]


def default_client(c: Client | None = None) -> Client:
    """Return a client: `c` when it is given, else the current one.

    Raises
    ------
    ValueError
        When there is none.
    """
    return _whole(current_client()) if c is None else c


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
    of_task = client_of_task(address, timeout)
    if of_task is not None:
        return _whole(of_task)
    try:
        found = current_client()
    except ValueError:
        if address is None:
            raise ValueError(
                "no client here: this is not a task, and no Client was made before"
            ) from None
    else:
        if address is None or (found.scheduler and found.scheduler.address == address):
            return _whole(found)
    return Client(address) if timeout is None else Client(address, timeout=timeout)


def _whole(found: ClientContext) -> Client:
    """Return what parts of a client know as a `ClientContext` by the name that users know."""
    assert isinstance(found, Client)
    return found
