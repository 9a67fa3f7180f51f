"""All questions by name, and how one is answered."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from shoal import config
from shoal._base.within import within
from shoal.dashboard.questions import activity, changes, cluster, graph, shuffles, tasks, workers

if TYPE_CHECKING:
    from shoal.scheduler.scheduler import Scheduler

__all__ = ["CHANGES", "QUESTIONS", "answer", "changes_are_allowed"]

# Seconds that workers may take to answer what only they know.
_TIMEOUT = 30.0

QUESTIONS: dict[str, Callable[..., Any]] = {
    "around_tasks": shuffles.around_tasks,
    "call_stacks": activity.call_stacks,
    "code": cluster.code,
    "counters": cluster.counters,
    "events": cluster.events,
    "exceptions": tasks.exceptions,
    "fine": shuffles.fine,
    "gpus": workers.gpus,
    "graph": graph.graph,
    "groups": graph.groups,
    "hardware": workers.hardware,
    "logs": activity.logs,
    "memory": cluster.memory_by_prefix,
    "monitors": workers.monitors,
    "profile": activity.profile,
    "search": tasks.search,
    "shuffles": shuffles.shuffles,
    "system": cluster.system,
    "task": tasks.task,
    "why": tasks.why,
    "worker": workers.worker,
}

# Questions that change the cluster: only where `shoal.dashboard.actions` allows it.
CHANGES: dict[str, Callable[..., Any]] = {
    "cancel": changes.cancel,
    "restart": changes.restart,
    "restart_worker": changes.restart_worker,
    "retire": changes.retire,
    "scale": changes.scale,
}


def changes_are_allowed() -> bool:
    """Whether viewers may change the cluster."""
    return config.get_bool("shoal.dashboard.actions")


async def answer(scheduler: Scheduler, name: str, arguments: Mapping[str, Any]) -> Any:
    """Answer a viewer.

    Raises
    ------
    ValueError
        For a question that there is none of, or arguments that it does not take.
    PermissionError
        For a change that the configuration does not allow.
    """
    function = QUESTIONS.get(name)
    if function is None:
        function = CHANGES.get(name)
        if function is None:
            raise ValueError(f"there is no question {name!r}")
        if not changes_are_allowed():
            raise PermissionError(
                f"{name!r} changes the cluster; the configuration shoal.dashboard.actions of the "
                "scheduler allows it when it is true"
            )
    try:
        inspect.signature(function).bind(scheduler, **arguments)
    except TypeError as error:
        raise ValueError(f"{name!r}: {error}") from None
    found = function(scheduler, **arguments)
    if not inspect.isawaitable(found):
        return found
    try:
        return await within(found, _TIMEOUT)
    except TimeoutError:
        raise ValueError(
            f"{name!r} was not answered within {_TIMEOUT:.0f} s: a worker may hang"
        ) from None
