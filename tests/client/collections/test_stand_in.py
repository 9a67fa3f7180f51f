"""dask looks for `distributed`, which is not installed: it finds shoal while shoal computes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import dask.bag as db
import pytest
from dask import delayed
from dask._task_spec import Task, TaskRef
from dask.utils import SerializableLock, get_scheduler_lock
from helpers import run

import shoal
from shoal import Client

pd: Any = pytest.importorskip("pandas")
dd: Any = pytest.importorskip("dask.dataframe")


def inc(x: int) -> int:
    return x + 1


def frame() -> Any:
    return dd.from_pandas(pd.DataFrame({"a": range(30), "b": range(30)}), npartitions=4)


def _shuffled(**kwargs: Any) -> dict[str, Any]:
    def total(part: Any) -> int:
        return int(part.b.sum())

    df = frame()
    return {
        "shuffle": lambda: df.shuffle("a", **kwargs),
        "merge": lambda: df.merge(df, on="a", **kwargs),
        "set_index": lambda: df.assign(c=df.b * 7 % 30).set_index("c", **kwargs),
        "sort_values": lambda: df.assign(c=df.b * 7 % 30).sort_values("c", **kwargs),
        "apply": lambda: df.groupby("a").apply(total, meta=("x", "i8"), **kwargs),
    }


@pytest.mark.parametrize("name", ["shuffle", "merge", "set_index", "sort_values"])
@pytest.mark.parametrize("how", ["compute", "dask.compute", "persist", "configured"])
def test_p2p_runs_as_it_is(client: Client, name: str, how: str) -> None:
    asked = {"shuffle_method": "p2p"} if how != "configured" else {}
    config = {} if asked else {"dataframe.shuffle.method": "p2p"}
    doing: Any = {
        "compute": lambda x: client.compute(x).result(),
        "persist": lambda x: client.persist(x).compute(),
        "configured": lambda x: client.compute(x).result(),
        "dask.compute": lambda x: dask.compute(x)[0],
    }[how]
    with dask.config.set(config):
        mine = doing(_shuffled(**asked)[name]())
    with dask.config.set({"dataframe.shuffle.method": "tasks"}):
        theirs = _shuffled()[name]().compute(scheduler="sync")
    by = list(mine.columns)
    same = [one.reset_index().sort_values(by).reset_index(drop=True) for one in (mine, theirs)]
    if name == "merge":  # in the order of the partitions that come out
        same = [one.drop(columns="index") for one in same]
    pd.testing.assert_frame_equal(*same)


def test_p2p_rechunks(client: Client) -> None:
    x = da.arange(100, chunks=7).reshape((10, 10)).rechunk((10, 1))
    y = x.rechunk((1, 10), method="p2p")
    assert "rechunk-p2p" in y.name
    assert (client.compute(y).result() == da.arange(100).reshape((10, 10)).compute()).all()
    with dask.config.set({"array.rechunk.method": "p2p"}):
        assert x.rechunk((1, 10)).sum().compute() == 4950


@pytest.mark.parametrize("name", list(_shuffled()))
def test_shuffles_are_p2p_by_default(client: Client, name: str) -> None:
    collection = _shuffled()[name]()
    kinds = {type(node).__name__ for node in collection.optimize(fuse=False).expr.walk()}
    assert kinds & {"P2PShuffle", "HashJoinP2P"} or name == "sort_values"
    assert not kinds & {"DiskShuffle", "TaskShuffle"}
    mine = collection.compute()
    with dask.config.set({"dataframe.shuffle.method": "tasks"}):
        assert sorted(mine.index) == sorted(_shuffled()[name]().compute(scheduler="sync").index)


def test_shuffles_of_a_client_that_is_no_default(monkeypatch: pytest.MonkeyPatch) -> None:
    from dask.dataframe.dask_expr._shuffle import DiskShuffle

    def never(self: Any) -> Any:
        raise AssertionError("a shuffle on the disk of one host")

    monkeypatch.setattr(DiskShuffle, "_layer", never)
    with Client(processes=False, n_workers=1, set_as_default=False) as client:
        assert len(client.compute(frame().shuffle("a")).result()) == 30
        assert len(client.gather(client.compute(client.persist(frame().shuffle("b"))))) == 30
        assert len(client.compute(frame().merge(frame(), on="a")).result()) == 30


def test_shuffles_of_an_installed_distributed_are_refused(client: Client) -> None:
    class P2PBarrierTask(Task):
        """As that package has it."""

    P2PBarrierTask.__module__ = "distributed.shuffle._core"
    graph = {
        "a": Task("a", inc, 1),
        "barrier": P2PBarrierTask("barrier", inc, TaskRef("a")),
        "b": Task("b", inc, TaskRef("barrier")),
    }
    with pytest.raises(ValueError, match=r"'barrier' .* package distributed.*'tasks'"):
        client.get(graph, ["b"])


def test_await_collections() -> None:
    """In plain asyncio, under no other name."""

    async def main() -> None:
        async with Client(processes=False, n_workers=1, asynchronous=True) as client:
            collections: list[tuple[Any, Any]] = [
                (da.ones(10, chunks=5).sum(), 10),
                (delayed(inc)(1), 2),
                (db.from_sequence([1, 2, 3], npartitions=2).map(inc), [2, 3, 4]),
                (frame().b.sum(), 435),
            ]
            for lazy, value in collections:
                kept = client.persist(lazy)
                assert await kept is kept
                assert all(future.done() for future in shoal.futures_of(kept))
                assert shoal.futures_of(kept)
                assert await client.compute(kept) == value
                assert await lazy is lazy  # there is nothing to wait for
            failed = client.persist(delayed(inc)("a"))
            assert await failed is failed
            with pytest.raises(TypeError):
                await client.compute(failed)

    run(main())


def test_locks_between_processes_are_found(client: Client) -> None:
    lock = get_scheduler_lock(da.ones(3))
    assert isinstance(lock, shoal.Lock)
    assert dask.base.get_scheduler(scheduler="distributed").__self__ is client
    assert isinstance(get_scheduler_lock(da.ones(3), scheduler="threads"), SerializableLock)


COMES_AND_GOES = """
import importlib.util, sys, dask, shoal
names = []
for _ in range(2):
    assert importlib.util.find_spec("distributed") is None
    assert dask.delayed(abs)(-1).compute(scheduler="threads") == 1  # dask looks, and finds nothing
    with shoal.Client(processes=False, n_workers=1) as client:
        from dask.distributed import Client
        from distributed.lock import Lock
        import distributed
        assert Client is shoal.Client and Lock is shoal.Lock
        assert dask.base.get_scheduler(scheduler="distributed").__self__ is client
        names.append(distributed)
    assert not [name for name in sys.modules if name.startswith("distributed")]
    try:
        import dask.distributed
    except ImportError:
        print("gone")
    assert dask.delayed(abs)(-1).compute() == 1
