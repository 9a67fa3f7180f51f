"""The ports through which a simulated worker's effects are carried out, but for its executor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.scheduler.core.transitions.processing import ACTOR_PROXY
from shoal.wire.messages import RegisterWorker
from shoal.worker.core import (
    Close,
    Evicted,
    Fetch,
    Fetched,
    FetchFailed,
    Interrupted,
    Registration,
    Revoked,
    TaskRun,
)

if TYPE_CHECKING:
    from shoal.simulation.worker_node import WorkerNode

__all__ = ["MEMORY", "Calls", "Link"]

MEMORY = 1_000
"""Each worker's limit, in bytes."""


class Link:
    """The connection to the scheduler, while there is one."""

    def __init__(self, node: WorkerNode) -> None:
        self._node = node

    def send(self, messages: list[Any]) -> None:
        """Send messages; without a connection they are dropped."""
        if self._node.end is not None:
            self._node.end.send(messages)


class Calls:
    """The other things that happen in a simulated worker's process."""

    def __init__(self, node: WorkerNode) -> None:
        self._node = node
        self._registered_before = False
        # The real executor answers at once; the core is to bear one that takes its time.
        self._slow = node.cluster.seed % 4 == 3

    def introduce(self, known: Registration) -> RegisterWorker:
        """Return what the worker says of itself."""
        node = self._node
        slot = node.slot
        reconnect, self._registered_before = self._registered_before, True
        return RegisterWorker(
            address=node.address,
            name=slot.name,
            nthreads=slot.nthreads,
            memory_limit=MEMORY,
            resources=slot.resources,
            pid=slot.starts,
            host=slot.host,
            nanny=f"nanny-{slot.name}",
            status=known.status,
            server_id=node.address,
            versions={},
            local_directory="",
            reconnect=reconnect,
            held=known.held,
            held_nbytes=known.held_nbytes,
            held_types=known.held_types,
            running=known.running,
            running_runs=known.running_runs,
            held_lives=known.held_lives,
            running_lives=known.running_lives,
        )

    def took_back(self, answer: Revoked) -> None:
        """Tell the core what the executor took back."""
        node = self._node
        if self._slow:
            node.later(node.cluster.rng.random() * 0.003, node.handle, answer)
        else:
            node.handle(answer)

    def stopped(self, answer: Interrupted) -> None:
        """Tell the core what the executor stopped."""
        self._node.handle(answer)

    def fetch(self, fetch: Fetch) -> None:
        """Get values from a peer."""
        node = self._node

        def answered(found: dict[str, bytes] | None) -> None:
            if found is None:
                node.handle(FetchFailed(fetch.peer, fetch.keys, "no answer", fetch.lives))
                return
            specs = node.cluster.model.specs
            got = [
                (key, specs[key].nbytes, ACTOR_PROXY if specs[key].kind == "actor" else "int")
                for key in fetch.keys
                if key in found
            ]
            absent = [key for key in fetch.keys if key not in found]
            node.handle(Fetched(fetch.peer, got, absent, fetch.lives), found)

        node.cluster.network.ask(node, fetch.peer, ("get", fetch.keys, fetch.lives), answered)

    def call_back(self, token: str) -> None:
        """Ask the scheduler what it wants, and answer."""
        walls = self._node.cluster.network.walls
        assert walls is not None
        walls.called_back(self._node, token)

    def paused(self) -> None:
        """People would be told."""

    def resumed(self) -> None:
        """People would be told."""

    def leave(self, reason: str) -> None:
        """Hand over the data; the scheduler closes it then."""
        node = self._node
        node.left = True
        node.cluster.retiring[node.address] = None
        node.later(0.0, node.cluster.scheduler.retire, node.address)

    def replace(self, reason: str) -> None:
        """Hand over the data in a short time, or not at all, and close for another process."""
        node = self._node
        rng = node.cluster.rng
        node.cluster.note_loss(node.address)
        if rng.random() < 0.5:
            self.leave(reason)
        node.later(rng.random() * 0.5, node.handle, Close(reason))

    def refuse(self, task: TaskRun, reason: str) -> None:
        """No disk of the simulation is ever full."""
        raise AssertionError(f"{task} was refused: {reason}")

    def evict(self, nbytes: int, in_use: frozenset[str], spare: list[str]) -> None:
        """Write values to disk, on a thread of its own."""
        seconds = self._node.cluster.rng.random() * 0.01
        self._node.later(seconds, self._evict, nbytes, in_use, spare)

    def _evict(self, nbytes: int, in_use: frozenset[str], spare: list[str]) -> None:
        node = self._node
        store = node.executor.store
        moved = store.evict(nbytes, in_use, spare)
        if moved:
            node.cluster.evictions += 1
        node.handle(Evicted(nbytes, store.size(moved), moved))
        node.measure()

    def reclaim(self, how: str) -> None:
        """There is nothing to give back."""
        self._node.later(0.001, self._node.measure, True)

    def close(self, reason: str, restart: bool) -> None:
        """Close in the loop's next turn."""
        self._node.later(0.0, self._node.close, reason, restart)
