"""What a message says of itself: wrong ones are refused by name before anybody deals with them."""

from __future__ import annotations

from typing import Any

import pytest

from shoal.errors import ProtocolError
from shoal.wire import messages as m
from shoal.wire.blob import Blob
from shoal.wire.checks import check_batch
from shoal.wire.codec import BatchCodec

NAN = float("nan")


def graph(keys: list[str], **fields: Any) -> m.Graph:
    fields.setdefault("functions", [b"f" * 16])
    fields.setdefault("args", [b"a"] * len(keys))
    return m.Graph(keys=keys, **fields)


def finished(**fields: Any) -> m.Finished:
    columns: dict[str, Any] = {
        "keys": ["x"],
        "runs": [1],
        "nbytes": [28],
        "types": ["int"],
        "starts": [0.0],
        "stops": [1.0],
        "values": [None],
    }
    return m.Finished(**columns | fields)


COMPUTE = m.Compute("x", 1, b"f", b"a", (0.0, 0, 0), 0.1, True)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (finished(runs=[]), "Finished.runs has 0 entries for 1 keys"),
        (finished(values=[None, None]), "Finished.values has 2 entries"),
        (graph(["x"], args=[]), "Graph.args has 0 entries"),
        (graph(["x"], functions=[]), "Graph.functions is empty"),
        (graph(["x", "y"], function_of=[0, 1]), "Graph.function_of refers to entry 1 of 1"),
        (graph(["x"], groups=["g"], group_of=[1]), "Graph.group_of refers to entry 1 of 1"),
        (graph(["x"], group_of=[0]), "Graph.group_of refers to entry 0 of 0"),
        (graph(["x"], options=[m.TaskOptions()], option_of=[1]), "Graph.option_of refers to"),
        (graph(["x"], options=[m.TaskOptions()], option_of=[-2]), "Graph.option_of has -2"),
        (graph(["x"], wanted=[1]), "Graph.wanted refers to entry 1"),
        (graph(["x"], options=[m.TaskOptions(in_place=(0,))]), "no ranges of 0 inputs"),
        (graph(["x"], options=[m.TaskOptions(in_place=(0, 2**31))]), "no ranges of 0 inputs"),
        (
            graph(["x", "y"], deps=[[], [0]], options=[m.TaskOptions(in_place=(0, 1))]),
            "no ranges of 0 inputs",
        ),
        (graph(["x"], buffers={1: []}), "Graph.buffers refers to entry 1"),
        (graph(["x", "y"], lives=[5]), "Graph.lives has 1 entries"),
        (graph(["x", "y"], order=[5]), "Graph.order has 1 entries"),
        (graph(["x"], deps=[[], []]), "Graph.deps has 2 entries"),
        (graph(["x"], deps=[[1]]), "Graph.deps refers to entry 1 of 1"),
        (graph(["x"], deps=[["y", "y"]]), "an input of 'x' twice"),
        (graph(["x"], deps=[[0]]), "circle: 'x' needs itself"),
        (graph(["x", "y"], deps=[[1], [0]]), "circle"),
        (graph(["x", "y"], deps=[[], ["x"]]), "a key of the same message"),
        (graph(["x", "y", "x"], deps=[[], [0, 2], []]), "an input of 'y' twice"),
        (m.DefineFunctions([b"f"], []), "DefineFunctions.blobs has 0 entries for 1 ids"),
        (m.Scattered(["x"], [1], ["int"], []), "Scattered.holders has 0"),
        (m.Scattered(["x"], [1], ["int"], [[]], equal=[True, True]), "Scattered.equal has 2"),
        (m.MissingDeps("x", 1, ["y"], [[]], []), "MissingDeps.unreachable has 0"),
        (m.StealReply(["x"], [], []), "StealReply.runs has 0"),
        (m.Acquired(["x"], [], ["int"]), "Acquired.nbytes has 0"),
        (m.NotAcquired(["x"], "no", [1, 2]), "NotAcquired.lives has 2"),
        (m.Dropped(["x", "y"], "lost", [1]), "Dropped.lives has 1"),
        (m.ComputeMany(["x"], 1, b"f", [], [(0.0, 0, 0)], 0.1, True), "ComputeMany.args has 0"),
        (m.Free(["x", "y", "z"], [1, 2]), "Free.lives has 2"),
        (m.Acquire(["x"], [1], []), "Acquire.holders has 0"),
        (m.WorkerWelcome("s", 1.0, [], [], [1, 2]), "WorkerWelcome.forget_lives has 2"),
        (m.KeysInMemory(["x"], ["int"], [None], []), "KeysInMemory.holders has 0"),
        (m.KeysInMemory(["x"], ["int"], [None], [""]), "names nobody"),
        (m.KeysInMemory(["x"], [], [5], []), "KeysInMemory.types has 0"),
        (m.KeysShared(["x"], []), "KeysShared.lives has 0"),
    ],
)
def test_what_contradicts_itself_is_refused_by_name(message: Any, text: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        check_batch([message])
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("edge", "message"),
    [
        (m.WorkerToScheduler, finished(runs=[-1])),
        (m.WorkerToScheduler, finished(runs=[0])),
        (m.WorkerToScheduler, finished(nbytes=[-1])),
        (m.WorkerToScheduler, finished(starts=[NAN])),
        (m.WorkerToScheduler, finished(stops=[float("inf")])),
        (m.WorkerToScheduler, m.WorkerStatus("closed")),
        (m.WorkerToScheduler, m.ResourcesChanged({"GPU": NAN})),
        (m.WorkerToScheduler, m.WorkerHeartbeat({}, {"x": -1.0})),
        (m.WorkerToScheduler, m.WorkerHeartbeat({"cpu": {}}, {})),
        (m.WorkerToScheduler, m.WorkerHeartbeat({"transfer": 5}, {})),
        (m.WorkerToScheduler, m.WorkerHeartbeat({"bandwidth": {"total": "x"}}, {})),
        (m.WorkerToScheduler, m.WorkerHeartbeat({"bandwidth": {"types": {"ndarray": "x"}}}, {})),
        (m.WorkerToScheduler, m.WorkerHeartbeat({"bandwidth": {"types": 5.0}}, {})),
        (m.ClientToScheduler, graph(["x"], priority=NAN)),
        (m.ClientToScheduler, graph(["x"], fifo_timeout=-1.0)),
        (m.ClientToScheduler, graph(["x"], function_of=[-1])),
        (m.ClientToScheduler, graph(["x"], options=[m.TaskOptions(retries=-1)])),
        (m.ClientToScheduler, graph(["x"], options=[m.TaskOptions(resources={"GPU": -1.0})])),
        (m.ClientToScheduler, m.Scattered(["x"], [-5], ["int"], [[]])),
        (m.SchedulerToWorker, m.Free(["x"], [-1])),
    ],
)
def test_numbers_out_of_range_are_refused_by_the_decoder(edge: Any, message: Any) -> None:
    codec: BatchCodec[Any] = BatchCodec(edge)
    with pytest.raises(ProtocolError):
        codec.decode(codec.encode([message]))


