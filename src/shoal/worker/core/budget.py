"""The books of a worker's memory: its values, and what runs will take; and whether more fits.

All is estimates: sizes of what is stored, what functions were seen to return and to take, and what
the process takes beside (`Budget.baseline`). The measures are decided in `memory` and
`admission`.
"""

from __future__ import annotations

from collections import deque
from heapq import heappush
from typing import TYPE_CHECKING

import msgspec

from shoal._base.resources import MEMORY
from shoal.worker.core.in_place import bytes_read_in_place, inputs_brought

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shoal.worker.core.settings import Settings
    from shoal.worker.core.state import TaskRun, WorkerState

__all__ = ["Budget", "Reservation", "Usage", "hold", "need_of", "requested"]

_REMEMBERED = 10_000  # functions
_SAMPLES = 20  # measurements; the least of what the process takes beside is what it takes idle
_EVERY = 0.05  # seconds between two of them
_IDLE_COUNTS = 10.0  # seconds for which a measurement without runs counts
_SMALL = 1e-3  # of the limit: what takes less need not be asked for
_UNKNOWN = 0.01  # of the limit: what a run of an unknown function takes at least
_ROOM_FOR_COPIES = 3  # of its inputs: what a run of an unknown function takes besides them
_FADE = 0.98  # of the largest need, per measurement
_HARD = 0.9  # of the limit: what begins must not take the process above this
_GROWN_WITHIN = 0.1  # seconds after which a run that began shows in what the process takes
_READ_WITHIN = 0.05  # seconds after which a run that began has read its inputs from disk


class Usage(msgspec.Struct, gc=False):
    """The memory that runs of one function took, in bytes."""

    result: int = 0
    peak: int = 0  # how far the process grew while one ran


class Reservation(msgspec.Struct, gc=False):
    """The memory that one run that began may take, in bytes."""

    new: int
    read: int  # of inputs that were on disk when it began
    since: float
    inputs: int = 0  # all of them


