"""Users' functions in the scheduler's process: the one place where it unpickles what clients
send.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from shoal import config
from shoal.comm.addressing import get_address_host
from shoal.comm.function_calls import run_on
from shoal.comm.stream_messages import receive
from shoal.diagnostics.kernel import start_kernel
from shoal.wire.blob import Blob
from shoal.wire.pickling import loads

if TYPE_CHECKING:
    from shoal.scheduler.context import SchedulerContext

__all__ = ["open_pickle", "run_function", "start_ipython", "stream_messages"]


async def run_function(
    scheduler: SchedulerContext,
    function: Blob,
    args: Blob | None = None,
    kwargs: Blob | None = None,
    wait: bool = True,
) -> dict[str, Any]:
    """Call a function here; it gets the scheduler as `dask_scheduler` where it takes that."""
    if not config.get_bool("distributed.scheduler.pickle"):
        raise ValueError(
            "this scheduler runs no functions of clients: its configuration "
            "'distributed.scheduler.pickle' is false"
        )
    return await run_on(scheduler, "dask_scheduler", function, args, kwargs, wait)


def open_pickle(data: Any, what: str) -> Any:
    """Return an object that a client sent pickled.

    Parameters
    ----------
    data : Blob, Serialized or bytes
        The object.
    what : str
        Refused where the configuration forbids the scheduler to unpickle.

    Raises
    ------
    ValueError
        When it does.
    """
    if not config.get_bool("distributed.scheduler.pickle"):
        raise ValueError(
            f"this scheduler {what}: its configuration 'distributed.scheduler.pickle' is false"
        )
    blob = Blob(data) if isinstance(data, bytes) else getattr(data, "blob", data)
    return loads(blob)


def stream_messages(
    scheduler: SchedulerContext, messages: list[dict[str, Any]], sender: str
) -> None:
    """Call the scheduler's stream handlers that a worker's messages name."""
    receive(scheduler, messages, worker=sender)


async def start_ipython(scheduler: SchedulerContext) -> dict[str, Any]:
    """Start an IPython kernel in this process; return what is needed to connect to it."""
    if not config.get_bool("distributed.scheduler.pickle"):
        raise ValueError(
            "this scheduler runs no code of clients: its configuration "
            "'distributed.scheduler.pickle' is false"
        )
    host = get_address_host(scheduler.address) or "127.0.0.1"
    names = {"scheduler": scheduler, "dask_scheduler": scheduler}
    return await asyncio.to_thread(start_kernel, host, names)
