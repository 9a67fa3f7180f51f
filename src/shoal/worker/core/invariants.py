"""Invariants of a worker's core after every event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal._base.resources import offered
from shoal.worker.core.fetch import holds
from shoal.worker.core.transitions import HOLDING, WITH_EXECUTOR

if TYPE_CHECKING:
    from shoal.worker.core.machine import Machine
    from shoal.worker.core.state import WorkerState

__all__ = ["check"]


def check(machine: Machine) -> None:
    """Raise `AssertionError`, with a text that says what is wrong, on any contradiction."""
    s = machine.state
    _check_tasks(s)
    _check_missing_keys(s)
    _check_peers(s)
    _check_resources(s)
    _check_effects(s)


def _check_tasks(s: WorkerState) -> None:
    for key, task in s.tasks.items():
        assert key == task.key, f"{task} is filed under {key!r}"
        assert task.state in WITH_EXECUTOR | {"waiting", "constrained", "held"}, (
            f"{task} among the tasks"
        )
        waits_for = [item for item in s.missing_keys.values() if task in item.tasks]
        assert task.lacking == len(waits_for), f"{task} counts {task.lacking}, not {len(waits_for)}"
        if task.state == "waiting":
            assert waits_for, f"{task} waits for nothing"
        else:
            assert not waits_for, f"{task} has dependencies that are fetched: {waits_for}"
        if task.state == "constrained":
            heap = s.constrained.get(task.need, [])
            assert any(entry[2] is task for entry in heap), f"{task} is in no heap"
        if task.state == "held":
            assert s.guard is not None, f"{task} is held, and memory is not short"
            assert any(entry[2] is task for entry in s.guard.held), f"{task} is in no heap"
    for name, task in s.orphans.items():
        assert task.state == "orphaned", f"{task} among the orphans"
        assert (task.key, task.run) == name, f"{task} is filed under {name}"
        assert s.tasks.get(task.key) is not task, f"{task} is an orphan and a task"


def _check_missing_keys(s: WorkerState) -> None:
    for key, item in s.missing_keys.items():
        assert key == item.key, f"{item} is filed under {key!r}"
        assert not holds(s, key, item.life), f"{item}, but it is here"
        assert item.tasks or item.acquire, f"nobody wants {item}"
        for task in item.tasks:
            assert task.state == "waiting", f"{item} for {task}"
            assert s.tasks.get(task.key) is task, f"{item} for {task}, which is gone"
        assert not item.here or key in s.tasks, f"nobody computes {item}"
        ways = (item.flight is not None) + item.waits_for_retry + item.here
        if item.peer is not None and item.flight is None:
            ways += 1
            assert any(entry[2] is item for entry in item.peer.queue), f"{item} is in no queue"
        assert ways == 1, f"{item} is on {ways} ways"
        if item.waits_for_retry:
            assert any(entry[2] is item for entry in s.retries), f"{item} is never retried"


def _check_peers(s: WorkerState) -> None:
    flying = 0
    for address, peer in s.peers.items():
        assert address == peer.address
        assert peer.flights or peer.queue, f"peer {address} has nothing to do"
        assert len(peer.flights) <= s.settings.fetches_per_peer, f"too many requests to {address}"
        total = 0
        for flight in peer.flights:
            assert flight.keys, f"an empty request to {address}"
            total += sum(flight.keys.values())
        flying += total
        queued = sum(
            item.nbytes
            for item in s.missing_keys.values()
            if item.peer is peer and item.flight is None
        )
        assert peer.assigned == total + queued, f"peer {address} has {total} + {queued} bytes"
    assert flying == s.fetching_bytes, f"{flying} bytes in flight, not {s.fetching_bytes}"
    for item in s.missing_keys.values():
        if item.peer is not None:
            assert s.peers.get(item.peer.address) is item.peer, f"{item} is at an unknown peer"


def _check_resources(s: WorkerState) -> None:
    left = dict(s.resources)
    for task in [*s.tasks.values(), *s.orphans.values()]:
        if task.state in HOLDING:
            for name, amount in task.need:
                left[name] -= amount
    for name, amount in left.items():
        assert abs(amount - s.available[name]) < 1e-6, f"{name}: {s.available[name]}, not {amount}"
        if s.resources == offered(s.settings.resources, s.settings.memory_limit):
            assert amount > -1e-6, f"{name} is overcommitted"
    for need, heap in s.constrained.items():
        fits = all(s.available.get(name, 0.0) >= amount + 1e-6 for name, amount in need)
        waiting = [entry[2] for entry in heap if entry[2].state == "constrained"]
        assert not (fits and waiting), f"{waiting[0]} could run"


def _check_effects(s: WorkerState) -> None:
    e = s.effects
    for task in e.execute:
        assert task.state in HOLDING | {"ended"}, f"{task} is executed"
    for key in (*s.also, *s.scattered):
        assert key in s.data, f"{key!r} was scattered, and is not here"
    for key in e.keep:
        assert key in s.data, f"{key!r} is kept but not in the books"
    if not s.connected:
        assert not s.missing_keys, "data is fetched without a scheduler"
        assert not [x for x in s.tasks.values() if x.state not in WITH_EXECUTOR]
        assert not e.send, "messages without a scheduler"
