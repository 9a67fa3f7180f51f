"""The threads of a worker: one ready queue, and the outcomes on their way to the loop.

Three things keep short tasks cheap. A thread takes several of them at a time, about a millisecond
by estimate, and leaves the others their share; what it took and did not start is not lost behind a
run that turns out long, for a thread without work takes from the others before it parks. Outcomes
go to one shared list at once, and the loop is woken unless it is about to come anyway. And a run is
claimed by whoever takes it out of `_unstarted`, a single step, so neither threads nor `revoke` take
a lock per run.

A parked thread waits on a lock of its own; whoever parked last is woken first. No thread parks
while there is work it could take, and every new run wakes one, so no run waits for a parked thread.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Any, TypeAlias

from shoal.worker.context import TaskContext, current
from shoal.worker.core import Outcome, TaskRun
from shoal.worker.executor.elsewhere import Elsewhere
from shoal.worker.executor.run import failed, prepare, succeeded

if TYPE_CHECKING:
    from shoal.worker.executor.functions import FunctionCache
    from shoal.worker.store import Store

__all__ = ["ThreadPool"]

logger = logging.getLogger("shoal.worker.executor")

_Entry: TypeAlias = tuple[tuple[float, int, int], int, TaskRun]
_BATCH = 0.001  # seconds of estimated work that a thread takes at a time
_PATIENCE = 5.0  # seconds that a seceded thread waits for a place while nobody gets one
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
        # Where a plugin watches: called on the loop with the key of each run that begins.
        self.on_begin: Callable[[str], None] | None = None
        # Where somebody wants the task stream: called with each run, when it began, its outcome.
        self.trace: Callable[[TaskRun, float, Outcome], None] | None = None
        self._on_outcomes = on_outcomes
        self._on_seceded = on_seceded
        self._name = name
        self._elsewhere = Elsewhere(self, executors or {})
        self._lock = threading.Lock()
        self._queue: list[_Entry] = []  # a heap; some may be revoked
        self._unstarted: dict[TaskRun, bool] = {}
        self._discarded: set[TaskRun] = set()
        self._parked: list[threading.Lock] = []
        self._threads: dict[threading.Thread, deque[_Entry]] = {}  # what each took ahead
        self._members = 0  # threads that did not secede
        self._spare: list[threading.Lock] = []  # threads kept for when others secede
        self._returning: deque[threading.Lock] = deque()  # seceded threads that want to rejoin
        self._last_return = 0.0  # when one of them last got its place
        self._running: dict[TaskRun, float] = {}  # since when
        self._outcomes: deque[Outcome] = deque()
        self._loop_comes = False
        self._paused = False
        self._closed = False
        # Paused, closed, somebody rejoins or did not wait for a place: threads have to look.
        self._wanted_back = False
        self._serial = 0

    # ------------------------------------------------------------------ the loop's side

    @property
    def executing(self) -> int:
        """Number of runs that began and did not end, those that seceded included."""
        return len(self._running)

    @property
    def ready(self) -> int:
        """Number of runs that wait for a thread."""
        return len(self._unstarted)

    def long_running_tasks(self, least: float = 1.0) -> dict[str, float]:
        """Return how long tasks run, in seconds, where it is at least `least`."""
        now = time.monotonic()
        running = self._running.copy()
        return {task.key: now - since for task, since in running.items() if now - since >= least}

    def submit(self, runs: Iterable[TaskRun]) -> None:
        """Put runs into the ready queue."""
        elsewhere: list[tuple[TaskRun, str]] = []
        replaced = "default" in self._elsewhere.executors
        unstarted = self._unstarted
        with self._lock:
            count = 0
            for task in runs:
                unstarted[task] = True
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
        revoked = []
        kept = []
        for task in runs:
            if self._unstarted.pop(task, False):
                revoked.append(task)
            else:
                kept.append(task)
        if len(self._queue) > 2 * len(self._unstarted) + 100:
            self._sweep()
        return revoked, kept

    def discard(self, runs: Iterable[TaskRun]) -> tuple[list[TaskRun], list[TaskRun]]:
        """Take back what did not start, and store no result of what did; answers as `revoke`."""
        revoked, kept = self.revoke(runs)
        for task in kept:
            self._discarded.add(task)
            if task not in self._running:  # it just ended
                self._discarded.discard(task)
        return revoked, kept

    def pause(self) -> None:
        """Start no run until `resume`."""
        with self._lock:
            self._paused = self._wanted_back = True

    def resume(self) -> None:
        """Go on after `pause`."""
        with self._lock:
            self._paused = False
            self._look_again()
            self._wake(len(self._unstarted))
        self._elsewhere.resume()

    def close(self, timeout: float = 1.0) -> None:
        """End the threads; tasks that go on after `timeout` seconds are left to themselves."""
        with self._lock:
            self._closed = self._wanted_back = True
            self._queue.clear()
            self._unstarted.clear()
            for gate in [*self._parked, *self._spare, *self._returning]:
                gate.release()
            self._parked.clear()
            self._spare.clear()
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
        if self._spare:
            self._spare.pop().release()
            return
        self._serial += 1
        mine: deque[_Entry] = deque()
        thread = threading.Thread(
            target=self._work, args=(mine,), name=f"{self._name}-{self._serial}", daemon=True
        )
        self._threads[thread] = mine
        thread.start()

    def _sweep(self) -> None:
        with self._lock:
            unstarted = self._unstarted
            self._queue = [entry for entry in self._queue if entry[2] in unstarted]
            heapify(self._queue)

    # ------------------------------------------------------------------ the threads' side

    def _work(self, mine: deque[_Entry]) -> None:
        gate = threading.Lock()
        gate.acquire()
        member = True
        try:
            while True:
                task: TaskRun | None
                try:
                    if self._wanted_back or not member:
                        raise IndexError
                    task = mine.popleft()[2]
                except IndexError:
                    task, stay = self._take(mine, gate, member)
                    if not stay:
                        return
                    member = True
                    if task is None:
                        gate.acquire()
                        continue
                if self.begin(task):
                    member = self._run_as_member(task)
                task = None  # a parked thread keeps nothing alive
        finally:
            with self._lock:
                self._threads.pop(threading.current_thread(), None)

    def _take(
        self, mine: deque[_Entry], gate: threading.Lock, member: bool
    ) -> tuple[TaskRun | None, bool]:
        """Take the next runs, or park; return the first, and whether the thread stays at all."""
        with self._lock:
            if not member:
                if self._members >= self.nthreads:
                    self._put_back(mine)
                    return None, self._stay_as_spare(gate)
                self._members += 1  # nobody took the place of this thread, which seceded
            if self._wanted_back:
                self._put_back(mine)
                if self._closed:
                    self._members -= 1
                    return None, False
                if self._members > self.nthreads:
                    self._members -= 1
                    self._look_again()
                    return None, self._stay_as_spare(gate)
                if self._returning:  # a thread that rejoins takes the place of this one
                    self._let_return()
                    return None, self._stay_as_spare(gate)
                if self._paused:
                    self._parked.append(gate)
                    return None, True
            if not mine and not self._queue:
                self._take_from_others(mine)
            if mine:
                return mine.popleft()[2], True
            if self._queue:
                return self._take_share(mine), True
            self._parked.append(gate)
            return None, True

    def _take_share(self, mine: deque[_Entry]) -> TaskRun:
        """With the lock held: take one run, and more while they are short; keep them in `mine`."""
        queue = self._queue
        first = heappop(queue)[2]
        left = _BATCH - first.compute.duration
        share = len(queue) // self.nthreads
        while share and left > 0:
            entry = heappop(queue)
            mine.append(entry)
            left -= entry[2].compute.duration
            share -= 1
        return first

    def _take_from_others(self, mine: deque[_Entry]) -> None:
        """With the lock held: take half of what another thread took and did not start."""
        for other in self._threads.values():
            for _ in range((len(other) + 1) // 2):
                try:
                    mine.appendleft(other.pop())
                except IndexError:  # its owner was faster
                    break
            if mine:
                return

    def _put_back(self, mine: deque[_Entry]) -> None:
        """With the lock held: give up what a thread took and did not start."""
        while mine:
            heappush(self._queue, mine.pop())
        if self._queue and not self._paused:
            self._wake(len(self._queue))

    def _run_as_member(self, task: TaskRun) -> bool:
        """Run a task; return whether this thread still is one of the pool's."""
        context = TaskContext(self.worker, task, self)
        current.set(context)
        outcome = self._run(task)
        current.set(None)
        if outcome is not None:
            self.report(task, outcome)
        return not context.seceded

    def _run(self, task: TaskRun) -> Outcome | None:
        """Run a task on this thread; None when it goes on as a coroutine."""
        trace = self.trace
        if trace is None:
            return self._call(task)
        begun = time.time()
        outcome = self._call(task)
        if outcome is not None:
            trace(task, begun, outcome)
        return outcome

    def _call(self, task: TaskRun) -> Outcome | None:
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
            if self._members > self.nthreads:
                self._members -= 1
                self._look_again()
            elif self._returning:
                self._let_return()
            else:
                self._members -= 1
                if not self._paused:  # a new thread also takes what this one took and did not start
                    self._wake(len(self._unstarted))
        self.tell_seceded(context)

    def rejoin(self, context: TaskContext) -> None:
        """Called in a task that seceded: wait for a place among the threads.

        The tasks there may wait for something that this one holds, so when nobody gets a place for
        long, this one goes on without; threads that end their tasks leave until it is right again.
        """
        with self._lock:
            if self._members < self.nthreads or self._closed:
                self._members += 1
                return
            if self._parked:
                self._spare.append(self._parked.pop())
                return
            gate = threading.Lock()
            gate.acquire()
            self._returning.append(gate)
            self._wanted_back = True
        since = time.monotonic()
        while not gate.acquire(timeout=_PATIENCE):
            with self._lock:
                now = time.monotonic()
                if gate in self._returning and now - max(since, self._last_return) >= _PATIENCE:
                    self._returning.remove(gate)
                    self._last_return = now
                    self._members += 1
                    self._look_again()
                    return

    def _let_return(self) -> None:
        """With the lock held: give a place to the thread that waits for one the longest."""
        self._returning.popleft().release()
        self._last_return = time.monotonic()
        self._look_again()

    def _stay_as_spare(self, gate: threading.Lock) -> bool:
        """With the lock held: keep this thread, which has no place; return whether it stays."""
        if self._closed or len(self._spare) >= self.nthreads:
            return False
        self._spare.append(gate)
        return True

    def _look_again(self) -> None:
        """With the lock held: see whether threads have to look before they take another run."""
        self._wanted_back = (
            self._closed or self._paused or bool(self._returning) or self._members > self.nthreads
        )

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
        """Claim a run; False when it was revoked."""
        self._running[task] = time.monotonic()  # first: `discard` looks for it in here
        if self._unstarted.pop(task, False):
            if self.on_begin is not None:
                self.call_loop(self.on_begin, task.key)
            return True
        del self._running[task]
        return False

    def keep(self, task: TaskRun, result: Any, nbytes: int) -> bool:
        """Store a result, unless its run was discarded."""
        options = task.compute.options
        fixed = options is not None and options.actor
        if fixed:
            result = self.worker.actors.host(task.key, result)
        # What is discarded later is dropped from the store after that, which needs the same lock.
        with self.store.lock:
            if task in self._discarded:
                return False
            self.store.put(task.key, result, nbytes, fixed=fixed)
        return True

    def report(self, task: TaskRun, outcome: Outcome) -> None:
        """Tell the loop how a run ended."""
        self._running.pop(task, None)
        if self._discarded:
            self._discarded.discard(task)
        self._outcomes.append(outcome)
        # `_deliver` clears the flag before it looks, so what was added before this line is seen.
        if not self._loop_comes:
            self._loop_comes = True
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

    def _deliver(self) -> None:
        self._loop_comes = False
        outcomes: list[Outcome] = []
        while self._outcomes:
            outcomes.append(self._outcomes.popleft())
        if outcomes and not self._closed:
            self._on_outcomes(outcomes)
