"""The threads of a simulated worker: a ready queue, runs in virtual time, a store of values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, NamedTuple

from shoal._base.keys import without_life
from shoal.simulation.limited import ENDLESS, Interruptions
from shoal.simulation.model import USERS_ERROR, Spec, name_of
from shoal.simulation.reading import read_sources
from shoal.simulation.store import Store
from shoal.wire.blob import Blob
from shoal.wire.failures import Failure
from shoal.worker.core import Outcome, Outcomes, Seceded, Started, TaskRun

if TYPE_CHECKING:
    from shoal.simulation.worker_node import WorkerNode

__all__ = ["Executor"]


class Functions(dict[bytes, Blob]):
    """The functions that runs call, by id."""

    def define(self, function: bytes, blob: Blob) -> None:
        """Keep a function."""
        self[function] = blob

    def forget(self, function: bytes) -> None:
        """Drop a function."""
        self.pop(function, None)


class _Running(NamedTuple):
    """A run that began."""

    since: float
    spec: Spec
    inputs: list[Any]
    on_thread: bool


class Executor:
    """Runs what the core hands over, in priority order, on a few virtual threads.

    Real threads go on while the worker's loop carries out effects. So here, too, a run may begin or
    end between any two of them.
    """

    def __init__(self, node: WorkerNode, nthreads: int) -> None:
        self.node = node
        self.nthreads = nthreads
        self.busy = 0
        self.paused = False
        self.functions = Functions()
        self.store = Store(self._is_actor, self._lost)
        self.actors: dict[str, int] = {}  # that were made here, and how often they were called
        self.running: dict[TaskRun, _Running] = {}
        self._discarded: dict[TaskRun, None] = {}  # runs whose result is to be thrown away
        self._queued: dict[TaskRun, None] = {}  # runs in the ready queue that were not taken back
        self._ready: list[tuple[tuple[float, int, int], int, TaskRun]] = []
        self._after: dict[TaskRun, set[TaskRun]] = {}  # by run: the unfinished runs that it follows
        self._outcomes: list[Outcome] = []
        self._given_back: set[str] = set()  # keys of runs taken back: their followers miss them
        self._alone: TaskRun | None = None  # runs in quarantine: nothing else may begin
        self._interruptions = Interruptions(self)

    @property
    def idle(self) -> bool:
        """Whether nothing runs and all was said."""
        return not self.running and not self._outcomes

    def _is_actor(self, key: str) -> bool:
        return self.node.cluster.model.specs[key].kind == "actor"

    def _lost(self, keys: list[str]) -> None:
        self.node.later(0.0, self.node.found_lost, keys)  # not while the core is at work

    def call_actor(self, key: str) -> int:
        """Return which call of an actor this is, 0 when it does not live here."""
        if key not in self.actors or key not in self.store:
            return 0
        self.actors[key] += 1
        return self.actors[key]

    def long_ones(self) -> dict[str, float]:
        """Return the keys that run for over a second, and for how long."""
        now = self.node.cluster.clock.now
        since = {task.key: run.since for task, run in self.running.items()}
        return {key: now - start for key, start in since.items() if now - start > 1.0}

    # -- ports of the applier ------------------------------------------------------

    def put(self, key: str, value: bytes, nbytes: int) -> None:
        """Store a value."""
        self._go_on()
        self.store.put(key, value, nbytes)

    def drop(self, keys: Iterable[str]) -> None:
        """Forget values."""
        self._go_on()
        self.store.drop(keys)

    def submit(self, runs: list[TaskRun], after: Mapping[TaskRun, tuple[TaskRun, ...]]) -> None:
        """Put runs into the ready queue, some of them not before others have ended."""
        self.node.cluster.coverage.handed_over(runs)
        for task in runs:
            self._queued[task] = None
        for task in runs:
            leaders = {
                run for run in after.get(task, ()) if run in self._queued or run in self.running
            }
            if leaders:
                self._after[task] = leaders
            else:
                heappush(self._ready, (task.compute.priority, task.run, task))
        if self.node.cluster.rng.random() < 0.5:
            self.start_some()
            self._go_on()
        else:
            self.node.later(0.0, self.start_some)

    def revoke(self, tasks: list[TaskRun]) -> tuple[list[TaskRun], list[TaskRun]]:
        """Take back what did not start; return it and the rest."""
        self._go_on()
        return self._take_back(tasks)

    def discard(self, tasks: list[TaskRun]) -> tuple[list[TaskRun], list[TaskRun]]:
        """Take back what did not start, and store no result of the rest; return both."""
        self._go_on()
        revoked, kept = self._take_back(tasks)
        self._discarded.update(dict.fromkeys(task for task in kept if task in self.running))
        return revoked, kept

    def interrupt(self, tasks: list[TaskRun]) -> list[tuple[TaskRun, str, float]]:
        """Stop the code of runs; return those under way, where each was, and for how long."""
        self._go_on()
        return self._interruptions.stop(tasks)

    def abandon(self, tasks: list[TaskRun]) -> None:
        """Give the threads of runs that do not stop to others."""
        for task in tasks:
            running = self.running.get(task)
            if running is not None and running.on_thread:
                self.busy -= 1
                self.running[task] = running._replace(on_thread=False)
                self._leave_quarantine(task)
        self.start_some()

    def pause(self) -> None:
        """Start nothing."""
        self.paused = True

    def resume(self) -> None:
        """Go on."""
        self.paused = False
        self.start_some()

    def _go_on(self) -> None:
        """Perhaps let a run end while the loop is at work."""
        rng = self.node.cluster.rng
        if self.running and rng.random() < 0.2:
            task = rng.choice(list(self.running))
            # A process that dies here would go on with the effects.
            if self.running[task].spec.kind not in ("secede", "deadly", *ENDLESS):
                self.end(task)

    # -- threads -------------------------------------------------------------------

    def _take_back(self, tasks: list[TaskRun]) -> tuple[list[TaskRun], list[TaskRun]]:
        revoked, kept = [], []
        for task in tasks:
            if task in self._queued:
                del self._queued[task]
                self._after.pop(task, None)
                self._has_ended(task)
                self._given_back.add(task.key)
                revoked.append(task)
            else:
                kept.append(task)
        return revoked, kept

    def _has_ended(self, leader: TaskRun) -> None:
        """The runs that followed one may begin."""
        for task in [task for task, leaders in self._after.items() if leader in leaders]:
            self._after[task].discard(leader)
            if not self._after[task]:
                del self._after[task]
                heappush(self._ready, (task.compute.priority, task.run, task))
                self.node.later(0.0, self.start_some)

    def start_some(self) -> None:
        """Let free threads take runs."""
        while self.busy < self.nthreads and self._ready and not self.paused and not self._alone:
            options = self._ready[0][2].compute.options
            if options is not None and options.alone and self._ready[0][2] in self._queued:
                if self.busy:
                    return
                self._alone = self._ready[0][2]
            task = heappop(self._ready)[2]
            if task in self._queued:
                del self._queued[task]
                self._start(task)

    def _start(self, task: TaskRun) -> None:
        node = self.node
        compute = task.compute
        key = compute.args.decode()
        assert without_life(task.key) == name_of(key), f"{task} got the arguments of another"
        spec = node.cluster.model.specs[key]
        assert compute.function in self.functions, f"{task} runs a function that is not known"
        needed = [without_life(node.cluster.model.wire(dep)) for dep in spec.deps]
        assert [without_life(dep) for dep in compute.deps] == needed, f"{task} got {compute.deps}"
        given = list(compute.dep_values or (None,) * len(spec.deps))
        read, unread = read_sources(node, compute)
        if unread:
            self._leave_quarantine(task)
            self._given_back.add(task.key)
            self._has_ended(task)
            self._tell(Outcome(task.key, task.run, "unread", unread=unread))
            return
        for i, value in read.items():
            given[i] = value
        found = [
            (dep, self.store.get(dep) if value is None else value)
            for dep, value in zip(compute.deps, given, strict=True)
        ]
        inputs = [value for _, value in found if value is not None]
        if len(inputs) < len(found):
            missing = [dep for dep, value in found if value is None]
            self._leave_quarantine(task)
            profile = node.cluster.profile
            calm = profile.kind == "calm" and not (profile.churn or profile.quirks)
            known = not calm or self._given_back.issuperset(missing)
            assert known, f"{task} was handed over without {missing}, and nothing was lost"
            self._given_back.add(task.key)  # runs that follow this one miss its key, too
            self._has_ended(task)
            self._tell(Outcome(task.key, task.run, "missing", missing=tuple(missing)))
            return
        self.running[task] = _Running(node.cluster.clock.now, spec, inputs, True)
        self.busy += 1
        node.cluster.started(node, spec)
        seconds = spec.seconds * node.slowness
        if compute.options is not None and compute.options.timeout:
            node.later(0.0, node.handle, Started(task.key, task.run, 0.0))
        if spec.kind in ENDLESS:
            return
        if spec.kind == "secede":
            node.later(seconds * 0.3, self._secede, task, seconds)
        else:
            node.later(seconds, self.end, task)

    def _secede(self, task: TaskRun, seconds: float) -> None:
        self.busy -= 1
        self.running[task] = self.running[task]._replace(on_thread=False)
        self._leave_quarantine(task)
        self.node.handle(Seceded(task.key, task.run, seconds * 0.3))
        self.node.later(seconds * 0.7, self.end, task)
        self.start_some()

    def _leave_quarantine(self, task: TaskRun) -> None:
        if self._alone is task:
            self._alone = None

    def end(self, task: TaskRun) -> None:
        """A run comes to its end."""
        if task not in self.running:
            return  # it ended while the loop was at work
        if self.running[task].spec.kind == "deadly":
            self.running[task].spec.ended += 1
            self.node.slot.kill(by=task.key)
            return
        _, spec, inputs, on_thread = self.running.pop(task)
        self._leave_quarantine(task)
        discarded = task in self._discarded
        self._discarded.pop(task, None)
        if on_thread:
            self.busy -= 1
        node = self.node
        stop = node.cluster.clock.now
        outcome = Outcome(task.key, task.run, "ok", stop - spec.seconds * node.slowness, stop)
        stopped = self._interruptions.stopped.pop(task, None)
        if stopped is not None:
            outcome.kind, outcome.failure = "error", stopped
        elif spec.kind == "error" or (spec.kind == "flaky" and spec.ended < spec.times):
            spec.ended += 1
            outcome.kind = "error"
            failure = node.cluster.model.failure(task.key)
            outcome.failure = Failure(failure, Blob(b"traceback"), f"user error of {task.key}", "")
            outcome.failure.kinds = [USERS_ERROR]
            spec.note_failure(stop)
        elif spec.kind == "reschedule" and spec.ended < spec.times:
            spec.ended += 1
            outcome.kind = "reschedule"
        else:
            spec.completed += 1
            value = node.cluster.model.compute(spec.key, inputs)
            outcome.nbytes = spec.nbytes
            outcome.type = "int" if spec.nbytes < 100 else "array"
            if not discarded:
                self.store.put(task.key, value, spec.nbytes)
                if spec.kind == "actor":
                    self.actors[task.key] = 0
                    spec.home = node.address
                if spec.nbytes < 100 or (task.compute.wanted and spec.nbytes <= 1024):
                    outcome.value = value
        if discarded:
            outcome.kind = "discarded"
        self._tell(outcome)
        self._has_ended(task)
        self.start_some()

    def _tell(self, outcome: Outcome) -> None:
        """Outcomes reach the loop in batches, a moment later."""
        if not self._outcomes:
            self.node.later(self.node.cluster.rng.choice([0.0, 1e-5, 1e-3]), self._deliver)
        self._outcomes.append(outcome)

    def _deliver(self) -> None:
        outcomes, self._outcomes = self._outcomes, []
        self.node.handle(Outcomes(outcomes))
