"""What tasks say reaches users: print, warn, and what became of tasks."""

from __future__ import annotations

import asyncio
import sys
import warnings

import pytest
from helpers import wait_until

import shoal
from shoal import Client, Reschedule, get_task_metadata, get_worker, worker_client


@pytest.fixture(scope="module")
def client():
    with Client(processes=False, n_workers=2, threads_per_worker=1) as client:
        yield client


@pytest.fixture
def elsewhere(monkeypatch):
    """Take what is said here for the words of another process."""
    names = iter(range(1_000_000))
    monkeypatch.setattr("shoal.client.observe.worker_print._process", lambda: str(next(names)))


def say(*args, **kwargs):
    shoal.print(*args, **kwargs)


def test_print_reaches_the_client(client, elsewhere, capsys):
    client.submit(say, "Hello", 1, sep="-", pure=False).result()
    out = ""

    def twice():
        nonlocal out
        out += capsys.readouterr().out
        return out == "Hello-1\n" * 2  # there and here

    wait_until(twice)


def test_print_to_stderr(client, elsewhere, capsys):
    client.submit(lambda: shoal.print("oh", file=sys.stderr, end="!"), pure=False).result()
    err = ""

    def twice():
        nonlocal err
        err += capsys.readouterr().err
        return err == "oh!oh!"

    wait_until(twice)


def test_print_in_one_process_is_seen_once(client, capsys):
    client.submit(say, "once", pure=False).result()
    wait_until(lambda: any(m["args"] == ["once"] for _, m in client.get_events("print")))
    client.submit(say, "later", pure=False).result()
    assert capsys.readouterr().out.split() == ["once", "later"]


def test_print_outside_of_tasks_is_print(capsys):
    shoal.print("plain", 1)
    assert capsys.readouterr().out == "plain 1\n"


def test_print_to_other_files_is_refused_in_tasks(client, tmp_path):
    def task(path):
        with open(path, "w") as file:
            shoal.print("x", file=file)

    with pytest.raises(TypeError, match=r"sys\.stdout or sys\.stderr"):
        client.submit(task, str(tmp_path / "f")).result()


class HomeMade(UserWarning):
    pass


@pytest.mark.parametrize("category", [UserWarning, RuntimeWarning])
def test_warn_reaches_the_client(client, elsewhere, category):
    def task():
        shoal.warn("Beware!", category)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        client.submit(task, pure=False).result()
        wait_until(lambda: len(caught) == 2)
    assert [str(w.message) for w in caught] == ["Beware!"] * 2
    assert {w.category for w in caught} == {category}
    assert {w.filename for w in caught} == {__file__}


def test_other_handlers_of_print_win(client, elsewhere):
    got = []
    client.subscribe_topic("print", got.append)
    try:
        client.submit(say, "for the handler", pure=False).result()
        wait_until(lambda: [m["args"] for _, m in got] == [["for the handler"]])
    finally:
        client.unsubscribe_topic("print")


def inc(x):
    return x + 1


def nested(x):
    with worker_client() as here:
        return here.submit(inc, x).result()


def test_task_metadata(client):
    client.submit(inc, -1).result()
    with get_task_metadata() as tasks:
        future = client.submit(nested, 1)
        bad = client.submit(int, "x")
        assert future.result() == 2
        assert isinstance(bad.exception(), ValueError)
    assert tasks.state[future.key] == "memory" and tasks.state[bad.key] == "erred"
    assert len(tasks.state) == 3 and tasks.state.keys() == tasks.metadata.keys()
    known = tasks.metadata[future.key]
    assert known["type"] == "int" and known["worker"] in client.nthreads()
    client.submit(inc, 50).result()
    assert len(tasks.state) == 3, "that was after the block"


def test_task_metadata_asynchronously(client):
    async def main():
        async with Client(client.scheduler.address, asynchronous=True) as other:
            async with get_task_metadata() as tasks:
                future = other.submit(inc, 1000)
                await future
            return tasks.state[future.key]

    assert asyncio.run(main()) == "memory"
    with pytest.raises(TypeError, match="async with"):

        async def wrong():
            async with Client(client.scheduler.address, asynchronous=True):
                with get_task_metadata():
                    pass

        asyncio.run(wrong())


TRIED: list[str] = []


def try_twice():
    TRIED.append(get_worker().address)
    if len(TRIED) == 1:
        raise Reschedule
    return TRIED[-1]


def test_reschedule_runs_the_task_elsewhere(client):
    assert client.submit(try_twice).result() == TRIED[1] != TRIED[0]
