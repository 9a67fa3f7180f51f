"""The arithmetic of memory, and what it is made of."""

from __future__ import annotations

from shoal.scheduler.core.state import WorkerState
from shoal.scheduler.views.memory import MemoryState, memory_of_worker, memory_of_workers
from shoal.wire.messages import RegisterWorker


def worker(**metrics: int) -> WorkerState:
    info = RegisterWorker(
        address="tcp://127.0.0.1:1",
        name="a",
        nthreads=1,
        memory_limit=0,
        resources={},
        pid=1,
        host="127.0.0.1",
        nanny=None,
        status="running",
        server_id="",
        versions={},
        local_directory="",
    )
    ws = WorkerState(info, 0.0)
    ws.metrics = dict(metrics)
    return ws


def test_parts_add_up() -> None:
    memory = MemoryState(process=100, unmanaged_old=20, managed=50, spilled=7)
    assert memory.managed == memory.managed_in_memory == 50
    assert memory.spilled == memory.managed_spilled == 7
    assert memory.managed_total == 57
    assert memory.process == memory.managed + memory.unmanaged
    assert memory.unmanaged == memory.unmanaged_old + memory.unmanaged_recent == 50
    assert memory.optimistic == memory.managed + memory.unmanaged_old == 70
    assert memory.to_dict()["unmanaged_recent"] == 30


def test_estimates_that_are_too_high_leave_nothing_negative() -> None:
    memory = MemoryState(process=10, unmanaged_old=5, managed=50, spilled=0)
    assert (memory.managed, memory.unmanaged, memory.unmanaged_old, memory.unmanaged_recent) == (
        10,
        0,
        0,
        0,
    )


def test_workers_are_summed() -> None:
    said = {"memory": 100, "managed_bytes": 40, "spilled_bytes": 3, "unmanaged_old": 10}
    one = memory_of_worker(worker(**said))
    assert (one.process, one.managed, one.spilled, one.optimistic) == (100, 40, 3, 50)
    both = memory_of_workers([worker(**said), worker(**said)])
    assert both == MemoryState.sum(one, one)
    assert both.optimistic == 100 and both.managed_total == 86


def test_a_worker_that_said_nothing_yet_uses_nothing() -> None:
    silent = memory_of_worker(worker())
    assert silent.to_dict() == dict.fromkeys(silent.to_dict(), 0)
    assert "Process memory (RSS)  : 0 B" in repr(silent)