def test_columns_of_dependencies_are_as_long_as_these() -> None:
    for field in ("dep_nbytes", "dep_holders", "dep_values", "dep_lives"):
        message = m.Compute("x", 1, b"f", b"a", (0.0, 0, 0), 0.1, True, **{field: (1,)})
        with pytest.raises(ProtocolError, match=f"Compute.{field} has 1"):
            check_batch([message])
    for deps in (("x",), ("y", "y")):
        with pytest.raises(ProtocolError, match="twice, or its own"):
            check_batch([m.Compute("x", 1, b"f", b"a", (0.0, 0, 0), 0.1, True, deps)])


def test_what_is_right_passes() -> None:
    check_batch(
        [
            COMPUTE,
            finished(),
            graph(["x", "y"], deps=[[], [0]]),
            graph(["y", "x"], deps=[[1], []]),  # inputs last is no circle
            graph(["x", "y", "x"], deps=[[], [2], [1]]),  # what is there twice counts once
            graph([]),
            m.Free(["x", "y"], [1]),
            m.KeysInMemory(["x", "y"], ["int", "int"], [None, 5], ["w"]),
            m.DefineFunctions([b"f"], [Blob(b"f")]),
        ]
    )


def test_a_batch_of_nothing_is_none() -> None:
    codec: BatchCodec[Any] = BatchCodec(m.WorkerToScheduler)
    with pytest.raises(ProtocolError, match="without messages"):
        codec.decode(codec.encode([]))
