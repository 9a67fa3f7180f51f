"""What a scheduler does on request: operations of the open protocol, by name.

Each is a function whose first argument is the scheduler; the others are fields of the request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shoal.scheduler.operations import data, functions, information, membership

__all__ = ["OPERATIONS"]

OPERATIONS: dict[str, Callable[..., Any]] = {
    # what is known
    "who_has": information.who_has,
    "has_what": information.has_what,
    "nbytes": information.nbytes,
    "nthreads": information.nthreads,
    "ncores": information.nthreads,
    "processing": information.processing,
    "task_status": information.task_status,
    "explain": information.explain_task,
    "story": information.tell_story,
    "events": information.events,
    "log_event": information.log_event,
    "logs": information.logs,
    "versions": information.versions,
    # data
    "gather": data.gather,
    "scatter": data.scatter,
    # workers
    "broadcast": membership.broadcast,
    "close_worker": membership.close_worker,
    "retire_workers": membership.retire_workers,
    "restart": membership.restart,
    "restart_workers": membership.restart_workers,
    "terminate": membership.terminate,
    "worker_died": membership.worker_died,
    # users' functions
    "run_function": functions.run_function,
}
