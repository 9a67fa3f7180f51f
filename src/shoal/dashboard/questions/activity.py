"""Questions about what runs: stacks, profiles, logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.diagnostics.profile import Tree, describe, merge
from shoal.scheduler.operations import activity
from shoal.scheduler.operations.membership import broadcast

if TYPE_CHECKING:
    from shoal.scheduler.scheduler import Scheduler

__all__ = ["call_stacks", "logs", "profile"]

_LINES = 500
_LEAST_SHARE = 0.0005  # of all samples: what is less wide than that cannot be seen


async def call_stacks(scheduler: Scheduler, key: str = "") -> dict[str, dict[str, list[str]]]:
    """Return what tasks execute at this moment, by worker and key."""
    return await activity.call_stack(scheduler, [str(key)] if key else None)


async def logs(scheduler: Scheduler, worker: str = "") -> list[list[str]]:
    """Return the last log records of a worker, or of the scheduler: (level, text)."""
    if not worker:
        return [list(record) for record in scheduler.log_buffer.tail(_LINES)]
    msg = {"op": "logs", "n": _LINES}
    answers = await broadcast(scheduler, msg, [str(worker)], on_error="ignore")
    return [list(record) for records in answers.values() for record in records]


async def profile(
    scheduler: Scheduler,
    own: bool = False,
    key: str = "",
    worker: str = "",
    start: float | None = None,
    stop: float | None = None,
) -> dict[str, Any]:
    """Return one tree of what was seen running, on all workers or on the scheduler's loop."""
    trees = await activity.profile(
        scheduler,
        key=str(key) or None,
        start=start,
        stop=stop,
        workers=[str(worker)] if worker else None,
        own=bool(own),
    )
    tree = describe(merge(trees.values()))
    return _small(tree, tree["count"] * _LEAST_SHARE)


def _small(tree: Tree, least: float) -> dict[str, Any]:
    told = tree["description"]
    children = sorted(tree["children"].values(), key=lambda child: -int(child["count"]))
    return {
        "name": told["name"] or "all",
        "where": f"{told['filename']}:{told['line_number']}" if told["filename"] else "",
        "line": told["line"],
        "count": tree["count"],
        "children": [_small(child, least) for child in children if child["count"] >= least],
    }
