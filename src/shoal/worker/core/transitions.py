"""The life of a task's run on a worker, from `Compute` to its one answer.

======================  ============================================================
state                   meaning
======================  ============================================================
``waiting``             dependencies are being fetched, or computed here
``constrained``         dependencies are here, resources are taken by other runs
``held``                as ``constrained``, and memory is short for it (see admission.py)
``ready``               handed to the executor: in its ready queue or on a thread
``returning``           as ``ready``, and the scheduler wants it back if it did not start
``recalled``            as ``ready``, and memory became short: it is held if it did not start
``long-running``        it seceded from the executor's threads
``orphaned``            freed while with the executor; nobody hears of its end
``ended``               answered, or freed
======================  ============================================================

Resources are taken while a run is in `HOLDING`. The runs in `s.tasks` are in any state but the last
two; the orphaned ones are in `s.orphans`.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING, Literal

from shoal._base.resources import offered
from shoal.wire import messages as m
from shoal.worker.core.budget import hold, requested
from shoal.worker.core.fetch import forget_missing, holds, let_go, named, note_missing, try_next
from shoal.worker.core.in_place import inputs_brought, places_in_place
from shoal.worker.core.state import MissingKey, Need, RunState, TaskRun

if TYPE_CHECKING:
    from shoal.wire.messages import Compute
    from shoal.worker.core.state import WorkerState

__all__ = [
    "HOLDING",
    "TRANSITIONS",
    "WITH_EXECUTOR",
    "add_run",
    "add_runs",
    "computes",
    "end_run",
    "free_run",
    "give_up",
    "give_up_other_life",
    "give_up_unmade",
    "held_back",
    "missing_inputs",
    "set_resources",
    "start_or_wait",
    "take_out_stillborn",
]

TRANSITIONS: dict[RunState | Literal["new"], tuple[RunState, ...]] = {
    "new": ("waiting", "constrained", "held", "ready", "ended"),
    "waiting": ("constrained", "held", "ready", "ended"),
    "constrained": ("waiting", "held", "ready", "ended"),
    "held": ("waiting", "ready", "ended"),
    "ready": ("returning", "recalled", "long-running", "waiting", "orphaned", "ended"),
    "returning": ("ready", "long-running", "waiting", "orphaned", "ended"),
    "recalled": ("ready", "returning", "long-running", "waiting", "orphaned", "ended"),
    "long-running": ("orphaned", "ended"),
    "orphaned": ("ended",),
}
"""Where a run can go from each state; `invariants.py` and the tests hold the code to it."""

WITH_EXECUTOR: frozenset[RunState] = frozenset({"ready", "returning", "recalled", "long-running"})
_ROUNDING = 1e-9  # resources may be fractions, summed up and down many times

HOLDING: frozenset[RunState] = WITH_EXECUTOR | {"orphaned", "held"}


def add_run(s: WorkerState, compute: Compute) -> None:
    """Take on a run. An older one of the same key makes way: the scheduler has given it up."""
    key = compute.key
    old = s.tasks.get(key)
    if old is not None:
        if old.run == compute.run:
            return  # it was said before
        free_run(s, old)
    if s.orphans and (key, compute.run) in s.orphans:
        return  # and freed since
    if key in s.data:  # the scheduler would not compute it if it knew of this copy
        del s.data[key]
        s.also.pop(key, None)
        s.scattered.pop(key, None)
        s.effects.drop.append(key)
    task = s.tasks[key] = TaskRun(compute, key, compute.run)
    options = compute.options
    if options is not None and options.resources:
        task.need = tuple(sorted(options.resources.items()))
        if requested(task):
            s.requests += 1
    if compute.deps:
        start_or_wait(s, task)
    elif task.need or s.guard is not None:
        _constrain_or_execute(s, task)
    else:
        s.effects.execute.append(task)  # by far the most frequent case; its state is "ready"


def add_runs(s: WorkerState, message: m.ComputeMany) -> None:
    """Take on many runs: `add_run` of each."""
    keys = message.keys
    fresh = dict(zip(keys, computes(message), strict=True))
    if (
        len(fresh) == len(keys)
        and s.tasks.keys().isdisjoint(keys)
        and s.data.keys().isdisjoint(keys)
        and not (s.orphans and any((key, c.run) in s.orphans for key, c in fresh.items()))
    ):
        runs = [TaskRun(compute, key, compute.run) for key, compute in fresh.items()]
        s.tasks.update(zip(keys, runs, strict=True))
        if s.guard is None:
            s.effects.execute += runs
        else:
            for run in runs:
                hold(s, run)
        return
    for compute in computes(message):
        add_run(s, compute)


def computes(message: m.ComputeMany) -> list[Compute]:
    """Return the tasks that a message of many stands for."""
    function, duration, wanted = message.function, message.duration, message.wanted
    life = message.life
    rows = zip(message.keys, message.args, message.priorities, strict=True)
    return [
        # By position: keywords take half as long again.
        m.Compute(
            key, run, function, args, priority, duration, wanted, (), (), (), (), None, (), life
        )
        for run, (key, args, priority) in enumerate(rows, message.first_run)
    ]


def start_or_wait(s: WorkerState, task: TaskRun, follow: bool = True) -> None:
    """Execute a run whose dependencies are here; fetch them, or say that nobody has them.

    Where all that are not here are computed by runs that are with the executor, it has this run
    `follow` them.
    """
    compute = task.compute
    missing = missing_inputs(s, compute)
    if not missing:
        _constrain_or_execute(s, task)
        return
    if follow and not task.need and s.guard is None:
        leaders = _leaders(s, compute, missing)
        if leaders:
            task.state = "ready"
            s.effects.execute.append(task)
            s.effects.after[task] = leaders
            return
    task.state = "waiting"
    hopeless: list[MissingKey] = []
    for i in missing:
        dep = compute.deps[i]
        nbytes = compute.dep_nbytes[i] if compute.dep_nbytes else 0
        holders = compute.dep_holders[i] if compute.dep_holders else []
        life = compute.dep_lives[i] if compute.dep_lives else compute.life
        give_up_other_life(s, dep, life)
        found = note_missing(s, dep, nbytes, holders, compute.priority, life)
        if task not in found.tasks:
            found.tasks[task] = None
            task.lacking += 1
        if found.peer is None and not found.waits_for_retry and not found.here:
            hopeless.append(found)
    if hopeless:
        give_up(s, task, hopeless)


def give_up_other_life(s: WorkerState, key: str, life: int) -> None:
    """A run that waits for another life of a key waits for something that is over."""
    item = s.missing_keys.get(key)
    if item is None or item.life == life:
        return
    for task in list(item.tasks):
        give_up(s, task, [item])
    if s.missing_keys.get(key) is item:
        forget_missing(s, item)


def _leaders(s: WorkerState, compute: Compute, missing: list[int]) -> tuple[TaskRun, ...]:
    """Return the plain runs with the executor that compute what is missing, if all have one."""
    leaders: list[TaskRun] = []
    if compute.options is not None:
        return ()
    for i in missing:
        run = s.tasks.get(compute.deps[i])
        if compute.dep_holders and compute.dep_holders[i]:
            return ()
        if run is None or run.state != "ready" or run.compute.options is not None:
            return ()
        leaders.append(run)
    return tuple(leaders)


def give_up_unmade(s: WorkerState) -> None:
    """Runs ended without their results: go elsewhere for these, or give up what waits for them.

    At the end of an event, for a run may have made way for a newer one of its key.
    """
    for key in s.unmade:  # it grows by those that are given up
        item = s.missing_keys.get(key)
        if item is None or not item.here or key in s.tasks:
            continue
        item.here = False
        if try_next(s, item):
            continue
        for task in list(item.tasks):
            give_up(s, task, [item])
        if s.missing_keys.get(key) is item:
            if item.acquire:
                s.missed.append((key, item.life))
            forget_missing(s, item)
    s.unmade.clear()


def missing_inputs(s: WorkerState, compute: Compute) -> list[int]:
    """Return which dependencies are neither here nor came with the message."""
    data = s.data
    life = compute.life
    lives = compute.dep_lives
    missing: list[int] = []
    for i, dep in enumerate(compute.deps):
        if lives:
            life = lives[i]
        found = data.get(dep)
        if found is None or (found[2] != life and not holds(s, dep, life)):
            missing.append(i)
    if compute.dep_values and missing:
        missing = [i for i in missing if compute.dep_values[i] is None]
    if missing and compute.options is not None and compute.options.in_place:
        places = places_in_place(compute.options.in_place)
        return [i for i in missing if i not in places]
    return missing


def give_up(s: WorkerState, task: TaskRun, hopeless: list[MissingKey]) -> None:
    """Drop a run whose dependencies cannot be had, and say so."""
    end_run(s, task)
    s.effects.send.append(
        m.MissingDeps(
            task.key,
            task.run,
            [item.key for item in hopeless],
            [item.absent for item in hopeless],
            [item.unreachable for item in hopeless],
            named([item.life for item in hopeless]),
        )
    )


def free_run(s: WorkerState, task: TaskRun) -> None:
    """No task or client needs this run any more: its end is not reported."""
    if task.state in WITH_EXECUTOR:
        del s.tasks[task.key]
        if task.key in s.missing_keys:
            s.unmade.append(task.key)
        task.state = "orphaned"
        s.orphans[task.key, task.run] = task
        s.effects.discard.append(task)
        if task.key not in s.data:
            s.effects.drop.append(task.key)  # its result may be in the store already
    else:
        end_run(s, task)


def take_out_stillborn(s: WorkerState) -> None:
    """Hand none of the runs to the executor that were assigned and freed in one event."""
    effects = s.effects
    stillborn = set(effects.execute).intersection(effects.discard)
    if stillborn:
        effects.execute = [task for task in effects.execute if task not in stillborn]
        effects.discard = [task for task in effects.discard if task not in stillborn]
        for task in stillborn:
            end_run(s, task)


def end_run(s: WorkerState, task: TaskRun) -> None:
    """Take a run out of all books, whatever its state was."""
    before = task.state
    task.state = "ended"
    if s.limits:
        s.limits.pop(task.run, None)
    if before == "orphaned":
        del s.orphans[task.key, task.run]
    else:
        del s.tasks[task.key]
        if task.key in s.missing_keys:
            s.unmade.append(task.key)
        if before == "waiting":
            let_go(s, task)
    if s.guard is not None:
        s.guard.ended(task)
    if task.need:
        if requested(task):
            s.requests -= 1
        if before in HOLDING:
            _return_resources(s, task.need)


def held_back(s: WorkerState, task: TaskRun) -> None:
    """The executor could not start a run: dependencies were not in the store.

    They were freed after the run was handed over, or their spill file cannot be read; the store
    tells of the latter by itself.
    """
    task.state = "waiting"
    s.limits.pop(task.run, None)  # its time begins when it does
    if s.guard is not None:
        s.guard.ended(task)
    if task.need:
        _return_resources(s, task.need)
    start_or_wait(s, task, follow=False)  # the run it followed did not end well, or not yet


# ------------------------------------------------------------------------------ resources


def _constrain_or_execute(s: WorkerState, task: TaskRun) -> None:
    need = task.need
    if need and not _take_resources(s, need):
        task.state = "constrained"
        s.serial += 1  # first come, first served
        heappush(s.constrained.setdefault(need, []), (task.compute.priority, s.serial, task))
        return
    _execute(s, task)


def _execute(s: WorkerState, task: TaskRun) -> None:
    if s.guard is not None:
        hold(s, task)
        return
    if s.budget.on_disk and task.compute.deps:
        s.budget.on_disk.difference_update(inputs_brought(task.compute))  # it reads them
    task.state = "ready"
    s.effects.execute.append(task)


def _take_resources(s: WorkerState, need: Need) -> bool:
    available = s.available
    for name, amount in need:
        if available.get(name, 0.0) < amount - _ROUNDING:
            return False
    for name, amount in need:
        available[name] -= amount
    return True


def set_resources(s: WorkerState, resources: dict[str, float]) -> None:
    """Have other resources; runs keep what they took."""
    resources = offered(resources, s.settings.memory_limit)
    for name in {**s.resources, **resources}:
        more = resources.get(name, 0.0) - s.resources.get(name, 0.0)
        s.available[name] = s.available.get(name, 0.0) + more
    s.resources = resources
    _return_resources(s, ())


def _return_resources(s: WorkerState, need: Need) -> None:
    """Give resources back and start the best of those that wait for some and fit now."""
    for name, amount in need:
        s.available[name] += amount
    passed: set[Need] = set()
    while True:
        best: Need | None = None
        for other, heap in s.constrained.items():
            while heap and heap[0][2].state != "constrained":
                heappop(heap)
            if not heap or other in passed:
                continue
            if best is None or heap[0] < s.constrained[best][0]:
                best = other
        if best is None:
            break
        task = s.constrained[best][0][2]
        if missing_inputs(s, task.compute):
            heappop(s.constrained[best])
            start_or_wait(s, task)
        elif _take_resources(s, best):
            heappop(s.constrained[best])
            _execute(s, task)
        else:
            passed.add(best)
    for other in [other for other, heap in s.constrained.items() if not heap]:
        del s.constrained[other]
