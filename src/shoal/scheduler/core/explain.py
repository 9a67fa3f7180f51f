"""Why a task is where it is, in words a user understands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.scheduler.core.policies.restrictions import allowed_workers

if TYPE_CHECKING:
    from shoal.scheduler.core.state import SchedulerState, TaskState, WorkerState

__all__ = ["explain", "story"]

_NAMED = 3


def explain(s: SchedulerState, key: str) -> str:
    """Return one or a few sentences about the state of a task and its reason."""
    ts = s.tasks.get(key)
    if ts is None:
        return f"{key!r} is not known: it was never submitted, or it was released or cancelled."
    text = f"{key!r} {_STATES.get(ts.state, f'is {ts.state}')}: {_EXPLANATIONS[ts.state](s, ts)}"
    if ts.rare is not None and ts.rare.deaths:
        deaths = "; ".join(f"{worker}: {how}" for worker, how in ts.rare.deaths)
        text += f" Workers died while they ran it: {deaths}."
        if ts.rare.alone:
            text += " Other tasks ran there too, so it runs alone on its worker now."
    return text


def _names(tasks: list[TaskState]) -> str:
    text = ", ".join(repr(ts.key) for ts in tasks[:_NAMED])
    return text + (f" and {len(tasks) - _NAMED} more" if len(tasks) > _NAMED else "")


def _released(s: SchedulerState, ts: TaskState) -> str:
    if ts in s.recovery.awaited:
        return (
            "its data cannot be computed here; a worker that held it may come back with it, or a "
            "client may be about to define it."
        )
    return "nobody needs its result now; it is known because other tasks may need it again."


def _waiting(s: SchedulerState, ts: TaskState) -> str:
    missing = [dep for dep in ts.deps if dep.state != "memory"]
    if missing:
        text = f"{len(missing)} of its {len(ts.deps)} inputs are not there yet: {_names(missing)}."
        if ts.worker is not None:
            text += f" It was sent to {ts.worker.address} already, which computes them."
        return text
    if s.recovery.until is not None:
        expected = ", ".join(sorted(s.recovery.expected_workers)) or "workers and clients"
        return (
            f"the scheduler has just started and waits a few seconds for {expected} to come back."
        )
    return "its data could not be reached a moment ago; it will be sent again shortly."


def _no_worker(s: SchedulerState, ts: TaskState) -> str:
    if not s.workers:
        return "no worker is connected."
    allowed = allowed_workers(s, ts)
    if allowed is None or allowed:
        return (
            f"it takes about {ts.group.prefix.duration:.0f} s, and every worker that may run it "
            "ends before it could: it waits for one that has a longer lifetime or walltime left."
        )
    wishes = []
    if ts.options.workers:
        wishes.append(f"it may only run on {', '.join(ts.options.workers)}")
    if ts.options.resources:
        wishes.append(f"it needs the resources {ts.options.resources}")
    return f"{' and '.join(wishes)}; none of the {len(s.workers)} workers fits."


def _queued(s: SchedulerState, ts: TaskState) -> str:
    running = [ws for ws in s.workers.values() if ws.running]
    if not running:
        paused = [ws for ws in s.workers.values() if ws.status == "paused"]
        if not paused:
            return "all workers are paused or leaving."
        ws = paused[0]
        return (
            f"all workers are paused or leaving. {ws.address} is one {_paused(ws)}. Release "
            "results that you hold, give workers more memory, or start more of them."
        )
    if ts.worker is not None:
        n, address = len(ts.worker.processing), ts.worker.address
        return f"it waits for {address}, which is closest to its data and has {n} tasks already."
    return f"all {len(running)} workers have enough to do; {s.queue.size} tasks wait like it."


def _processing(s: SchedulerState, ts: TaskState) -> str:
    assert ts.worker is not None
    allowed = allowed_workers(s, ts)
    where = "" if allowed is None else f" (it may run on {len(allowed)} workers)"
    ahead = list(ts.worker.processing).index(ts)
    running = ts.worker.executing.get(ts.key)
    if running is not None:
        return f"it has been running on {ts.worker.address} for {running:.1f} s{where}."
    held = ts.worker.metrics.get("held", {}).get(ts.key)
    if held:
        return f"it is on {ts.worker.address}{where}, and {held}."
    if ts.worker.status == "paused":
        return f"it was sent to {ts.worker.address}{where}, {_paused(ts.worker)}."
    return f"it was sent to {ts.worker.address}{where}; {ahead} tasks were sent there before it."


def _paused(ws: WorkerState) -> str:
    """Say what a paused worker's memory is full of."""
    told = ws.metrics
    limit = ws.info.memory_limit
    memory, managed = told.get("memory", 0), told.get("managed_bytes", 0)
    return (
        f"which is paused: it takes {memory:,} bytes of its limit of {limit:,}, {managed:,} of "
        f"them results and {max(0, memory - managed):,} something else; "
        f"{told.get('spilled_bytes', 0):,} bytes of results are on disk"
    )


def _memory(s: SchedulerState, ts: TaskState) -> str:
    places = ", ".join(ws.address for ws in ts.who_has)
    return f"its result ({ts.type}, {ts.nbytes} bytes) is on {places}."


def _erred(s: SchedulerState, ts: TaskState) -> str:
    assert ts.rare is not None and ts.rare.error is not None
    error = ts.rare.error
    if ts.rare.blame != ts.key:
        return f"{ts.rare.blame!r}, which it needs, failed: {error.exception_text}."
    return f"on {error.worker or 'no worker'}: {error.exception_text}."


_EXPLANATIONS = {
    "released": _released,
    "waiting": _waiting,
    "no-worker": _no_worker,
    "queued": _queued,
    "processing": _processing,
    "memory": _memory,
    "erred": _erred,
}


_STATES = {"memory": "is done", "erred": "failed", "no-worker": "has no worker that may run it"}


def story(s: SchedulerState, names: list[str]) -> list[tuple[str, str, str, str, float]]:
    """Return the remembered transitions of keys, or of stimuli, oldest first.

    Each is (key, start, finish, stimulus, time).
    """
    wanted = set(names)
    return [entry for entry in s.log if entry[0] in wanted or entry[3] in wanted]