class Budget:
    """The books of one worker's memory.

    Attributes
    ----------
    limit, line, hard : int
        Bytes: the worker's; what is planned for at most; what the process is to be below when
        something begins.
    process, managed, baseline : int
        As measured: what the process takes; the values in memory; and what it takes beside them
        when nothing happens.
    evicting : int
        Bytes that are being written to disk.
    on_disk : set of str
        Keys whose values are not in memory.
    running : dict
        The runs that were let begin while memory was short, and what they may take.
    held : list
        A heap of runs that may not begin yet; it may hold stale ones.
    lacking : int
        Bytes that the next run, or the next fetch, waits for.
    full : str
        Why no value can be written to disk (any more).
    """

    __slots__ = (
        "_beside",
        "_idle",
        "_noted",
        "aim",
        "baseline",
        "blocked_since",
        "changed",
        "collected",
        "evicting",
        "freer",
        "full",
        "giving",
        "hard",
        "held",
        "idle",
        "lacking",
        "largest",
        "limit",
        "line",
        "managed",
        "next_evict",
        "nthreads",
        "offers",
        "on_disk",
        "over_since",
        "process",
        "reclaimed",
        "reclaiming",
        "running",
        "short_since",
        "trimmed",
        "usage",
        "vain",
    )

    def __init__(self, settings: Settings) -> None:
        self.limit = limit = settings.memory_limit
        self.nthreads = settings.nthreads
        self.offers = MEMORY not in settings.resources  # else its unit is the user's
        self.line = int((settings.memory_pause or _HARD) * limit)
        self.hard = int(max(_HARD, settings.memory_pause or 0.0) * limit)
        self.process = 0
        self.managed = 0
        self.baseline = 0
        self.evicting = 0
        self.aim = 0  # bytes of values that were to be left in memory, by half
        self.freer = False  # less is in use than when it was last chosen what goes to disk
        self.vain = False  # the last attempt freed less than was asked for
        self.next_evict = 0.0  # not before this time
        self.full = ""
        self.on_disk: set[str] = set()
        self.running: dict[TaskRun, Reservation] = {}
        self.held: list[tuple[tuple[float, int, int], int, TaskRun]] = []
        self.lacking = 0
        self.usage: dict[bytes, Usage] = {}
        self.largest = 0.0  # of what runs took lately
        self.over_since: float | None = None  # the process is above `memory_pause`
        self.short_since: float | None = None  # when memory was last seen to be short
        self.blocked_since: float | None = None  # nothing can begin and nothing goes on
        self.changed = float("-inf")  # when the worker was paused or resumed
        self.collected = float("-inf")
        self.trimmed = float("-inf")
        self.reclaimed = 0  # bytes beside values after free memory was given back
        self.reclaiming = False
        self.idle = True  # nothing ran when memory was last measured
        self.giving = 0  # bytes on their way to peers
        self._beside: deque[int] = deque(maxlen=_SAMPLES)
        self._noted = float("-inf")
        self._idle = (0, float("-inf"))  # of the last measurement without runs, and its time

    # ------------------------------------------------------------------ sums

    def note(self, process: int, managed: int, running: int, giving: int, now: float) -> None:
        """Take a measurement into account."""
        self.process = process
        self.managed = managed
        self.giving = giving
        self.idle = not running and not giving
        beside = max(0, process - managed - giving)
        if self.reclaiming:
            self.reclaiming = False
            self.reclaimed = beside
        if running:
            self.baseline = min(self.baseline, beside)
        else:
            self._idle = beside, now
        if now - self._noted < _EVERY and not self.baseline > beside:
            return
        self._noted = now
        self.largest *= _FADE
        self._beside.append(beside)
        self.baseline = min(self._beside)
        if now - self._idle[1] < _IDLE_COUNTS:
            self.baseline = min(self.baseline, self._idle[0])

    def learn(self, function: bytes, result: int) -> None:
        """Take the size of a result into account."""
        usage = self._usage(function)
        usage.result = max(result, usage.result - (usage.result - result) // 8)
        self.largest = max(self.largest, result)

    def learn_peaks(self, peaks: Mapping[bytes, int]) -> None:
        """Take into account how far the process grew while functions ran."""
        for function, peak in peaks.items():
            usage = self._usage(function)
            usage.peak = max(peak, usage.peak - (usage.peak - peak) // 4)
            self.largest = max(self.largest, usage.peak)

    def _usage(self, function: bytes) -> Usage:
        usage = self.usage.get(function)
        if usage is None:
            while len(self.usage) >= _REMEMBERED:
                del self.usage[next(iter(self.usage))]
            usage = self.usage[function] = Usage()
        return usage

    def is_small(self, need: Reservation) -> bool:
        """Whether a run takes nothing to speak of, and uses nothing that would."""
        limit = self.limit
        return need.new + need.read <= _SMALL * limit and need.inputs <= _UNKNOWN * limit

    def expected(self, function: bytes, inputs: int) -> int:
        """Return the bytes that a run of a function may take besides its inputs."""
        usage = self.usage.get(function)
        if usage is None:
            return int(max(_ROOM_FOR_COPIES * inputs, _UNKNOWN * self.limit))
        return max(usage.result, usage.peak)

    def ended(self, task: TaskRun) -> None:
        """A run is over: what it used is not in use any more."""
        if self.running.pop(task, None) is not None and not self.full:
            self.vain = False
            self.next_evict = 0.0
            self.freer = True

    # ------------------------------------------------------------------ whether more fits

    def planned(self, now: float, flying: int) -> int:
        """Return what memory there will be in use when all that began has what it may take."""
        reserved = sum(
            r.new + (r.read if now - r.since < _READ_WITHIN else 0) for r in self.running.values()
        )
        return self.baseline + self.managed + self.giving + reserved + flying

    def lacks(self, need: int, now: float, flying: int) -> int:
        """Return how many bytes more than there is room for, if so many are taken; or 0."""
        planned = self.planned(now, flying) + need - self.line
        fresh = sum(r.new + r.read for r in self.running.values() if now - r.since < _GROWN_WITHIN)
        return max(0, planned, self.process + fresh + flying + need - self.hard)

    @property
    def exhausted(self) -> bool:
        """Whether nothing more can be written to disk, as far as is known."""
        return self.managed <= self.limit // 100 or self.vain

    @property
    def settled(self) -> int:
        """The bytes that stay in use: runs' own memory goes when they end, and was planned for."""
        if self.idle and not self.reclaiming:
            return self.process
        return min(self.process, self.baseline + self.managed)


def requested(task: TaskRun) -> int:
    """Return the bytes that a task asks for by the resource `MEMORY`; 0 where it does not."""
    for name, amount in task.need:
        if name == MEMORY:
            return int(amount)
    return 0


def need_of(s: WorkerState, task: TaskRun) -> Reservation:
    """Return what a run may take if it begins now."""
    b = s.budget
    compute = task.compute
    data, on_disk = s.data, b.on_disk
    inputs = bytes_read_in_place(compute)
    read = 0
    for dep in inputs_brought(compute):
        found = data.get(dep)
        if found is not None:
            inputs += found[0]
            if dep in on_disk:
                read += found[0]
    asked = requested(task)
    if asked and b.offers:
        return Reservation(asked, 0, s.now, inputs)
    return Reservation(b.expected(compute.function, inputs), read, s.now, inputs)


def hold(s: WorkerState, task: TaskRun) -> None:
    """While memory is short: have a run, whose inputs are here, wait for its turn to begin."""
    need = need_of(s, task)
    if s.budget.is_small(need):
        task.state = "ready"
        s.effects.execute.append(task)
    else:
        task.state = "held"
        s.serial += 1  # first come, first served
        heappush(s.budget.held, (task.compute.priority, s.serial, task))
