"""Messages a second from a task on one worker to a task on the other."""

from __future__ import annotations

import importlib
import time

import systems

from workloads.program import expect, run

TITLE = "pubsub: numbers published by a task, received by a task on the other worker"
# The incumbent's last release that has Pub, on which it is compared here.
SYSTEMS = ["shoal", "dask-2025"]
FIGURES = {"rate": ("messages/s", "higher")}
MESSAGES = 20_000
PACKAGE = {"shoal": "shoal", "dask-2025": "distributed"}


def receive(package, name, n):
    """Subscribe, say so, and return when the last message came."""
    api = importlib.import_module(package)
    sub = api.Sub(name)
    api.Event(f"{name}-ready").set()
    for i in range(n):
        expect("the message", sub.get(timeout=60), i)
    return time.monotonic()


def publish(package, name, n):
    """Publish once somebody listens, and return when that began."""
    api = importlib.import_module(package)
    pub = api.Pub(name)
    api.Event(f"{name}-ready").wait(60)
    while not pub.subscribers:
        time.sleep(0.01)
    start = time.monotonic()
    for i in range(n):
        pub.put(i)
    return start


def main(name):
    """Run it once on the system called `name`."""
    package = PACKAGE[name]
    with systems.start(name) as system:
        client = system.client
        one, two = list(client.scheduler_info()["workers"])[:2]
        rates = []
        for topic in ("warm-up", "topic"):
            got = client.submit(receive, package, topic, MESSAGES, workers=[one])
            sent = client.submit(publish, package, topic, MESSAGES, workers=[two])
            # One clock for all processes of a host.
            rates.append(MESSAGES / (got.result() - sent.result()))
        return {"rate": rates[-1]}


if __name__ == "__main__":
    run(main)
