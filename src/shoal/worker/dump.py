"""The whole state of a worker as plain data, for people who look for bugs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from shoal._base.versions import own_versions

if TYPE_CHECKING:
    from shoal.worker.context import WorkerContext
    from shoal.worker.core import TaskRun

__all__ = ["dump_state"]


def dump_state(worker: WorkerContext, exclude: Iterable[str] = ()) -> dict[str, Any]:
    """Return tasks, data, what is being fetched, logs; without the attributes in `exclude`."""
    s = worker.machine.state
    found = {
        **worker.identity(),
        "tasks": {key: _task(task) for key, task in s.tasks.items()},
        "data": {key: {"nbytes": n, "type": kind} for key, (n, kind, _) in s.data.items()},
        "lacking": {
            key: {
                "nbytes": missing.nbytes,
                "holders": list(missing.holders),
                "absent": list(missing.absent),
                "unreachable": list(missing.unreachable),
                "for": [task.key for task in missing.tasks],
            }
            for key, missing in s.missing_keys.items()
        },
        "paused": s.paused,
        "available_resources": dict(s.available),
        "executing": worker.pool.executing,
        "ready": worker.pool.ready,
        "memory": worker.memory(),
        "plugins": list(worker.plugin_host.plugins),
        "versions": own_versions(),
        "log": [list(record) for record in worker.log_buffer.tail(None)],
    }
    left_out = frozenset(exclude)
    return {name: value for name, value in found.items() if name not in left_out}


def _task(task: TaskRun) -> dict[str, Any]:
    return {
        "key": task.key,
        "state": task.state,
        "run": task.run,
        "priority": list(task.compute.priority),
        "dependencies": list(task.compute.deps),
        "lacking": task.lacking,
    }
