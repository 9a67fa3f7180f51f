"""Memory as a quantity: one worker's real core, whose process, disk and allocator are simulated.

Runs grow while they run; inputs on disk are read back before that; spilling takes time, and frees
nothing that is in use; the allocator keeps what was freed for a while; something else may leak.
Judged are: the process stays below what its nanny bears while something could have been spilled or
left unstarted; all ends; the worker changes its state seldom; nothing is spilled from under a run
that uses it, nor read twice for one.

This is beside `cluster`, where sizes mean little: there, what may happen between messages counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import inf
from random import Random
from typing import Any

from shoal.simulation.clock import Clock
from shoal.simulation.ledger import Ledger
from shoal.simulation.memory_works import LIMIT, Work, draw_works
from shoal.wire import messages as m
from shoal.wire.blob import Blob
from shoal.wire.failures import Failure
from shoal.wire.pickling import dumps
from shoal.worker.applier import WorkerApplier
from shoal.worker.core import (
    Connected,
    Effects,
    Evicted,
    Fetch,
    Fetched,
    FromScheduler,
    Interrupted,
    Machine,
    MemoryMeasured,
    Outcome,
    Outcomes,
    Registration,
    Revoked,
    Settings,
    TaskRun,
)

__all__ = ["LIMIT", "MemoryWorld", "Work", "run_memory"]

TERMINATE = 950
_BASE = 150  # the size of an idle process
_DISK = 4_000.0  # bytes a second
_LINE = 4_000.0  # the same, from peers
_MEASURED = 0.1
_WORTH = 1  # a smaller growth is not told, such as that of a run that has just begun
_SURPRISED = 1.0  # seconds in which what nobody knew of may be too much
_LEAKS = (50, 101, 300, 600)  # bytes
_LATEST = 200.0  # seconds; nothing takes so long
_CHANGES = 2.0  # of state a second, in any second


@dataclass
class _Run:
    """A run under way."""

    task: TaskRun
    work: Work
    began: float
    unknown: bool  # none of its function had ended when it began
    inputs: dict[str, int] = field(default_factory=dict)
    step: int = 0
    grown: int = 0


class MemoryWorld:
    """One worker and its memory.

    Parameters
    ----------
    seed : int
        The seed of all draws.
    """

    def __init__(self, seed: int) -> None:
        self.rng = rng = Random(f"memory {seed}")
        self.clock = Clock()
        self.nthreads = rng.choice([1, 1, 2, 4])
        self.machine = Machine(
            Settings(
                nthreads=self.nthreads,
                memory_limit=LIMIT,
                stuck_after=None,
                fetch_bytes=100,
                fetch_message_bytes=100,
                validate=True,
            )
        )
        self.works = draw_works(rng, self.nthreads)
        self.order = [key for key, work in self.works.items() if not work.remote]
        self.sizes = {key: work.nbytes for key, work in self.works.items()}
        self.memory: dict[str, None] = {}  # keys in memory, the least recently used first
        self.disk: dict[str, None] = {}
        self.queue: list[TaskRun] = []
        self.running: dict[TaskRun, _Run] = {}
        self.done: set[str] = set()
        self.refused: set[str] = set()  # and tasks that need such a one
        self.sent: set[str] = set()
        self.evictions: list[tuple[int, frozenset[str], list[str]]] = []  # the first is under way
        self.flying = 0  # bytes on their way here
        self.late = 0  # freed, and not given back yet
        self.leaked = 0
        self.leaked_at = float("-inf")
        self.room: float = Random(f"disk {seed}").choice([*[inf] * 9, 0, 300])  # left on the disk
        self.halted = False
        self.peak = 0
        self.changes: list[float] = []  # of state, when
        self.spilled = self.read_back = 0
        self.faults: list[str] = []
        self.known: set[int] = set()  # functions of which a run has ended
        ledger = Ledger(Effects)
        self.applier = WorkerApplier(
            self.machine,
            lambda: self.clock.now,
            link=ledger.port(self, "link"),
            store=ledger.port(self, "store"),
            functions=ledger.port(self, "functions"),
            executor=ledger.port(self, "executor"),
            timer=ledger.port(self, "timer"),
            calls=ledger.port(self, "calls"),
        )
        self.applier.watch = lambda event, effects: ledger.asked(effects)

    # -- the story -------------------------------------------------------------------

    def play(self) -> None:
        """Let it run to its end, and judge it."""
        self.applier.feed(Connected())
        self._measure_again()
        self._send_more()
        if self.rng.random() < 0.3:
            self.clock.call_later(self.rng.random() * 3, self._leak, self.rng.choice(_LEAKS))
        elif self.rng.random() < 0.15:
            self._wobble(self.rng.randint(10, 30), 650)
        while len(self.done) < len(self.order):
            assert self.clock.now < _LATEST, f"no progress: {len(self.done)} of {len(self.order)}"
            assert self.clock.step(), "nothing will ever happen again"
        self._judge()

    def _judge(self) -> None:
        assert not self.faults, "; ".join(self.faults[:3])
        for index, since in enumerate(self.changes):
            within = [when for when in self.changes[index:] if when - since < 1.0]
            assert len(within) <= _CHANGES, f"{len(within)} changes of state within a second"

    def _send_more(self) -> None:
        """As the scheduler: a little more than the threads can do, by priority, as inputs exist."""
        room = self.nthreads + 2 - len(self.sent - self.done)
        for index, key in enumerate(self.order):
            if room <= 0:
                return
            work = self.works[key]
            if key in self.sent or any(
                dep not in self.done and not self.works[dep].remote for dep in work.deps
            ):
                continue
            self.sent.add(key)
            room -= 1
            remote = [dep for dep in work.deps if self.works[dep].remote]
            self.applier.feed(
                FromScheduler(
                    [
                        m.Compute(
                            key,
                            index + 1,
                            f"f{work.kind}".encode(),
                            b"",
                            (0.0, 0, index),
                            work.seconds,
                            False,
                            deps=work.deps,
                            dep_nbytes=tuple(self.sizes[dep] for dep in work.deps),
                            dep_holders=tuple(
                                ["peer"] if dep in remote else [] for dep in work.deps
                            ),
                        )
                    ]
                )
            )

    def _leak(self, nbytes: int) -> None:
        """Something else takes memory; what is large is given back some day."""
        self.leaked += nbytes
        self.leaked_at = self.clock.now
        if nbytes in _LEAKS and nbytes > LIMIT // 10:
            self.clock.call_later(self.rng.uniform(0.1, 5.0), self._leak, -nbytes)

    def _wobble(self, times: int, nbytes: int) -> None:
        """Something else takes memory up to where the worker pauses, and gives it back at once."""
        self._leak(nbytes)
        if times:
            self.clock.call_later(0.15, self._wobble, times - 1, -100 if times % 2 else 100)
        else:
            self._leak(-self.leaked)

    # -- memory ----------------------------------------------------------------------

    @property
    def managed(self) -> int:
        """The bytes that the store holds in memory."""
        return sum(self.sizes[key] for key in self.memory)

    @property
    def process(self) -> int:
        """The size of the process, with values that only runs hold and memory that was freed."""
        held = {dep for run in self.running.values() for dep in run.inputs} - set(self.memory)
        return (
            _BASE
            + self.leaked
            + self.late
            + self.managed
            + self.flying
            + sum(self.sizes[dep] for dep in held)
            + sum(run.grown for run in self.running.values())
        )

    def _grew(self) -> None:
        process = self.process
        self.peak = max(self.peak, process)
        # How far several runs have grown at one moment is known to a few percent only.
        vague = self.late if len(self.running) <= 1 else LIMIT - TERMINATE
        if process <= TERMINATE or (process <= LIMIT and process - vague <= TERMINATE):
            return
        unknown = any(run.unknown for run in self.running.values())
        alone = len(self.running) <= 1 and not self.flying
        in_use = {dep for run in self.running.values() for dep in run.inputs}
        could_go = sum(self.sizes[key] for key in self.memory if key not in in_use)
        could_go = int(min(could_go, self.room))
        surprised = self.clock.now - self.leaked_at < _SURPRISED
        if unknown or surprised or (alone and could_go <= LIMIT // 20):
            return  # it could not be known; or there was no other way
        self.faults.append(
            f"{process} of {LIMIT} bytes at {self.clock.now:.2f}, {len(self.running)} runs, "
            f"{self.flying} on their way, {could_go} could have been spilled"
        )

    def _free_late(self, nbytes: int) -> None:
        """The allocator keeps some of what was freed, for a while."""
        kept = int(nbytes * self.rng.choice([0.0, 0.0, 0.3, 0.6]))
        self.late += kept
        self.clock.call_later(0.05 + self.rng.random(), self._give_back, kept)

    def _give_back(self, nbytes: int) -> None:
        self.late = max(0, self.late - nbytes)

    def _measurement(self) -> MemoryMeasured:
        peaks: dict[bytes, int] = {}
        for run in self.running.values():
            if run.grown >= _WORTH:
                peaks[f"f{run.work.kind}".encode()] = run.grown
        return MemoryMeasured(self.process, self.managed, len(self.running), peaks=peaks)

    def _measure(self) -> None:
        self.applier.feed(self._measurement())

    def _measure_again(self) -> None:
        self._measure()
        self.clock.call_later(_MEASURED, self._measure_again)

    # -- ports: link, store, functions, timer ------------------------------------------

    def send(self, messages: list[Any]) -> None:
        """Take what the worker tells the scheduler."""
        for message in messages:
            if type(message) is m.WorkerStatus:
                self.changes.append(self.clock.now)
            elif type(message) is m.Failed:
                self._failed()
            elif type(message) is m.Finished:
                self.done.update(message.keys)
                self.clock.call_later(0.001, self._released, list(message.keys))

    def _failed(self) -> None:
        """As the scheduler: expect nothing of tasks that failed, or that need one."""
        keys = [key for key in self.refused if key not in self.done]
        self.done.update(keys)
        self.sent.update(keys)
        self.clock.call_later(0.001, self._released, keys)

    def _released(self, keys: list[str]) -> None:
        """As the scheduler: drop what nobody needs any more, send more."""
        gone = []
        for key in keys:
            for dep in self.works[key].deps:
                users = [k for k, work in self.works.items() if dep in work.deps]
                if all(user in self.done for user in users) and dep in self.machine.state.data:
                    gone.append(dep)
        if gone:
            self.applier.feed(FromScheduler([m.Free(gone)]))
            self._measure()
        self._send_more()

    def put(self, key: str, value: Any, nbytes: int) -> None:
        """Store a value that came."""
        self.memory[key] = None

    def drop(self, keys: Iterable[str]) -> None:
        """Drop values."""
        for key in keys:
            if key in self.memory:
                del self.memory[key]
                self._free_late(self.sizes[key])
            self.disk.pop(key, None)

    def define(self, function: bytes, blob: Any) -> None:
        """Functions are numbers here."""

    def forget(self, function: bytes) -> None:
        """Functions are numbers here."""

    def set(self, deadline: float) -> None:
        """Nothing is tried again here."""

    # -- ports: executor -----------------------------------------------------------------

    def submit(self, runs: list[TaskRun], after: Mapping[TaskRun, tuple[TaskRun, ...]]) -> None:
        """Line up runs."""
        assert not after or self.machine.state.guard is None
        self.queue += runs
        self._start_some()

    def revoke(self, runs: list[TaskRun]) -> tuple[list[TaskRun], list[TaskRun]]:
        """Take back what did not begin."""
        back = [run for run in runs if run in self.queue]
        self.queue = [run for run in self.queue if run not in back]
        return back, [run for run in runs if run not in back]

    discard = revoke

    def interrupt(self, runs: list[TaskRun]) -> list[tuple[TaskRun, str, float]]:
        """Nothing has a timeout here."""
        raise AssertionError(f"interrupted: {runs}")

    def abandon(self, runs: list[TaskRun]) -> None:
        """Nothing is given up here."""
        raise AssertionError(f"abandoned: {runs}")

    def pause(self) -> None:
        """Begin nothing."""
        self.halted = True

    def resume(self) -> None:
        """Go on."""
        self.halted = False
        self._start_some()

    def _start_some(self) -> None:
        while self.queue and not self.halted and len(self.running) < self.nthreads:
            task = min(self.queue, key=lambda each: each.compute.priority)
            self.queue.remove(task)
            self._start(task)

    def _start(self, task: TaskRun) -> None:
        work = self.works[task.key]
        missing = tuple(dep for dep in work.deps if dep not in self.memory and dep not in self.disk)
        if missing:
            self._tell(Outcome(task.key, task.run, "missing", missing=missing))
            return
        run = self.running[task] = _Run(task, work, self.clock.now, work.kind not in self.known)
        read = 0
        for dep in work.deps:
            run.inputs[dep] = self.sizes[dep]
            if dep in self.disk:
                del self.disk[dep]
                read += self.sizes[dep]
            self.memory.pop(dep, None)
            self.memory[dep] = None
        self.read_back += read
        self._grew()
        self.clock.call_later(read / _DISK, self._go_on, run)

    def _go_on(self, run: _Run) -> None:
        """A run grows in four steps."""
        if run.step == 4:
            self._end(run)
            return
        run.step += 1
        run.grown = run.work.peak * run.step // 4
        self._grew()
        self.clock.call_later(run.work.seconds / 4, self._go_on, run)

    def _end(self, run: _Run) -> None:
        work = run.work
        del self.running[run.task]
        self.memory[work.key] = None
        self._free_late(max(0, run.grown - work.nbytes))
        self.known.add(work.kind)
        outcome = Outcome(work.key, run.task.run, "ok", 0.0, work.seconds, work.nbytes, "array")
        self.applier.feed(
            MemoryMeasured(
                self.process,
                self.managed,
                len(self.running),
                peaks={f"f{work.kind}".encode(): run.grown},
            )
        )
        self._tell(outcome)
        self._start_some()

    def _tell(self, outcome: Outcome) -> None:
        self.applier.feed(Outcomes([outcome]))

    # -- ports: what else ------------------------------------------------------------------

    def introduce(self, known: Registration) -> m.RegisterWorker:
        """Return a message that no scheduler hears."""
        return m.RegisterWorker(
            address="",
            name="",
            nthreads=self.nthreads,
            memory_limit=LIMIT,
            resources={},
            pid=0,
            host="",
            nanny=None,
            status=known.status,
            server_id="",
            versions={},
            local_directory="",
        )

    def took_back(self, answer: Revoked) -> None:
        """Answer at once."""
        self.applier.feed(answer)

    def fetch(self, fetch: Fetch) -> None:
        """Values come, as fast as the line goes."""
        nbytes = sum(self.sizes[key] for key in fetch.keys)
        self.flying += nbytes
        self._grew()
        self.clock.call_later(nbytes / _LINE, self._fetched, fetch, nbytes)

    def _fetched(self, fetch: Fetch, nbytes: int) -> None:
        self.flying -= nbytes
        got = [(key, self.sizes[key], "array") for key in fetch.keys]
        self.applier.feed(
            Fetched(fetch.peer, got, [], fetch.lives), dict.fromkeys(fetch.keys, None)
        )
        self._measure()

    def call_back(self, token: str) -> None:
        """There are no walls here."""
        raise AssertionError("the worker is called")

    def paused(self) -> None:
        """People would be told."""

    def resumed(self) -> None:
        """People would be told."""

    def refuse(self, task: TaskRun, reason: str) -> None:
        """A run fails, where the disk is full; tasks that need it are not sent."""
        assert self.machine.state.guard is not None and self.machine.state.guard.full, reason
        failed = {task.key}
        for key, work in self.works.items():  # inputs come first
            if not failed.isdisjoint(work.deps):
                failed.add(key)
        self.refused |= failed
        failure = Failure(dumps(MemoryError(reason)), Blob(b""), reason, "")
        self._tell(Outcome(task.key, task.run, "error", failure=failure))

    def evict(self, nbytes: int, in_use: frozenset[str], spare: list[str]) -> None:
        """Write values to disk; what is asked for meanwhile comes after that."""
        self.evictions.append((nbytes, in_use, spare))
        if len(self.evictions) == 1:
            self._evict()

    def _evict(self) -> None:
        nbytes, in_use, spare = self.evictions[0]
        later = in_use.union(spare)
        first = [key for key in self.memory if key not in later]
        last = [key for key in spare if key in self.memory and key not in in_use]
        used = {dep for run in self.running.values() for dep in run.inputs}
        chosen: list[str] = []
        size = 0
        for key in [*first, *last]:
            if size >= nbytes:
                break
            if key in used and self.machine.state.guard is not None:
                self.faults.append(f"{key} is spilled while a run uses it")
            chosen.append(key)
            size += self.sizes[key]
        self.clock.call_later(size / _DISK, self._evicted, nbytes, chosen)

    def _evicted(self, asked: int, chosen: list[str]) -> None:
        freed = 0
        moved = []
        full = ""
        used = {dep for run in self.running.values() for dep in run.inputs}
        for key in chosen:
            if key in self.memory and key not in used:  # a run that began meanwhile keeps it
                if self.sizes[key] > self.room:
                    full = "no space left on device"
                    continue
                self.room -= self.sizes[key]
                del self.memory[key]
                self.disk[key] = None
                moved.append(key)
                freed += self.sizes[key]
        self.spilled += freed
        self._free_late(freed)
        self.applier.feed(Evicted(asked, freed, moved, full, self._measurement()))
        del self.evictions[0]
        if self.evictions:
            self._evict()

    def reclaim(self, how: str) -> None:
        """Have the allocator give back what it keeps."""
        self.clock.call_later(0.01, self._reclaimed)

    def _reclaimed(self) -> None:
        self.late = 0
        self._measure()

    def leave(self, reason: str) -> None:
        """It is not asked to leave here."""
        raise AssertionError(f"the worker leaves: {reason}")

    def stopped(self, answer: Interrupted) -> None:
        """Nothing has a timeout here."""
        raise AssertionError(f"stopped: {answer}")

    def replace(self, reason: str) -> None:
        """It is not replaced here."""
        raise AssertionError(f"the worker is replaced: {reason}")

    def close(self, reason: str, restart: bool) -> None:
        """It is not closed here."""
        raise AssertionError(f"the worker closes: {reason}")


def run_memory(seed: int) -> MemoryWorld:
    """Play one seed; raise `AssertionError` on what must not be.

    Parameters
    ----------
    seed : int
        The seed of all draws.
    """
    world = MemoryWorld(seed)
    world.play()
    return world
