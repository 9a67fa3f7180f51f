"""The threads of a worker: one shared ready queue, and the outcomes on their way to the loop.

A thread ends one run and takes the next in one hold of the lock, so a queue of short tasks is
worked off without waking anybody. Outcomes go to a shared list at once, and the loop is woken
unless it is about to come anyway: short tasks are reported many at a time, and no outcome waits for
the end of another run. Runs are not taken in batches: one that turns out long would hold those
behind it. A thread without work parks on a lock of its own; who parked last is woken first.

The status of a run says where it is; it changes under the lock only.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

from shoal.worker.context import TaskContext, current
from shoal.worker.core import Outcome, TaskRun
from shoal.worker.executor.elsewhere import Elsewhere
from shoal.worker.executor.run import failed, prepare, succeeded

if TYPE_CHECKING:
    from shoal.worker.executor.functions import FunctionCache
    from shoal.worker.store import Store

__all__ = ["ThreadPool"]

logger = logging.getLogger("shoal.worker.executor")

QUEUED, STARTED, REVOKED, DISCARDED, ENDED = range(5)
_OWN = ("default", "offload")  # names of these threads


class ThreadPool:
    """Runs tasks on `nthreads` threads, by priority.

    All methods but `secede` and `rejoin` are called on the loop's thread; `close` on any.

    Parameters
    ----------
    nthreads : int
        Tasks that run at a time, besides those that seceded.
    functions : FunctionCache
        The functions of tasks.
    store : Store
        Inputs come from it, results go into it.
    loop : asyncio.AbstractEventLoop
        Where the callbacks are called and coroutines run.
    on_outcomes : callable
        Called with a list of `Outcome`.
    on_seceded : callable
        Called as ``on_seceded(key, run, elapsed)``.
    worker : object
        What `get_worker()` returns in tasks.
    executors : mapping, optional
        Other executors by name, for tasks that ask for one; ``"default"`` is used instead of the
        threads by all others.
    inline_result : int
        Results up to this many bytes come along with their outcome, where a client waits for them.
    """

    def __init__(
        self,
        nthreads: int,
        *,
        functions: FunctionCache,
        store: Store,
        loop: asyncio.AbstractEventLoop,
        on_outcomes: Callable[[list[Outcome]], None],
        on_seceded: Callable[[str, int, float], None],
        worker: Any = None,
        executors: Mapping[str, Executor] | None = None,
        inline_result: int = 1024,
        name: str = "shoal-task",
    ) -> None:
        self.nthreads = nthreads
        self.functions = functions
        self.store = store
        self.loop = loop
        self.worker = worker
        self.inline_result = inline_result
        self._on_outcomes = on_outcomes
        self._on_seceded = on_seceded
        self._name = name
        self._elsewhere = Elsewhere(self, executors or {})
        self._lock = threading.Lock()
        self._queue: list[tuple[tuple[float, int, int], int, TaskRun]] = []  # partly revoked
        self._stale = 0  # revoked ones in there
        self._parked: list[threading.Lock] = []
        self._threads: set[threading.Thread] = set()
        self._members = 0  # threads that did not secede
        self._returning: deque[threading.Lock] = deque()  # seceded threads that want to rejoin
        self._running: dict[TaskRun, float] = {}  # since when
        self._outcomes: list[Outcome] = []
        self._loop_comes = False
        self._paused = False
        self._closed = False
        self._serial = 0

    # ------------------------------------------------------------------ the loop's side

    @property
    def executing(self) -> int:
        """Number of runs that began and did not end, those that seceded included."""
        return len(self._running)

    @property
    def ready(self) -> int:
        """Number of runs that wait for a thread."""
        return len(self._queue) - self._stale

    def long_running_tasks(self, least: float = 1.0) -> dict[str, float]:
        """Return how long tasks run, in seconds, where it is at least `least`."""
        now = time.monotonic()
        with self._lock:
            running = list(self._running.items())
        return {task.key: now - since for task, since in running if now - since >= least}

    def submit(self, runs: Iterable[TaskRun]) -> None:
        """Put runs into the ready queue."""
        elsewhere: list[tuple[TaskRun, str]] = []
        replaced = "default" in self._elsewhere.executors
        with self._lock:
            count = 0
            for task in runs:
                task.status = QUEUED
                compute = task.compute
                name = compute.options.executor if compute.options is not None else None
                if replaced or (name is not None and name not in _OWN):
                    elsewhere.append((task, name or "default"))
                    continue
                heappush(self._queue, (compute.priority, task.run, task))
                count += 1
            if not self._paused:
                self._wake(count)
        for task, name in elsewhere:
            self._elsewhere.submit(task, name)

    def revoke(self, runs: Iterable[TaskRun]) -> tuple[list[TaskRun], list[TaskRun]]:
        """Take back what did not start; return the runs that were taken back, and all others."""
        return self._take_back(runs, False)

    def discard(self, runs: Iterable[TaskRun]) -> tuple[list[TaskRun], list[TaskRun]]:
        """Take back what did not start, and store no result of what did; answers as `revoke`."""
        return self._take_back(runs, True)

    def _take_back(
        self, runs: Iterable[TaskRun], discard: bool
    ) -> tuple[list[TaskRun], list[TaskRun]]:
        revoked = []
        kept = []
        with self._lock:
            for task in runs:
                if task.status == QUEUED:
                    task.status = REVOKED
                    self._stale += 1
                    revoked.append(task)
                elif task.status == REVOKED:
                    revoked.append(task)
                else:
                    if discard and task.status == STARTED:
                        task.status = DISCARDED
                    kept.append(task)
            if self._stale > 100 and self._stale * 2 > len(self._queue):
                self._sweep()
        return revoked, kept

    def pause(self) -> None:
        """Start no run until `resume`."""
        with self._lock:
            self._paused = True

    def resume(self) -> None:
        """Go on after `pause`."""
        with self._lock:
            self._paused = False
            self._wake(len(self._queue))
        self._elsewhere.resume()

    def close(self, timeout: float = 1.0) -> None:
        """End the threads; tasks that go on after `timeout` seconds are left to themselves."""
        with self._lock:
            self._closed = True
            self._queue.clear()
            self._stale = 0
            for gate in [*self._parked, *self._returning]:
                gate.release()
            self._parked.clear()
            self._returning.clear()
            threads = list(self._threads)
        self._elsewhere.close()
        deadline = time.monotonic() + timeout
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))
        left = sum(thread.is_alive() for thread in threads)
        if left:
            logger.info("%d tasks still run and are left to themselves", left)

    def _wake(self, count: int) -> None:
        """With the lock held: see to it that up to `count` more threads look for work."""
        for _ in range(min(count, self.nthreads)):
            if self._parked:
                self._parked.pop().release()
            elif self._members < self.nthreads and not self._closed:
                self._start_thread()
            else:
                return

    def _start_thread(self) -> None:
        self._members += 1
        self._serial += 1
        thread = threading.Thread(
            target=self._work, name=f"{self._name}-{self._serial}", daemon=True
        )
        self._threads.add(thread)
        thread.start()

    def _sweep(self) -> None:
        self._queue = [entry for entry in self._queue if entry[2].status == QUEUED]
        self._queue.sort()  # a sorted list is a heap
        self._stale = 0

    # ------------------------------------------------------------------ the threads' side

    def _work(self) -> None:
        gate = threading.Lock()
        gate.acquire()
        done: TaskRun | None = None
        outcome: Outcome | None = None
        member = True
        try:
            while True:
                task, stay = self._next(done, outcome, gate, member)
                if not stay:
                    return
                done = outcome = None
                member = True
                if task is None:
                    gate.acquire()
                    continue
                outcome, member = self._run_as_member(task)
                done, task = task, None  # a parked thread keeps nothing alive
        finally:
            with self._lock:
                self._threads.discard(threading.current_thread())

    def _next(
        self, done: TaskRun | None, outcome: Outcome | None, gate: threading.Lock, member: bool
    ) -> tuple[TaskRun | None, bool]:
        """Report one run and take the next; return it, and whether the thread stays at all.

        Without a run the thread stays parked until its gate opens.
        """
        wake_loop = False
        with self._lock:
            if done is not None and outcome is not None:
                wake_loop = self._add_outcome(done, outcome)
            if not member and self._members < self.nthreads:
                member = True  # nobody took the place of this thread, which seceded
                self._members += 1
            task, stay = self._pick(gate) if member else (None, False)
        if wake_loop:
            self.call_loop(self._deliver)
        return task, stay

    def _pick(self, gate: threading.Lock) -> tuple[TaskRun | None, bool]:
        if self._closed:
            self._members -= 1
            return None, False
        if self._returning:  # a thread that rejoins takes the place of this one
            self._returning.popleft().release()
            return None, False
        queue = self._queue
        if not self._paused:
            while queue:
                task = heappop(queue)[2]
                if task.status == QUEUED:
                    task.status = STARTED
                    self._running[task] = time.monotonic()
                    return task, True
                self._stale -= 1
        self._parked.append(gate)
        return None, True

    def _run_as_member(self, task: TaskRun) -> tuple[Outcome | None, bool]:
        """Run a task; return its outcome, and whether this thread still is one of the pool's."""
        context = TaskContext(self.worker, task, self)
        current.set(context)
        outcome = self._run(task)
        current.set(None)
        return outcome, not context.seceded

    def _run(self, task: TaskRun) -> Outcome | None:
        """Run a task on this thread; None when it goes on as a coroutine."""
        start = time.time()
        try:
            call = prepare(task.compute, self.functions, self.store)
            if call.function.is_coroutine:
                self.call_loop(self._elsewhere.start_coroutine, task, call)
                return None
            start = time.time()
            result = call()
            stop = time.time()
            return succeeded(task, result, start, stop, self.inline_result, self.keep)
        except BaseException as error:  # SystemExit is no reason for a worker to lose a thread
            return failed(task, error, start)

    def secede(self, context: TaskContext) -> None:
        """Called in a task on one of the threads: another thread takes its place."""
        with self._lock:
            self._members -= 1
            if self._returning:
                self._members += 1
                self._returning.popleft().release()
            elif not self._paused:
                self._wake(len(self._queue))
        self.tell_seceded(context)

    def rejoin(self, context: TaskContext) -> None:
        """Called in a task that seceded: wait for a place among the threads."""
        with self._lock:
            if self._members < self.nthreads or self._closed:
                self._members += 1
                return
            gate = threading.Lock()
            gate.acquire()
            self._returning.append(gate)
            if self._parked:  # it finds out, and leaves
                self._parked.pop().release()
        gate.acquire()

    # ------------------------------------------------------------------ for `Elsewhere`

    @property
    def paused(self) -> bool:
        """Whether no run is to start."""
        return self._paused

    def run_here(self, task: TaskRun, context: TaskContext) -> None:
        """Run a task on a thread that is not one of the pool."""
        if self.begin(task):
            current.set(context)
            outcome = self._run(task)
            current.set(None)
            if outcome is not None:
                self.report(task, outcome)

    def begin(self, task: TaskRun) -> bool:
        """Mark a run as started; False when it was revoked."""
        with self._lock:
            if task.status != QUEUED:
                return False
            task.status = STARTED
            self._running[task] = time.monotonic()
            return True

    def keep(self, task: TaskRun, result: Any, nbytes: int) -> bool:
        """Store a result, unless its run was discarded; neither may come between."""
        options = task.compute.options
        fixed = options is not None and options.actor
        with self._lock:
            if task.status != STARTED:
                return False
            task.status = ENDED
            self.store.put(task.key, result, nbytes, fixed=fixed)
        return True

    def report(self, task: TaskRun, outcome: Outcome) -> None:
        """Tell the loop how a run ended."""
        with self._lock:
            wake_loop = self._add_outcome(task, outcome)
        if wake_loop:
            self.call_loop(self._deliver)

    def tell_seceded(self, context: TaskContext) -> None:
        """Tell the loop that a task seceded."""
        task = context.task
        assert task is not None
        elapsed = time.monotonic() - context.started
        self.call_loop(self._on_seceded, task.key, task.run, elapsed)

    def call_loop(self, function: Callable[..., None], *args: Any) -> None:
        """Call a function on the loop's thread, if there still is a loop."""
        try:
            self.loop.call_soon_threadsafe(function, *args)
        except RuntimeError:  # it is closed: nobody is there to hear
            pass

    def _add_outcome(self, task: TaskRun, outcome: Outcome) -> bool:
        """With the lock held: note how a run ended; return whether the loop has to be woken."""
        task.status = ENDED
        self._running.pop(task, None)
        self._outcomes.append(outcome)
        if self._loop_comes:
            return False
        self._loop_comes = True
        return True

    def _deliver(self) -> None:
        with self._lock:
            outcomes, self._outcomes = self._outcomes, []
            self._loop_comes = False
            if self._closed:
                return
        self._on_outcomes(outcomes)
