"""The threads of a worker: one ready queue, and the outcomes on their way to the loop.

Short tasks are cheap because nothing here takes a lock per run. The queue is kept in order by who
puts runs in, so taking the first is a single step. A run is claimed by whoever takes it out of
`_unstarted`, a single step too, so that `revoke` need not ask the threads. Outcomes go to one
shared list, and the loop is woken unless it is about to come anyway; it stores the results of many
runs at once, and as it is the loop that discards runs, no result slips into the store after that.
While short runs follow each other the loop is woken now and then, not for each of them; a timer
finds what waits when a run takes longer than was thought.

A parked thread waits on a lock of its own; whoever parked last is woken first. No thread parks
while there is work it could take, and every new run wakes one, so no run waits for a parked thread.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any

from shoal._base.later import later
from shoal._base.running_board import RunningBoard
from shoal.errors import TaskInterrupted
from shoal.task_context import TaskContext, current
from shoal.worker.core import Outcome, TaskRun
from shoal.worker.executor.elsewhere import Elsewhere
from shoal.worker.executor.following import Following
from shoal.worker.executor.gauge import Gauge
from shoal.worker.executor.interrupts import Interrupts
from shoal.worker.executor.places import Places
from shoal.worker.executor.ready_queue import insert, rank, sorted_anew
from shoal.worker.executor.run import failed, prepare, succeeded

if TYPE_CHECKING:
    from shoal.cache import packs
    from shoal.worker.executor.functions import FunctionCache
    from shoal.worker.store import Store
else:
    packs = later("shoal.cache.packs")

__all__ = ["ThreadPool"]

logger = logging.getLogger("shoal.worker.executor")

_TOGETHER = 1e-3  # seconds within which outcomes of short runs are told together
_AHEAD = 1e-3  # seconds of work that are left when the loop is woken, if it can be
_LATEST = 6e-3  # seconds after which it is woken anyway
_POLL_INTERVAL = 4e-3  # seconds after which the loop looks whether any wait
_MARGIN = 2.0  # seconds that a process is late before its nanny ends it
_NOTHING: Mapping[TaskRun, tuple[TaskRun, ...]] = {}
_OWN = ("default", "offload")  # names of these threads


class ThreadPool(Places):
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
    on_seceded, on_started : callable
        Called as ``on_seceded(key, run, elapsed)``, the latter when a run with a timeout began.
    worker : object
        The result of `get_worker()` in tasks.
    executors : mapping, optional
        Other executors by name, for tasks that ask for one; ``"default"`` is used instead of the
        threads by all others.
    inline_result : int
        Results up to this many bytes come along with their outcome, where a client waits for them.
    board : RunningBoard, optional
        Where it is written what runs, for whoever has to know when this process is dead.
    grace : float
        Seconds after which code that was stopped, and goes on, is given up.
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
        on_started: Callable[[str, int, float], None] | None = None,
        worker: Any = None,
        executors: Mapping[str, Executor] | None = None,
        inline_result: int = 1024,
        board: RunningBoard | None = None,
        grace: float = 5.0,
        name: str = "shoal-task",
    ) -> None:
        super().__init__(nthreads)
        self._ahead = _AHEAD * nthreads
        self.functions = functions
        self.store = store
        self.loop = loop
        self.worker = worker
        self.inline_result = inline_result
        # Called on the thread with each run that begins; None while nobody wants to know.
        self._at_begin: Callable[[TaskRun], None] | None = None
        self._watch_begin: Callable[[str], None] | None = None
        self._on_started = on_started
        self._interrupts = Interrupts(self, self._run.__code__, self.report.__code__)
        # Where somebody wants the task stream: called with each run, when it began, its outcome.
        self.trace: Callable[[TaskRun, float, Outcome], None] | None = None
        self.gauge: Gauge | None = None  # while memory is short
        self.board = board or RunningBoard()
        self._grace = grace
        self._following = Following(self)
        self.fresh = self._following.fresh
        self._on_outcomes = on_outcomes
        self._on_seceded = on_seceded
        self._name = name
        self._elsewhere = Elsewhere(self, executors or {})
        # In the order of `rank`; some may be revoked. Only `submit` and its like hold the lock.
        self._queue: deque[TaskRun] = deque()
        self.discarded: set[TaskRun] = set()  # that are to store no result
        self._threads: set[threading.Thread] = set()
        self.running: dict[TaskRun, float] = {}  # since when
        self._outcomes: deque[tuple[TaskRun, Outcome, Any]] = deque()  # the last is the result
        self._loop_comes = False
        self._loop_will_look = False
        self._last_word = 0.0  # when the loop was last woken, by the clock of outcomes
        self._serial = 0

    # ------------------------------------------------------------------ the loop's side

    @property
    def executing(self) -> int:
        """Number of runs that began and did not end, those that seceded included."""
        return len(self.running)

    @property
    def ready(self) -> int:
        """Number of runs that wait for a thread."""
        return len(self.unstarted)

    def long_running_tasks(self, least: float = 1.0) -> dict[str, float]:
        """Return how long tasks run, in seconds, where it is at least `least`."""
        now = time.monotonic()
        running = self.running.copy()
        return {task.key: now - since for task, since in running.items() if now - since >= least}

    def submit(
        self, runs: Iterable[TaskRun], after: Mapping[TaskRun, tuple[TaskRun, ...]] = _NOTHING
    ) -> None:
        """Put runs into the ready queue, some of them not before others have ended."""
        elsewhere: list[tuple[TaskRun, str]] = []
        alone: list[TaskRun] = []
        replaced = "default" in self._elsewhere.executors
        fresh = list(runs)
        self.unstarted.update(dict.fromkeys(fresh, True))
        options_of = [task.compute.options for task in fresh]
        if replaced or options_of.count(None) != len(fresh):
            everywhere, fresh = fresh, []
            for task in everywhere:
                options = task.compute.options
                if options is not None and options.timeout:
                    self._at_begin = self._note_begin
                name = None if options is None else options.executor
                if options is not None and options.alone:
                    alone.append(task)
                elif replaced or (name is not None and name not in _OWN):
                    elsewhere.append((task, name or "default"))
                else:
                    fresh.append(task)
        with self.lock:
            if after and not replaced:
                fresh = [task for task in fresh if task not in after]
                fresh += self._following.add(after)
            self._line_up(fresh)
            if alone:
                self._quarantine.waiting += alone
                self._look_again()
            if not self.paused:
                self._wake(len(fresh) + len(alone))
        for task, name in elsewhere:
            self._elsewhere.submit(task, name)

    def revoke(self, runs: Iterable[TaskRun]) -> tuple[list[TaskRun], list[TaskRun]]:
        """Take back what did not start; return the runs that were taken back, and all others."""
        revoked = []
        kept = []
        for task in runs:
            if self.unstarted.pop(task, False):
                revoked.append(task)
            else:
                kept.append(task)
        if revoked and self._following.leaders:
            self._following.revoked(revoked)
        if len(self._queue) > 2 * len(self.unstarted) + 100:
            with self.lock:
                self._rebuild(())
        return revoked, kept

    def discard(self, runs: Iterable[TaskRun]) -> tuple[list[TaskRun], list[TaskRun]]:
        """Take back what did not start, and store no result of what did; answers as `revoke`."""
        revoked, kept = self.revoke(runs)
        ended = None
        for task in kept:
            if task not in self.running:
                if ended is None:
                    ended = {task for task, _, _ in self._outcomes.copy()}
                if task not in ended:  # its outcome was delivered
                    continue
            self.discarded.add(task)
        return revoked, kept

    def interrupt(self, runs: list[TaskRun]) -> list[tuple[TaskRun, str, float]]:
        """Stop the code of runs; return those under way, where each was, and for how long."""
        return self._interrupts.stop(runs)

    def abandon(self, runs: list[TaskRun]) -> None:
        """Give the places of runs to other threads: their code does not stop."""
        for task in runs:
            self.board.unlimit(task.run)
        for context in list(self.at_work.values()):
            if context.task in runs and context.task in self.running and not context.seceded:
                context.seceded = True
                if context.place is self:
                    self._give_place(context)

    def watch_begin(self, function: Callable[[str], None] | None) -> None:
        """Have a function called on the loop with the key of each run that begins."""
        self._watch_begin = function
        self._at_begin = self._note_begin if function is not None else None
        for task in list(self.unstarted):  # a timeout among them has to be noted all the same
            if task.compute.options is not None and task.compute.options.timeout:
                self._at_begin = self._note_begin

    def _note_begin(self, task: TaskRun) -> None:
        options = task.compute.options
        if options is not None and options.timeout:
            # The core sees to it, and its nanny should this process not answer any more.
            until = time.monotonic() + options.timeout + 2 * self._grace + _MARGIN
            self.board.limit(task.run, until)
            self.call_loop(self._tell_started, task)
        if self._watch_begin is not None:
            self.call_loop(self._watch_begin, task.key)

    def _tell_started(self, task: TaskRun) -> None:
        if self._on_started is not None:
            now = time.monotonic()
            self._on_started(task.key, task.run, now - self.running.get(task, now))

    def pause(self) -> None:
        """Start no run until `resume`."""
        with self.lock:
            self.paused = self._wanted_back = True

    def resume(self) -> None:
        """Go on after `pause`."""
        with self.lock:
            self.paused = False
            self._look_again()
            self._wake(len(self.unstarted))
        self._elsewhere.resume()

    def close(self, timeout: float = 1.0) -> None:
        """End the threads; tasks that go on after `timeout` seconds are left to themselves."""
        with self.lock:
            self._closed = self._wanted_back = True
            self._queue.clear()
            self.unstarted.clear()
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
        if "shoal.cache.packs" in sys.modules:
            packs.write_all()  # small results for the cache that wait for more of them
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
        name = f"{self._name}-{self._serial}"
        self._threads.add(thread := threading.Thread(target=self._work, name=name, daemon=True))
        thread.start()

    def _line_up(self, runs: list[TaskRun]) -> None:
        """With the lock held: put runs into the queue, where they belong."""
        queue = self._queue
        runs.sort(key=rank)  # mostly they come in order: this only looks
        try:
            if rank(runs[0]) < rank(queue[-1]):
                if rank(runs[-1]) < rank(queue[0]):
                    queue.extendleft(reversed(runs))
                else:
                    self._rebuild(runs)
                return
        except IndexError:  # there are none, or none are left in the queue
            pass
        queue.extend(runs)

    def _rebuild(self, runs: Iterable[TaskRun]) -> None:
        """With the lock held: sort the queue anew; threads that find it empty wait for the lock."""
        queue, self._queue = self._queue, deque()
        self._queue = sorted_anew(queue, runs, self.unstarted)

    def ended(self) -> dict[TaskRun, Any]:
        """Return the results that are not in the store yet."""
        return {t: result for t, outcome, result in self._outcomes.copy() if outcome.kind == "ok"}

    def go_on(self, runs: list[TaskRun]) -> None:
        """With the lock held: put runs into the queue that followed others."""
        runs = [task for task in runs if task in self.unstarted]
        for task in runs:
            insert(self._queue, task)
        if runs and not self.paused:
            self._wake(len(runs))

    # ------------------------------------------------------------------ the threads' side

    def _work(self) -> None:
        gate = threading.Lock()
        gate.acquire()
        member = True
        running, unstarted, monotonic = self.running, self.unstarted, time.monotonic
        task: TaskRun | None = None
        slots, slot, thread = self.board.slots, self.board.claim(), threading.get_ident()
        try:
            while True:
                try:
                    if self._wanted_back or not member:
                        raise IndexError
                    task = self._queue.popleft()
                except IndexError:
                    slots[slot] = 0
                    self.at_work.pop(thread, None)
                    task, stay = self._take(gate, member)
                    if not stay:
                        return
                    member = True
                    if task is None:
                        current.set(None)  # a parked thread keeps nothing alive
                        gate.acquire()
                        continue
                # `begin`, written out.
                running[task] = monotonic()
                if not unstarted.pop(task, False):
                    del running[task]
                    continue
                slots[slot] = task.run
                self.at_work[thread] = context = TaskContext(self.worker, task, self)
                if self._at_begin is not None:
                    self._at_begin(task)
                current.set(context)
                self._run(task)
                member = not context.seceded
        except TaskInterrupted:  # too late: what it was for had ended
            self._end_thread(task, gate)
        finally:
            self.board.free(slot)
            with self.lock:
                self._threads.discard(threading.current_thread())

    def _end_thread(self, task: TaskRun | None, gate: threading.Lock) -> None:
        """An exception meant for a task was raised in the pool's own code: the thread ends."""
        if task is not None and task in self.running:
            self.report(task, failed(task, TaskInterrupted(), None))
        with self.lock:
            for gates in (self._parked, self._spare, self._returning):
                if gate in gates:
                    gates.remove(gate)
            # Whether this thread was one of the members is not certain; those that are there are.
            context = self.at_work.pop(threading.get_ident(), None)
            if context is None or not context.seceded:
                self._members -= 1
            self._wake(len(self.unstarted))

    def _take(self, gate: threading.Lock, member: bool) -> tuple[TaskRun | None, bool]:
        """Take the next run, or park; return the run, and whether the thread stays at all."""
        with self.lock:
            if not member:
                if self._members >= self.nthreads:
                    return None, self._stay_as_spare(gate)
                self._members += 1  # this thread seceded, and no other took its place
            if self._wanted_back:
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
                if self.paused:
                    self._parked.append(gate)
                    return None, True
                if self._quarantine.waiting:
                    task = self._take_alone()
                    if task is not None:
                        return task, True
                    if self._quarantine.waiting:  # others still run
                        self._parked.append(gate)
                        return None, True
            try:
                return self._queue.popleft(), True
            except IndexError:
                self._parked.append(gate)
                return None, True

    def _take_alone(self) -> TaskRun | None:
        """With the lock held: take the next run that must be alone, once no other thread works."""
        if self._members - len(self._parked) > 1 or self._quarantine.occupied(self.running):
            return None
        task = self._quarantine.next(self.unstarted)
        if task is None:
            self._look_again()
            self._wake(len(self.unstarted))
        return task

    def _run(self, task: TaskRun) -> None:
        """Run a task on this thread, and report it unless it goes on as a coroutine."""
        trace = self.trace
        if (gauge := self.gauge) is not None:
            gauge.begin(task)
        begun = 0.0 if trace is None else time.time()
        start = None
        result = None
        try:
            function, args, kwargs = prepare(task.compute, self.functions, self.store, self.fresh)
            if function.is_coroutine:
                self.call_loop(self._elsewhere.start_coroutine, task, function, args, kwargs)
                return
            start = time.time()
            result = function.call(*args, **kwargs) if kwargs else function.call(*args)
            stop = time.time()
            outcome = succeeded(task, function, result, start, stop, self.inline_result)
        except BaseException as error:  # SystemExit is no reason for a worker to lose a thread
            outcome = failed(task, error, start)
            result = None
        if gauge is not None:
            gauge.end(task)
        if trace is not None:
            trace(task, begun, outcome)
        self.report(task, outcome, result)

    # ------------------------------------------------------------------ for `Elsewhere`

    @property
    def coroutines(self) -> Mapping[asyncio.Task[None], TaskRun]:
        """The tasks that run on the loop."""
        return self._elsewhere.coroutines

    def run_here(self, task: TaskRun, context: TaskContext) -> None:
        """Run a task on a thread that is not one of the pool."""
        if self.begin(task):
            self.board.slots[slot := self.board.claim()] = task.run
            self.at_work[threading.get_ident()] = context
            current.set(context)
            try:
                self._run(task)
            except TaskInterrupted:  # too late
                self.report(task, failed(task, TaskInterrupted(), None))
            current.set(None)
            self.board.free(slot)

    def coroutine_ended(self) -> None:
        """Have a thread look for work where one that had to be alone was a coroutine."""
        with self.lock:
            self._wake(1 if self._quarantine.waiting else 0)

    def begin(self, task: TaskRun) -> bool:
        """Claim a run; False when it was revoked."""
        self.running[task] = time.monotonic()
        if not self.unstarted.pop(task, False):
            del self.running[task]
            return False
        if self._at_begin is not None:
            self._at_begin(task)
        return True

    def report(self, task: TaskRun, outcome: Outcome, result: Any = None) -> None:
        """Tell the loop how a run ended."""
        leaders = self._following.leaders
        if leaders and task in leaders and outcome.kind == "ok":
            self.fresh[task.key] = result  # first: the loop takes it out again
        self._outcomes.append((task, outcome, result))  # then: `discard` looks for it in here
        self.running.pop(task, None)
        if leaders and task in leaders:
            self._following.lead(task, outcome, result)
        # `_deliver` clears the flag before it looks, so what was added before this line is seen.
        if not self._loop_comes:
            stop = outcome.stop
            # It can be told with that of the next run, if that one is short; and later yet, while
            # there is more to do than takes the loop to hear of it and bring something new.
            waited = stop - self._last_word
            if self._loop_will_look and waited < _LATEST:
                try:
                    duration = self._queue[0].compute.duration
                    if duration < _TOGETHER and (
                        waited < _TOGETHER or len(self.unstarted) * duration > self._ahead
                    ):
                        return
                except IndexError:
                    pass
            self._loop_comes = True
            self._last_word = stop
            self.call_loop(self._deliver)

    def tell_seceded(self, context: TaskContext) -> None:
        """Tell the loop that a task seceded."""
        task = context.task
        assert task is not None
        now = time.monotonic()
        elapsed = now - self.running.get(task, now)
        self.call_loop(self._on_seceded, task.key, task.run, elapsed)

    def call_loop(self, function: Callable[..., None], *args: Any) -> None:
        """Call a function on the loop's thread, if there still is a loop."""
        try:
            self.loop.call_soon_threadsafe(function, *args)
        except RuntimeError:  # it is closed: nobody is there to hear
            pass

    def _deliver(self) -> None:
        self._loop_comes = False
        if self._closed:
            return
        ended = self._outcomes
        fresh = self.fresh
        discarded = self.discarded
        outcomes: list[Outcome] = []
        results: list[tuple[str, Any, int]] = []
        while ended:
            task, outcome, result = ended.popleft()
            if discarded and task in discarded:
                discarded.discard(task)
                if outcome.kind == "ok":
                    outcome.kind = "discarded"
                self._interrupts.settle(task, outcome)
            elif outcome.kind == "ok":
                options = task.compute.options
                if options is not None and options.actor:
                    result = self.worker.actors.host(task.key, result)
                    self.store.put(task.key, result, outcome.nbytes, fixed=True)
                else:
                    results.append((task.key, result, outcome.nbytes))
            outcomes.append(outcome)
        self.store.put_all(results)
        if fresh:
            for outcome in outcomes:
                fresh.pop(outcome.key, None)
        if self.board.limited:
            for outcome in outcomes:
                self.board.unlimit(outcome.run)
        if outcomes:
            self._on_outcomes(outcomes)
            if not self._loop_will_look and self._queue:
                self._loop_will_look = True
                self.loop.call_later(_POLL_INTERVAL, self._look)

    def _look(self) -> None:
        self._loop_will_look = False  # before it looks, as in `_deliver`
        if self._outcomes:
            self._deliver()
