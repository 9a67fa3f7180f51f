"""`shoal.testing`: tests that get a cluster, as those who build on shoal write them."""

from __future__ import annotations

import asyncio
import inspect

import dask.config
import pytest
from tornado.ioloop import IOLoop

from shoal import Client, Nanny, Scheduler, Security, Worker
from shoal.testing import (  # noqa: F401  (fixtures)
    a,
    b,
    c,
    cleanup,
    client,
    client_no_amm,
    client_secondary,
    cluster,
    cluster_fixture,
    deep,
    end_cluster,
    gen_cluster,
    gen_test,
    gen_tls_cluster,
    inc,
    loop,
    loop_in_thread,
    s,
    security,
    start_cluster,
    tls_client,
    tls_cluster,
    tls_config,
    tls_only_security,
    tls_security,
    wait_for_state,
)
from shoal.testing.comms import check_deserialize


@gen_test()
async def test_a_coroutine_is_a_test():
    await asyncio.sleep(0)
    assert asyncio.get_running_loop().is_running()


@pytest.mark.parametrize("number", [1, 2])
@gen_test(config={"distributed.fish": 5})
async def test_with_parameters_and_fixtures(number, tmp_path):
    assert number in (1, 2)
    assert tmp_path.is_dir()
    assert dask.config.get("distributed.fish") == 5


@gen_cluster(client=True)
async def test_a_cluster_on_the_loop(c, s, a, b):  # noqa: F811
    assert isinstance(c, Client)
    assert isinstance(s, Scheduler)
    assert [type(w) for w in (a, b)] == [Worker, Worker]
    assert (a.nthreads, b.nthreads, a.name, b.name) == (1, 2, 0, 1)
    assert set(s.workers) == {a.address, b.address}
    assert await c.submit(inc, 1, workers=[b.address]) == 2
    assert len(b.data) + len(a.data) <= 1


@pytest.mark.parametrize("x", [1])
@gen_cluster(
    nthreads=[("127.0.0.1", 1), ("127.0.0.1", 3, {"resources": {"GPU": 1}})],
    worker_kwargs={"memory_limit": "1 GB"},
)
async def test_no_client_and_other_workers(s, first, second, x, tmp_path):  # noqa: F811
    assert second.resources == {"GPU": 1}
    assert first.memory_limit == 10**9
    assert s.total_nthreads == 4
    assert x == 1 and tmp_path


@gen_cluster(nthreads=[])
async def test_no_workers(s):  # noqa: F811
    assert not s.workers


@gen_cluster(client=True, security=tls_only_security(), nthreads=[("127.0.0.1", 1)])
async def test_encrypted(c, s, a):  # noqa: F811
    assert s.address.startswith("tls://")
    assert await c.submit(inc, 1) == 2


@gen_tls_cluster(client=True)
async def test_encrypted_in_short(c, s, a, b):  # noqa: F811
    assert {each.address[:6] for each in (s, a, b)} == {"tls://"}
    assert await c.submit(inc, 1) == 2


@gen_cluster(client=True, nthreads=[("tcp://127.0.0.1", 1)])
async def test_frames_of_helpers_and_states(c, s, a):  # noqa: F811
    future = c.submit(deep, 3)
    with pytest.raises(RuntimeError, match="hello") as caught:
        await future
    assert [entry.name for entry in caught.traceback][-5:] == ["deep"] * 4 + ["throws"]
    await wait_for_state(future.key, "erred", s)
    await wait_for_state(future.key, {"memory", "erred"}, s)


@gen_test()
async def test_a_cluster_by_hand():
    s, workers = await start_cluster([("127.0.0.1", 1)])  # noqa: F811
    async with Client(s.address, asynchronous=True) as c:  # noqa: F811
        assert await c.submit(inc, 1) == 2
    await end_cluster(s, workers)
    assert s.status == workers[0].status == "closed"


@pytest.mark.process
@gen_cluster(client=True, Worker=Nanny, nthreads=[("127.0.0.1", 1)], timeout=50)
async def test_nannies(c, s, a):  # noqa: F811
    assert await c.submit(inc, 1) == 2
    assert a.worker_address in s.workers


def test_certificates_as_configuration():
    with dask.config.set(tls_config()):
        assert Security().tls_worker_cert == tls_security().tls_worker_cert


def test_pytest_sees_the_other_arguments_only():
    @gen_cluster(client=True)
    async def test(c, s, a, b, tmp_path, loop):  # noqa: F811
        pass

    assert list(inspect.signature(test).parameters) == ["tmp_path", "loop"]

    @gen_cluster(client=True, nthreads=[("127.0.0.1", 1)] * 5)
    async def test_many(c, s, *workers, tmp_path, number=1):  # noqa: F811
        assert len(workers) == 5 and tmp_path == "here"

    assert list(inspect.signature(test_many).parameters) == ["tmp_path", "number"]
    test_many(tmp_path="here")


def test_mistakes_are_told():
    with pytest.raises(TypeError, match="with parentheses"):
        gen_cluster(lambda: None)
    with pytest.raises(TypeError, match="with parentheses"):
        gen_test(lambda: None)
    with pytest.raises(TypeError, match="async def f"):

        @gen_test()
        def f():
            pass


def test_failures_come_out():
    @gen_test(timeout=0.05)
    async def late():
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError, match=r"did not end within 0\.05 s"):
        late()

    @gen_cluster(client=True)
    async def wrong(c, s, a, b):  # noqa: F811
        assert await c.submit(inc, 1) == 3

    with pytest.raises(AssertionError):
        wrong()

    @gen_test(clean_kwargs={"timeout": 0.05})
    async def leaving():
        kept.append(await Client(processes=False, asynchronous=True, dashboard_address=None))

    kept = []
    with pytest.raises(AssertionError, match=r"left behind: .*Client"):
        leaving()


@pytest.mark.process
def test_processes_and_a_loop_of_ones_own(loop):  # noqa: F811
    assert isinstance(loop, IOLoop)
    with (
        cluster(nworkers=1, config={"distributed.fish": 7}) as (s, [w]),  # noqa: F811
        Client(s["address"], loop=loop) as client,  # noqa: F811
    ):
        assert client.loop.asyncio_loop is loop.asyncio_loop
        assert client.submit(dask.config.get, "distributed.fish").result() == 7
        assert list(client.scheduler_info()["workers"]) == [w["address"]]
        assert w["address"].startswith("tcp://127.0.0.1:")


@pytest.mark.process
def test_fixtures_that_belong_together(client, s, a, b):  # noqa: F811
    assert client.scheduler.address == s["address"]
    assert set(client.scheduler_info()["workers"]) == {a["address"], b["address"]}
    assert client.submit(inc, 1, workers=[a["address"]]).result() == 2


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:0", "inproc://"])
def test_transports_open_what_they_shall(address):
    asyncio.run(check_deserialize(address))


@pytest.mark.process
def test_fixtures_with_certificates(tls_client, tls_cluster, security):  # noqa: F811
    assert tls_client.scheduler.address == tls_cluster[0]["address"]
    assert tls_cluster[1][0]["address"].startswith("tls://") and security.require_encryption
    assert tls_client.submit(inc, 1).result() == 2


@pytest.mark.process
def test_more_clients(c, client, client_secondary, client_no_amm):  # noqa: F811
    assert c is client is client_no_amm
    assert client_secondary.id != client.id
    assert client_secondary.scheduler.address == client.scheduler.address
    assert not client.amm.running()
