"""Places for workers: a nanny that starts a new process when one died."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.simulation.worker_node import WorkerNode

if TYPE_CHECKING:
    from shoal.simulation.world import World

__all__ = ["Slot"]


class Slot:
    """One worker as its user sees it: a name, and one process after the other."""

    def __init__(self, cluster: World, number: int, everything: bool, lasting: bool) -> None:
        rng = cluster.rng
        self.cluster = cluster
        self.name = f"worker-{number}"
        self.host = f"host-{number % 2}"
        self.nthreads = rng.randint(1, 3)
        self.lasting = lasting  # False: tasks may not ask for it, and it may leave for ever
        gpu = everything or rng.random() < 0.3
        self.resources: dict[str, float] = {"GPU": float(rng.randint(1, 2))} if gpu else {}
        self.same_address = rng.random() < 0.3
        self.starts = 0
        self.gone = False
        self.node: WorkerNode | None = None
        self.start()

    def start(self) -> None:
        """Start a process."""
        if self.gone or self.node is not None:
            return
        self.starts += 1
        number = 0 if self.same_address else self.starts
        address = f"{self.name}:{number}"
        self.cluster.trace.write(self.cluster.clock.now, f"{address} starts, of {self.name}")
        self.node = WorkerNode(self.cluster, self, address)

    def kill(self, by: str | None = None) -> None:
        """Kill the process with -9; the nanny starts another one. `by` is the task that did it."""
        if self.node is not None:
            self.cluster.note_loss(self.node.address)
            runs = tuple(task.run for task in self.node.executor.running)
            self.cluster.note_death(self.node.address, runs, by)
            self.node.die()
            self.closed(True)

    def leave(self) -> None:
        """Go away for ever, without a goodbye."""
        self.gone = True
        self.kill()

    def closed(self, restart: bool) -> None:
        """The process ended."""
        self.node = None
        if restart or self.lasting:
            self.cluster.clock.call_later(self.cluster.rng.choice([0.05, 0.5]), self.start)
        else:
            self.gone = True
