"""Primitives, actors and tasks from tasks: round trips a second from a blocking client."""

from __future__ import annotations

import importlib
import statistics
import time

import systems

from workloads.program import expect, run

TITLE = (
    "coordination: one blocking round trip after the other from the client; actors; tasks from "
    "tasks"
)
SYSTEMS = ["shoal", "dask", "dask-best"]
FIGURES = {
    "queue": ("queue put + get, pairs/s", "higher"),
    "variable": ("variable set + get, pairs/s", "higher"),
    "lock": ("lock acquire + release, pairs/s", "higher"),
    "event": ("event set + clear, pairs/s", "higher"),
    "multi_lock": ("lock of two names acquire + release, pairs/s", "higher"),
    "semaphore": ("semaphore acquire + release, pairs/s", "higher"),
    "actor": ("actor call, ms", "lower"),
    "actor_async": ("call of an actor's async method, ms", "lower"),
    "actors": ("actor calls/s, 1,000 at once", "higher"),
    "nested": ("tasks/s from inside tasks, mapped", "higher"),
    "nested_submit": ("submit + result in a task, pairs/s", "higher"),
}
ROUNDS, PARTS = 200, 5
CALLS = 1000
SUBMITS = 200
OUTER, INNER = 10, 200
PACKAGE = {"shoal": "shoal", "dask": "distributed", "dask-best": "distributed"}


def inc(x):
    """Return the next number."""
    return x + 1


class Counter:
    """An actor."""

    def __init__(self):
        self.n = 0

    def increment(self):
        """Count."""
        self.n += 1
        return self.n

    async def count(self):
        """Say how far it is."""
        return self.n


def nested(package, n):
    """Submit tasks from a task, and add up their results."""
    api = importlib.import_module(package)
    with api.worker_client() as client:
        return sum(client.gather(client.map(inc, range(n), pure=False)))


def nested_submit(package, n):
    """Return how many tasks a second a task can submit, and wait for, one after the other."""
    api = importlib.import_module(package)
    with api.worker_client() as client:
        start = time.perf_counter()
        for i in range(n):
            expect("inc in a task", client.submit(inc, i, pure=False).result(), i + 1)
        return n / (time.perf_counter() - start)


def rate(action):
    """Return how often a second something can be done, one after the other: median of parts."""
    for _ in range(ROUNDS):
        action()
    rates = []
    for _ in range(PARTS):
        start = time.perf_counter()
        for _ in range(ROUNDS):
            action()
        rates.append(ROUNDS / (time.perf_counter() - start))
    return statistics.median(rates)


def primitives(api):
    """Measure what needs the scheduler only."""
    queue, variable, lock, event = api.Queue("q"), api.Variable("v"), api.Lock("l"), api.Event("e")
    semaphore = api.Semaphore(max_leases=2, name="s")
    multi_lock = api.MultiLock(["m", "n"])

    def through_queue():
        queue.put(1)
        expect("the item", queue.get(), 1)

    def through_variable():
        variable.set(2)
        expect("the value", variable.get(), 2)

    def through_lock():
        lock.acquire()
        lock.release()

    def through_multi_lock():
        multi_lock.acquire()
        multi_lock.release()

    def through_event():
        event.set()
        event.clear()

    def through_semaphore():
        semaphore.acquire()
        semaphore.release()

    return {
        "queue": rate(through_queue),
        "variable": rate(through_variable),
        "lock": rate(through_lock),
        "multi_lock": rate(through_multi_lock),
        "event": rate(through_event),
        "semaphore": rate(through_semaphore),
    }


def actors(client):
    """Measure calls of an actor."""
    counter = client.submit(Counter, actor=True).result()
    calls = rate(lambda: counter.increment().result())
    awaited = rate(lambda: expect("the count", counter.count().result(), (PARTS + 1) * ROUNDS))
    start = time.perf_counter()
    futures = [counter.increment() for _ in range(CALLS)]
    last = [future.result() for future in futures][-1]
    seconds = time.perf_counter() - start
    expect("the count", last, CALLS + (PARTS + 1) * ROUNDS)
    return {"actor": 1e3 / calls, "actor_async": 1e3 / awaited, "actors": CALLS / seconds}


def main(name):
    """Run it once on the system called `name`."""
    package = PACKAGE[name]
    api = importlib.import_module(package)
    with systems.start(name) as system:
        client = system.client
        system.map(inc, range(-200, 0))
        figures = primitives(api) | actors(client)
        client.gather(client.map(nested, [package] * 2, [10, 10], pure=False))
        start = time.perf_counter()
        sums = client.gather([client.submit(nested, package, INNER, pure=False)] * OUTER)
        sums = client.gather(client.map(nested, [package] * OUTER, [INNER] * OUTER, pure=False))
        figures["nested"] = (OUTER + 1) * INNER / (time.perf_counter() - start)
        expect("the sums from nested tasks", set(sums), {sum(range(1, INNER + 1))})
        figures["nested_submit"] = client.submit(nested_submit, package, SUBMITS).result()
    return figures


if __name__ == "__main__":
    run(main)
