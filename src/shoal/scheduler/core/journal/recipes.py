"""How a task is run, for a journal: those in values, and those that nobody waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.scheduler.core.journal.recorder import FUNCTION, TASK, Recorder

if TYPE_CHECKING:
    from shoal.scheduler.core.state import TaskState

__all__ = ["describe_task", "note_life", "record_task", "remember"]


def describe_task(ts: TaskState) -> tuple[Any, ...]:
    """Return the entry of a task: all that is needed to run it, but its function's pickle."""
    return (
        ts.key,
        ts.life,
        None if ts.function is None else ts.function.id,
        ts.args,
        [buffer.data for buffer in ts.buffers or ()],
        [dep.serial for dep in ts.deps],
        ts.options,
        ts.group.name,
        ts.group.prefix.name,
        ts.priority,
    )


def record_task(recorder: Recorder, ts: TaskState) -> None:
    """Note how a task is run, and all that it needs."""
    stack = [ts]
    while stack:
        ts = stack.pop()
        known = recorder.tasks.get(ts.serial)
        if known is not None and known[1] == (None if ts.function is None else ts.function.id):
            continue
        remember(recorder, ts)
        stack.extend(ts.deps)


def note_life(recorder: Recorder, ts: TaskState) -> None:
    """A task has another life, or another name: if it is recorded, say so."""
    if ts.serial in recorder.tasks:
        recorder.put(TASK, ts.serial, describe_task(ts))


def remember(recorder: Recorder, ts: TaskState) -> None:
    """Note how a task is run, and its function if no other has it."""
    function = ts.function
    id = None if function is None else function.id
    before = recorder.tasks.get(ts.serial)
    recorder.tasks[ts.serial] = (ts, id)
    if function is not None and (before is None or before[1] != id):
        count = recorder.functions.get(function.id, 0)
        recorder.functions[function.id] = count + 1
        if not count:
            blob = function.blob
            recorder.put(FUNCTION, function.id, (blob.data, [b.data for b in blob.buffers]))
    if before is not None and before[1] != id:
        recorder.release(before[1])
    recorder.put(TASK, ts.serial, describe_task(ts))
