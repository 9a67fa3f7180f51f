"""Clients begin, lose their scheduler, find it again, end; which one is current; futures travel."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import pickle
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import dask.config
import pytest
from helpers import run, until, wait_until

from shoal import LocalCluster
from shoal.client import client as client_module
from shoal.client.client import Client
from shoal.client.current import current_client
from shoal.client.finding import default_client, get_client
from shoal.client.futures.future import Future
from shoal.errors import CancelledError
from shoal.wire import messages as m

from .little import Little


def inc(x):
    return x + 1


# ------------------------------------------------------------------ arguments


@pytest.mark.parametrize(
    ("args", "kwargs", "match"),
    [
        ((3,), {}, "got the int 3"),
        (("tcp://127.0.0.1:1",), {"scheduler_file": "x"}, "not both"),
        (("tcp://127.0.0.1:1",), {"n_workers": 2}, "does not know n_workers"),
        (("tcp://127.0.0.1:1",), {"security": 3}, "security= takes a Security"),
        (("tcp://127.0.0.1:1",), {"security": True}, "for a new cluster"),
    ],
)
def test_bad_arguments(args, kwargs, match) -> None:
    with pytest.raises(TypeError, match=match):
        Client(*args, **kwargs)


def test_no_scheduler_is_an_error_that_names_the_address() -> None:
    with pytest.raises(OSError, match=r"127\.0\.0\.1:1 after 0.05 s"):
        Client("127.0.0.1:1", timeout="50ms")
    with pytest.raises(ValueError, match="no clients found"):
        current_client()


def test_scheduler_files(client: Client, little: Little, tmp_path) -> None:
    path = tmp_path / "scheduler.json"
    client.write_scheduler_file(str(path))
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    content = json.loads(path.read_text())
    assert content["address"] == little.address and content["secret"]
    with Client(scheduler_file=str(path), set_as_default=False) as other:
        assert other.submit(inc, 1).result(5) == 2
        assert other.security.secret == content["secret"]
    with pytest.raises(ValueError, match="no scheduler file"):
        Client(scheduler_file=str(tmp_path / "none"), timeout="10ms")


def test_the_address_may_come_from_the_configuration(little: Little) -> None:
    with dask.config.set({"scheduler-address": little.address}), Client() as client:
        assert client.scheduler.address == little.address


def test_a_cluster_object_is_enough(little: Little) -> None:
    class Cluster:
        scheduler_address = little.address

    cluster = Cluster()
    with Client(cluster) as client:
        assert client.cluster is cluster
        assert client.submit(inc, 1).result(5) == 2


def test_repr(client: Client, little: Little) -> None:
    future = client.submit(inc, 1)
    future.result(5)
    assert repr(client) == f"<Client: {little.address!r} processes=0 threads=0>"
    assert "<Client" not in client._repr_html_() and little.address in client._repr_html_()
    assert "finished" in future._repr_html_()
    client.close()
    assert "closed" in repr(client)


# ------------------------------------------------------------------ which client


def test_current(little: Little) -> None:
    with Client(little.address) as a:
        assert Client.current() is default_client() is a
        assert Client.current(allow_global=False) is a  # of this block
        with Client(little.address) as b:
            assert Client.current() is b
            with a.as_current():
                assert Client.current(allow_global=False) is a is get_client()
            assert default_client(a) is a
        assert Client.current() is a
        with Client(little.address, set_as_default=False):
            assert Client.current() is a
    with pytest.raises(ValueError, match="as_current"):
        Client.current(allow_global=False)
    with pytest.raises(ValueError, match="no clients found"):
        Client.current()
    with pytest.raises(ValueError, match="not a task"):
        get_client()


def test_get_client_by_address(little: Little) -> None:
    with Client(little.address) as a:
        assert get_client(little.address) is a
    other = get_client(little.address)
    assert other is not a and other.submit(inc, 1).result(5) == 2
    other.close()


# ------------------------------------------------------------------ futures travel


def test_futures_are_pickled_between_clients(client: Client, little: Little) -> None:
    future = client.submit(inc, 1)
    future.result(5)
    with Client(little.address, set_as_default=False) as other:
        with other.as_current():
            copy = pickle.loads(pickle.dumps(future))
        assert copy.client is other and copy.key == future.key
        assert copy.result(5) == 2
        assert client.submit(inc, future).result(5) == 3
        # The result of each is for both.
        assert client.submit(inc, copy).result(5) == 3
        assert client.gather([copy, {"x": copy}]) == [2, {"x": 2}]


def test_futures_by_key(client: Client, little: Little) -> None:
    first = client.submit(inc, 1, key=("x", 0))
    first.result(5)
    same = Future(("x", 0), client)
    assert same.status == "finished" and same.result() == 2
    little.values["theirs"] = 5
    theirs = Future("theirs", client)
    assert theirs.result(5) == 5
    assert client.submit(inc, theirs).result(5) == 6
    silent = Future("silent", client, inform=False)
    assert silent.status == "pending"
    assert Future(theirs).key == "theirs"


def test_futures_in_results_belong_to_who_gathers(client: Client, little: Little) -> None:
    inner = client.submit(inc, 1)
    inner.result(5)
    little.tasks["outer"] = (b"", b"", [], [])
    little.values["outer"] = {"inner": inner}
    outer = Future("outer", client)
    assert outer.result(5)["inner"].client is client
    assert client.gather([outer])[0]["inner"].result(5) == 2


def test_futures_inside_of_objects_stay_alive(client: Client, little: Little) -> None:
    class Box:
        def __init__(self, future: Future) -> None:
            self.future = future

    little.paused = True
    key = "inner"
    task = client.submit(lambda box: 1, Box(client.submit(inc, 1, key=key)))
    client.sync(client._started)
    client.submit(inc, 3)
    client.sync(client._started)
    assert key in little.wanted
    other = client.submit(inc, 4)
    other.release()
    with pytest.raises(CancelledError, match="released"):
        other.result()
    del task
    client.sync(client._started)
    wait_until(lambda: key not in little.wanted)


# ------------------------------------------------------------------ the scheduler goes


def break_connections(little: Little) -> None:
    for stream in little.streams:
        stream.abort()
    little.streams.clear()


def test_a_lost_scheduler_is_found_again(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        first = await Little().open("tcp://127.0.0.1:0")
        address = first.address
        async with Client(address, asynchronous=True, set_as_default=False) as c:
            done = c.submit(inc, 0)
            await done
            first.paused = True
            futures = c.map(inc, range(1, 4))
            total = c.submit(sum, futures)
            await until(lambda: total.key in first.wanted)
            await first.close()
            await until(lambda: c.status == "connecting")
            assert repr(c) == f"<Client: connecting, to {address}>"
            late = c.submit(inc, 100)
            assert await done == 1
            async with Little() as second:
                await second.open(address)
                assert await total == 9 and c.status == "running"
                assert await c.gather([*futures, late]) == [2, 3, 4, 101]
                hello = next(x for x in second.heard if type(x) is m.ClientHello)
                assert hello.reconnect

    with caplog.at_level(logging.INFO, "shoal.client"):
        run(main())
    warnings = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert len(warnings) == 1 and "lost the connection to the scheduler" in warnings[0]
    assert any("again" in r.getMessage() for r in caplog.records)


def test_a_scheduler_that_does_not_come_back(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        little = await Little().open("tcp://127.0.0.1:0")
        little.paused = True
        async with Client(little.address, asynchronous=True, set_as_default=False) as c:
            future = c.submit(inc, 0)
            await until(lambda: little.wanted)
            await little.close()
            with pytest.raises(CancelledError, match=little.address):
                await future
            assert c.status == "closed"
            with pytest.raises(RuntimeError, match="cannot be used any more"):
                c.submit(inc, 1)

    with dask.config.set({"shoal.recovery.reconnect": "100ms"}):
        run(main())
    assert [r.levelname for r in caplog.records] == ["WARNING", "ERROR"]


def test_a_scheduler_that_closes_on_purpose(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with Little() as little:
            await little.open()
            little.paused = True
            async with Client(little.address, asynchronous=True, set_as_default=False) as c:
                future = c.submit(inc, 0)
                await until(lambda: little.wanted)
                little.say(m.SchedulerClosing("good night"))
                with pytest.raises(CancelledError, match="good night"):
                    await future

    run(main())
    assert not caplog.records


def test_closing(little: Little) -> None:
    client = Client(little.address, set_as_default=False)
    little.paused = True
    future = client.submit(inc, 1)
    client.close()
    client.close()
    assert type(little.heard[-1]) is m.ClientGoodbye
    with pytest.raises(CancelledError, match="closed"):
        future.result()
    with pytest.raises(RuntimeError, match="closed"):
        client.submit(inc, 2)
    with pytest.raises(RuntimeError, match="closed"):
        client.map(inc, [2])


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
def test_futures_that_outlive_the_modules_are_dropped_in_silence(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*args: object) -> None:
        raise TypeError("'NoneType' object is not callable")

    noise: list[object] = []
    future = client.submit(inc, 1)
    future.result()
    with monkeypatch.context() as patch:
        patch.setattr(type(client._session.outbox), "wake", gone)
        patch.setattr(sys, "unraisablehook", noise.append)
        del future
    assert noise == []


def test_ctrl_c_interrupts_waiting(client: Client, little: Little) -> None:
    little.paused = True
    future = client.submit(inc, 1)
    main = threading.get_ident()
    for wait in (future.result, lambda: client.gather([future]), lambda: client.run(inc, 1)):
        little.handlers["broadcast"] = lambda comm, **kwargs: asyncio.Event().wait()
        timer = threading.Timer(0.05, signal.pthread_kill, (main, signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            wait()
        timer.join()
    assert future._record.watch == ()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_has_no_client(little: Little) -> None:
    with Client(little.address):
        child = os.fork()
        if not child:
            try:
                current_client()
            except ValueError:
                os._exit(7)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_restart(client: Client, little: Little) -> None:
    async def restart(comm, timeout, wait_for_workers) -> None:
        little.values.clear()
        little.say(m.Restarted())

    little.handlers["restart"] = restart
    future = client.submit(inc, 1)
    assert future.result(5) == 2
    assert client.restart(timeout="5s") is client
    assert future.cancelled()
    assert client.submit(inc, 1).result(5) == 2


def test_closing_in_the_midst_of_starting() -> None:
    async def main() -> None:
        client = Client("tcp://127.0.0.1:1", asynchronous=True, set_as_default=False)
        await asyncio.sleep(0)
        await client.close()
        assert client.status == "closed"

    run(main())


@pytest.mark.parametrize("given", ["cluster", "address", "get_client"])
def test_asynchronous_clients_of_a_cluster_of_ordinary_code(given: str) -> None:
    async def main(cluster: LocalCluster) -> int:
        if given == "get_client":
            made = cluster.get_client(asynchronous=True)
        else:
            made = Client(
                cluster if given == "cluster" else cluster.scheduler_address, asynchronous=True
            )
        async with made as client:
            assert client.loop.asyncio_loop is asyncio.get_running_loop()
            return await client.submit(sum, [1, 2])

    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
        assert asyncio.run(main(cluster)) == 3
        with cluster.get_client(name="plain") as client:
            assert client.submit(sum, [1, 2]).result() == 3 and client.id.startswith("plain-")


def test_what_holds_a_client_or_a_cluster_is_told_so() -> None:
    class Holder:
        def __init__(self, held: Any) -> None:
            self.held = held

        def use(self) -> None: ...

    with (
        LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        for what in (client, cluster, client.get_executor()):
            name = "LocalCluster" if what is cluster else "Client"
            with pytest.raises(TypeError, match=f"there is a {name} in it"):
                client.submit(Holder(what).use)
            with pytest.raises(TypeError, match=f"there is a {name} in it"):
                client.submit(lambda held=what: held)


def test_clients_that_did_not_connect_are_not_open() -> None:
    open_before = len(client_module._open_clients)
    with pytest.raises(OSError, match=r"127\.0\.0\.1:1"):
        Client("tcp://127.0.0.1:1", timeout="200ms")
    assert len(client_module._open_clients) == open_before


@pytest.mark.process
def test_an_asynchronous_client_that_nobody_closes_ends_in_silence() -> None:
    script = (
        "import asyncio\n"
        "from shoal import Client\n"
        "async def main():\n"
        "    global client\n"
        "    client = await Client(n_workers=1, asynchronous=True, dashboard_address=None)\n"
        "    print(await client.submit(abs, -1))\n"
        "if __name__ == '__main__': asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")
    # Nor is its cluster's folder left.
    wait_until(lambda: not list(Path(tempfile.gettempdir()).glob("shoal-*")), 20)
