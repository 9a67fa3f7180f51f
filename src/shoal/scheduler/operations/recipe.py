"""How a task is run, for those who run it again elsewhere to look at it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shoal.scheduler.context import SchedulerContext

__all__ = ["task_recipe"]


def task_recipe(
    scheduler: SchedulerContext, key: str, blamed: bool = False
) -> dict[str, Any] | None:
    """Return function, arguments and inputs of a task; None where none of them is known.

    Parameters
    ----------
    key : str
        The task.
    blamed : bool
        Whether the task is meant whose own run failed, where this one failed for want of it.

    Returns
    -------
    dict
        ``key``, ``function`` (a pickle), ``args`` and ``buffers`` (of the pickle of positional and
        keyword arguments), ``deps`` (keys of its inputs, in their order).
    """
    tasks = scheduler.state.tasks
    ts = tasks.get(key)
    if blamed and ts is not None and ts.rare is not None and ts.rare.blame:
        ts = tasks.get(ts.rare.blame)
    if ts is None or ts.function is None:
        return None
    return {
        "key": ts.key,
        "function": ts.function.blob,
        "args": ts.args,
        "buffers": list(ts.buffers or ()),
        "deps": [dep.key for dep in ts.deps],
    }
