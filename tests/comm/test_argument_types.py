"""Requests with arguments that an operation cannot take are refused before it does anything."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from helpers import run

from shoal import Client, Nanny, Scheduler, Worker
from shoal.comm.argument_types import checks_of
from shoal.core import Server, rpc
from shoal.scheduler.operations import OPERATIONS
from shoal.wire.pickling import dumps
from shoal.worker.operations import OPERATIONS as OF_WORKERS


def allows(operations: dict[str, Any], op: str, name: str, value: Any) -> bool:
    check, _ = checks_of(partial(operations[op], None))[name]
    return check(value)


@pytest.mark.parametrize(
    ("op", "name", "good", "bad"),
    [
        ("who_has", "keys", [["x"], ("x",), {"x"}, None, []], [5, "x", [1], {"x": b""}.values()]),
        ("explain", "key", ["x"], [None, b"x", ["x"]]),
        ("scatter", "life", [0, 2**63 - 1], [-1, 2**63, 1.5, "1", None]),
        ("scatter", "data", [{}, {"x": 1}], [[], {1: 1}, None]),
        ("scatter", "timeout", [None, 1, 0.5], ["1", float("nan"), [1]]),
        ("scatter", "broadcast", [True, 2], [None, "2"]),
        ("worker_died", "running", [None, [1, 2]], [["1"], 1]),
        ("log_event", "topic", ["t", ["t", "u"]], [1, [1], None]),
        ("adaptive_target", "target_duration", [1, 2.5, "1s", None], [[1]]),
    ],
)
def test_arguments_are_looked_at_whole(op: str, name: str, good: list[Any], bad: list[Any]) -> None:
    assert all(allows(OPERATIONS, op, name, value) for value in good)
    assert not any(allows(OPERATIONS, op, name, value) for value in bad)


def test_numbers_in_pairs_and_tables_of_them() -> None:
    assert allows(OF_WORKERS, "give_parts", "parts", [[0, 1], (2, 3)])
    assert not allows(OF_WORKERS, "give_parts", "parts", [[0, -1]])
    assert not allows(OF_WORKERS, "give_parts", "parts", [[0, 1, 2]])
    assert allows(OF_WORKERS, "get_data", "lives", {"x": 1})
    assert not allows(OF_WORKERS, "get_data", "lives", {"x": -1})


def test_every_argument_of_an_operation_has_a_type_that_is_checked() -> None:
    """What may be anything says so."""
    for operations in (OPERATIONS, OF_WORKERS):
        for op, function in operations.items():
            checks = checks_of(partial(function, None))
            for name, annotation in function.__annotations__.items():
                free = name in ("return", "comm", "scheduler", "worker", "storage_options", "which")
                assert free or name in checks or annotation == "Any", f"{op}({name}: {annotation})"


def test_annotations_of_users_are_for_readers() -> None:
    def add(comm: Any, x: int, y: str = "") -> Any:
        return [x, y]

    async def main() -> None:
        async with Server({"add": add}) as server:
            await server.listen("tcp://127.0.0.1:0")
            async with rpc(server.address) as remote:
                assert await remote.add(x="1", y=2) == ["1", 2]

    run(main())


def test_a_number_below_zero_does_not_end_the_worker_that_takes_data() -> None:
    """It said that number to the scheduler, which closed it for a message that cannot be."""

    async def main() -> None:
        async with (
            Scheduler(host="127.0.0.1") as scheduler,
            Worker(scheduler.address, nthreads=1) as worker,
            Client(scheduler.address, asynchronous=True) as client,
            rpc(worker.address) as remote,
        ):
            kept = await client.scatter(1)
            for life in (-2, 2**63):
                with pytest.raises(TypeError, match="'update_data': life"):
                    await remote.update_data(data={"u": dumps(1)}, life=life)
            assert await client.gather(kept) == 1
            assert worker.status == "running"

    run(main())


def test_a_nanny_looks_too() -> None:
    async def main() -> None:
        async with Scheduler(host="127.0.0.1") as scheduler:
            nanny = Nanny(scheduler.address, nthreads=1)
            await nanny.listen("tcp://127.0.0.1:0", role="worker")
            try:
                async with rpc(nanny.address) as remote:
                    with pytest.raises(TypeError, match="'kill': timeout"):
                        await remote.kill(timeout="soon")
            finally:
                await nanny.close()

    run(main())
