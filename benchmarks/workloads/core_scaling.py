"""What a task costs the scheduler's core alone, as tasks and workers become many.

The core runs in this process as it does in the simulator: no sockets, no threads. A task is
inserted, assigned, finished and released; only the time in the core counts. Messages are decoded
from bytes before, so that its memory is that of a real scheduler.
"""

from __future__ import annotations

import gc
import os
import pickle
import time
from collections import deque

import accounting

from workloads.program import expect, run

TITLE = "the scheduler's core alone: insert, assign, finish, release"
SYSTEMS = ["shoal"]
TASKS_OF = {"1k-tasks": 1_000, "10k-tasks": 10_000, "100k-tasks": 100_000, "1M-tasks": 1_000_000}
WORKERS_OF = {f"{n}-workers": n for n in (1, 10, 100, 1_000, 10_000)}
CASES = {
    **{case: f"{n:,} tasks on 10 workers" for case, n in TASKS_OF.items()},
    **{case: f"100,000 tasks on {n:,} workers" for case, n in WORKERS_OF.items()},
}
LONG = {"1M-tasks"}
FIGURES = {
    "cost": ("CPU us/task", "lower"),
    "insert": ("CPU us/task, insert", "lower"),
    "work": ("CPU us/task, assign and finish", "lower"),
    "release": ("CPU us/task, release", "lower"),
    "bytes": ("bytes of memory per task", "lower"),
    "longest": ("ms, longest event", "lower"),
}
MESSAGE = 10_000  # tasks in a message
SMALL = 200_000  # fewer tasks are measured again and again, until they are as many


class Core:
    """The core with a client and workers that answer at once."""

    def __init__(self, workers):
        from shoal.scheduler import core
        from shoal.wire import messages as m
        from shoal.wire.codec import BatchCodec

        self.events, self.m = core, m
        self.codec = BatchCodec(m.ClientToScheduler)
        self.machine = core.Machine(core.Settings(), "scheduler", now=time.monotonic())
        self.spent, self.longest, self.finished = 0.0, 0.0, 0
        self.answers = deque()
        self.client(m.ClientHello("c", None, {}, False, []))
        for i in range(workers):
            self.feed(core.FromWorker(f"w{i}", [self.registration(i)]))

    def registration(self, number):
        """Return what a worker says first."""
        return self.m.RegisterWorker(
            address=f"w{number}",
            name=f"w{number}",
            nthreads=1,
            memory_limit=0,
            resources={},
            pid=number,
            host=f"host{number // 10}",
            nanny=None,
            status="running",
            server_id=f"w{number}",
            versions={},
            local_directory="",
        )

    def feed(self, event):
        """Handle an event, timed; put what workers are to do in line."""
        while event is not None:
            start = time.thread_time()
            effects = self.machine.handle(event, time.monotonic())
            seconds = time.thread_time() - start
            self.spent += seconds
            self.longest = max(self.longest, seconds)
            self.answers.extend(effects.to_workers.items())
            event = self.events.Continue() if getattr(effects, "more", False) else None

    def client(self, *messages):
        """Have the client say something."""
        decoded = self.codec.decode([bytes(frame) for frame in self.codec.encode(messages)])
        self.feed(self.events.FromClient("c", decoded))

    def answer(self):
        """Answer for the workers until nothing is left to do."""
        from workloads.stub_workers import asked_for

        m, result = self.m, pickle.dumps(None)
        kinds = (m.Compute, m.ComputeMany)
        while self.answers:
            address, messages = self.answers.popleft()
            keys, runs = [], []
            for message in messages:
                if type(message) in kinds:
                    more, numbers = asked_for(message)
                    keys += more
                    runs += numbers
            count = len(keys)
            if count:
                columns = ([16] * count, ["int"] * count, [0.0] * count, [0.0] * count)
                done = m.Finished(keys, runs, *columns, [result] * count)
                self.finished += count
                self.feed(self.events.FromWorker(address, [done]))

    def part(self, work):
        """Return the time in the core that some work takes."""
        before = self.spent
        work()
        return self.spent - before


def one_round(core, keys):
    """Take tasks through their lives; return seconds in the core by part, and bytes."""
    from shoal.wire.blob import Blob

    m = core.m
    before = accounting.resident_bytes(os.getpid())
    chunks = [keys[i : i + MESSAGE] for i in range(0, len(keys), MESSAGE)]

    def insert():
        core.client(m.DefineFunctions([b"f" * 16], [Blob(pickle.dumps(len))]))
        for chunk in chunks:
            args = [pickle.dumps(((key,), None)) for key in chunk]
            core.client(m.Graph(keys=chunk, functions=[b"f" * 16], args=args, groups=["inc"]))

    def release():
        for chunk in chunks:
            core.client(m.Release(chunk))

    parts = {"insert": core.part(insert)}
    inserted = accounting.resident_bytes(os.getpid())
    parts["work"] = core.part(core.answer)
    largest = max(inserted, accounting.resident_bytes(os.getpid()))
    parts["release"] = core.part(release)
    core.answers.clear()
    expect("the core", len(core.machine.state.tasks), 0)
    return parts, largest - before


def main(name, case):
    """Run one size."""
    tasks, workers = TASKS_OF.get(case, 100_000), WORKERS_OF.get(case, 10)
    core = Core(workers)
    one_round(core, [f"warm-{i}" for i in range(1_000)])
    rounds = max(1, SMALL // tasks)
    gc.collect()
    gc.disable()  # the scheduler's process collects when it has nothing else to do
    core.finished, core.longest = 0, 0.0
    totals = {"insert": 0.0, "work": 0.0, "release": 0.0}
    for number in range(rounds):
        parts, nbytes = one_round(core, [f"inc-{number}-{i}" for i in range(tasks)])
        for part, seconds in parts.items():
            totals[part] += seconds
    expect("the number of results", core.finished, rounds * tasks)
    figures = {part: 1e6 * seconds / rounds / tasks for part, seconds in totals.items()}
    figures["cost"] = sum(figures.values())
    figures["longest"] = 1e3 * core.longest
    if rounds == 1:  # of fewer tasks the memory is there from the round before
        figures["bytes"] = nbytes / tasks
    return figures


if __name__ == "__main__":
    run(main)
