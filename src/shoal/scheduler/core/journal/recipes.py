"""How a task is run, for a journal: tasks in values, and tasks nobody waits for. And plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.scheduler.core.journal.recorder import FUNCTION, PLUGIN, TASK, Recorder

if TYPE_CHECKING:
    from shoal.scheduler.core.state import TaskState
    from shoal.wire.blob import Blob

__all__ = ["describe_blob", "describe_task", "note_life", "note_plugin", "record_task", "remember"]


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


def describe_blob(blob: Blob) -> tuple[Any, ...]:
    """Return the entry of a pickle."""
    return (blob.data, [buffer.data for buffer in blob.buffers])


def note_plugin(recorder: Recorder, key: tuple[str, str], plugin: Blob | None) -> None:
    """Note that a plugin was registered, or taken back: None."""
    if plugin is None:
        recorder.drop(PLUGIN, key)
    else:
        recorder.put(PLUGIN, key, describe_blob(plugin))


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
            recorder.put(FUNCTION, function.id, describe_blob(function.blob))
    if before is not None and before[1] != id:
        recorder.release(before[1])
    recorder.put(TASK, ts.serial, describe_task(ts))