assert names[0] is names[1]
"""


def test_the_name_comes_and_goes_with_the_clients() -> None:
    assert python(COMES_AND_GOES) == "gone\ngone\n"


@pytest.mark.process
def test_processes_of_workers_find_it_too() -> None:
    # A class of a library that imports `distributed` is pickled by name: joblib's, for one.
    text = """
import shoal
with shoal.Client(n_workers=1, threads_per_worker=1, dashboard_address=None) as client:
    import distributed.lock
    print(client.submit(__import__, "distributed.lock").result().Lock is shoal.Lock)
    print(client.submit(lambda: __import__("distributed").Client.__module__).result())
"""
    assert python(text).split() == ["True", "shoal.client.client"]


def test_the_switch_can_be_turned_on_later() -> None:
    text = """
import sys, shoal
with shoal.Client(processes=False, n_workers=1):
    import distributed.lock
    shoal.install_as_distributed()
import distributed as again
assert again is distributed and again.Client is shoal.Client
"""
    assert python(text) == ""


def python(text: str, path: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "-c", text],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_installed_distributed_wins(tmp_path: Path) -> None:
    package = tmp_path / "distributed"
    package.mkdir()
    (package / "__init__.py").write_text("def get_client(): raise ValueError\nmine = True\n")
    text = (
        "import shoal, dask\n"
        "with shoal.Client(processes=False, n_workers=1):\n"
        "    import distributed; assert distributed.mine\n"
        "    try:\n        import distributed.shuffle\n"
        "    except ModuleNotFoundError as error: print(error)\n"
        "    assert dask.delayed(len)('abc').compute() == 3\n"
        "assert distributed.mine\n"
    )
    assert python(text, str(tmp_path)) == "No module named 'distributed.shuffle'\n"
