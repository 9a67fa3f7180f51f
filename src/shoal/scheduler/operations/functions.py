"""Users' functions in the scheduler's process: the one place where it unpickles what clients
send.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal import config
from shoal.comm.running import run_on
from shoal.wire.blob import Blob

if TYPE_CHECKING:
    from shoal.scheduler.scheduler import Scheduler

__all__ = ["run_function"]


async def run_function(
    scheduler: Scheduler,
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
