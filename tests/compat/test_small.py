"""The small things that libraries import: each does what its name promises."""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import socket
import threading
from functools import partial

import dask.config
import numpy as np
import pytest
from helpers import run
from tornado.tcpserver import TCPServer

from shoal import Client, CommClosedError, wait
from shoal._base.keys import encode_key
from shoal.compat.addresses import (
    address_from_user_args,
    addresses_from_user_args,
    coerce_to_address,
    ensure_ip,
    format_dashboard_link,
    get_tcp_server_address,
    open_port,
    uri_from_host_port,
)
from shoal.compat.devices import (
    CudaDeviceInfo,
    cuda_serialize,
    device_get_count,
    get_device_index_and_uuid,
    get_device_mig_mode,
    has_cuda_context,
)
from shoal.compat.failures import clean_exception, log_errors
from shoal.compat.graphs import scatter_to_workers, subs_multiple
from shoal.compat.inspection import cli_keywords, import_term, is_kernel, iscoroutinefunction
from shoal.compat.messages import (
    dumps,
    ensure_concrete_host,
    from_frames,
    host_array,
    loads,
    to_frames,
)
from shoal.compat.objects import SchedulerInfo
from shoal.compat.pickles import dumps as pickle_dumps
from shoal.compat.pickles import loads as pickle_loads
from shoal.compat.runtime import CPU_COUNT, MEMORY_LIMIT, asyncio_run, get_loop_factory
from shoal.compat.sizes import nbytes, safe_sizeof
from shoal.compat.spill import AnyKeyFile, ManualEvictProto
from shoal.compat.timing import Deadline, wait_for, warn_on_duration
from shoal.compat.waiting import _get_global_client, _wait, thread_state
from shoal.errors import RemoteError
from shoal.testing import captured_logger, gen_cluster, inc
from shoal.wire.failures import pack_failure
from shoal.wire.serialize import Serialized, to_serialize


def test_deadlines():
    never = Deadline()
    assert (never.expires, never.expired, never.remaining, never.duration) == (
        False,
        False,
        None,
        None,
    )
    soon = Deadline.after("10s")
    assert soon.expires and not soon.expired
    assert 9 < soon.remaining <= 10
    assert soon.duration == pytest.approx(10, abs=0.1)
    assert 0 <= soon.elapsed < 5
    over = Deadline.after(0)
    assert over.expired and over.remaining == 0
    assert "no end" in repr(never)


def test_wait_for():
    async def main():
        assert await wait_for(asyncio.sleep(0, "x"), 5) == "x"
        forever = asyncio.get_running_loop().create_future()
        with pytest.raises(TimeoutError):
            await wait_for(forever, 0.01)
        assert forever.cancelled()

    run(main())


def test_a_warning_when_it_takes_long(recwarn):
    with warn_on_duration("1 hour", "never"):
        pass
    assert not recwarn.list
    with (
        pytest.warns(UserWarning, match=r"it took 0\.\d s"),
        warn_on_duration("0 ms", "it took {duration:.1f} s"),
    ):
        pass


def test_addresses():
    port = open_port()
    with socket.socket() as sock:
        sock.bind(("", port))
    assert ensure_ip("127.0.0.1") == ensure_ip("localhost") == "127.0.0.1"
    assert ensure_ip("::1") == "::1"
    assert ensure_concrete_host("1.2.3.4") == "1.2.3.4"
    assert ensure_concrete_host("0.0.0.0", "9.9.9.9") == ensure_concrete_host("::", "9.9.9.9")
    assert ensure_concrete_host("") not in ("", "0.0.0.0")
    assert format_dashboard_link("::1", 80) == "http://[::1]:80/status"
    with dask.config.set({"distributed.dashboard.link": "/user/{FISH_USER}/{port}"}):
        with pytest.raises(ValueError, match="no variable FISH_USER"):
            format_dashboard_link("x", 1)
        os.environ["FISH_USER"] = "me"
        try:
            assert format_dashboard_link("x", 1) == "/user/me/1"
        finally:
            del os.environ["FISH_USER"]


def test_no_devices():
    assert device_get_count() == 0
    assert has_cuda_context().has_context is False
    assert CudaDeviceInfo(b"GPU-1").uuid == b"GPU-1"
    for ask in (get_device_index_and_uuid, get_device_mig_mode):
        with pytest.raises(RuntimeError, match="no device 0"):
            ask(0)
    cuda_serialize.register(set, lambda x: "registered")
    assert cuda_serialize({1}) == "registered"


def test_exceptions_from_elsewhere():
    try:
        raise ZeroDivisionError("fish")
    except ZeroDivisionError as caught:
        error, packed = caught, pack_failure(caught)
    for form in (error, packed.exception, Serialized.of(error), to_serialize(error)):
        kind, value, _ = clean_exception(form, packed.traceback, status="error")
        assert kind is ZeroDivisionError
        assert str(value) == "fish"
    assert clean_exception(pickle.dumps(error))[0] is ZeroDivisionError
    kind, value, where = clean_exception("only text", "text of a traceback")
    assert (kind, str(value), where) == (RemoteError, "only text", None)
    with pytest.raises(ZeroDivisionError):
        raise clean_exception(packed.exception, packed.traceback)[1]


def test_errors_are_logged_on_their_way():
    @log_errors
    def fail(x):
        """Doc."""
        return 1 / x

    @log_errors(pdb=False)
    async def fail_later(error):
        raise error

    assert (fail(1), fail.__doc__) == (1.0, "Doc.")
    for call in (lambda: fail(0), lambda: run(fail_later(ZeroDivisionError("later")))):
        with captured_logger(__name__, propagate=False) as said, pytest.raises(ZeroDivisionError):
            call()
        assert "ZeroDivisionError" in said.getvalue()
        assert "Traceback" in said.getvalue()
    with captured_logger(__name__, propagate=False) as said:
        with pytest.raises(KeyError), log_errors():
            raise KeyError("fish")
        with pytest.raises(CommClosedError):
            run(fail_later(CommClosedError("quiet")))
    assert said.getvalue().count("fish") >= 1
    assert "quiet" not in said.getvalue()


def test_inspection():
    async def coroutine():
        pass

    assert iscoroutinefunction(coroutine)
    assert iscoroutinefunction(partial(partial(coroutine)))
    assert not iscoroutinefunction(partial(inc, 1))
    assert import_term("os.path.join") is os.path.join
    assert import_term("os.path") is os.path
    assert import_term("logging") is logging
    with pytest.raises(ModuleNotFoundError):
        import_term("fish.tail")
    assert not is_kernel()


def test_options_of_commands():
    d = {"nthreads": 2, "no_nanny": True, "host": None, "dashboard": False, "name": "a b"}
    assert cli_keywords(d) == ["--nthreads", "2", "--no-nanny", "--name", "'a b'"]

    def takes(nthreads, name):
        pass

    with pytest.raises(ValueError, match="takes does not take dashboard, fish"):
        cli_keywords({"nthreads": 1, "fish": 1, "dashboard": True}, takes)
    assert cli_keywords({"nanny_port": 1}, takes, "shoal.cli.worker") == ["--nanny-port", "1"]


def test_messages():
    message = {"op": "x", "data": to_serialize(np.arange(5)), "t": (1, {2})}
    frames = dumps(message)
    opened = loads(frames)
    assert opened["t"] == (1, {2})
    assert opened["data"].tolist() == [0, 1, 2, 3, 4]
    kept = loads(frames, deserialize=False)["data"]
    assert isinstance(kept, Serialized)
    assert run(from_frames(run(to_frames([1])))) == [1]
    lock = threading.Lock()
    with pytest.raises(TypeError, match="pickle"):
        dumps(lock, on_error="raise")
    assert "pickle" in str(loads(dumps(lock)))
    memory = host_array(5)
    memory[0] = 7
    assert (memory.nbytes, memory[0]) == (5, 7)


def test_pickles():
    array = np.arange(1000)
    assert pickle_loads(pickle_dumps(array)).tolist() == array.tolist()
    buffers = []
    data = pickle_dumps(array, buffer_callback=buffers.append)
    assert len(data) < 500 and len(buffers) == 1
    assert pickle_loads(data, buffers=buffers).tolist() == array.tolist()
    assert pickle_loads(pickle_dumps(lambda x: x + 1))(1) == 2
    with pytest.raises(ValueError, match="protocol=4"):
        pickle_dumps(1, protocol=4)


def test_sizes_and_limits():
    class Wrong:
        def __sizeof__(self):
            raise ValueError

    assert nbytes(b"123") == nbytes(bytearray(3)) == nbytes(memoryview(b"123")) == 3
    assert nbytes(np.zeros(3)) == 24
    assert safe_sizeof(b"1" * 100) >= 100
    with captured_logger("shoal.compat", propagate=False) as said:
        assert safe_sizeof(Wrong(), default_size=5) == 5
    assert "failed" in said.getvalue()
    assert MEMORY_LIMIT > 2**20
    assert CPU_COUNT > 0


def test_files_by_any_key(tmp_path):
    files = AnyKeyFile(tmp_path / "new")
    files[("x", 0)] = b"1"
    files[0] = [b"2", bytearray(b"3")]
    files[0] = b"4"
    assert dict(files) == {("x", 0): b"1", 0: b"4"}
    assert ("x", 0) in files and "0" not in files
    del files[0]
    assert len(files) == 1 == len(list((tmp_path / "new").iterdir()))
    with pytest.raises(KeyError):
        files[0]

    class Data:
        fast = ()

        def evict(self):
            return -1

    assert isinstance(Data(), ManualEvictProto)
    assert not isinstance({}, ManualEvictProto)


def test_scheduler_info_is_shown():
    worker = {"name": "<w>", "nthreads": 2, "memory_limit": 2**30}
    info = SchedulerInfo({"type": "Scheduler", "address": "tcp://a:1", "workers": {"b": worker}})
    assert info == {**info}
    shown = info._repr_html_()
    for piece in ("tcp://a:1", "1 workers", "2 threads", "1.00 GiB", "&lt;w&gt;"):
        assert piece in shown


def test_loops():
    with dask.config.set({"distributed.admin.event-loop": "asyncio"}):
        assert get_loop_factory() is None
    factory = get_loop_factory()

    async def main():
        return type(asyncio.get_running_loop())

    made = factory()
    made.close()
    assert asyncio_run(main(), loop_factory=factory) is type(made)
    assert asyncio_run(main()) is not type(made)


def test_old_graphs():
    subs = {"x": 1, ("y", 0): 2}
    assert subs_multiple((sum, ["x", ("y", 0), "z"]), subs) == (sum, [1, 2, "z"])
    assert subs_multiple({"k": "x"}, subs) == {"k": 1}
    assert subs_multiple(("y", 0), subs) == 2
    assert subs_multiple({1}, subs) == {1}


@gen_cluster(client=True)
async def test_data_is_spread(c, s, a, b):
    workers = {a.address: a.nthreads, b.address: b.nthreads}
    data = {("x", n): np.full(10, n) for n in range(6)}
    who_has, sizes = await scatter_to_workers(workers, data, s.rpc)
    assert sorted(map(len, (a.data, b.data))) == [2, 4]
    assert set(who_has) == set(sizes) == set(data)
    assert all(size >= 80 for size in sizes.values())
    for key, (address,) in who_has.items():
        worker = a if address == a.address else b
        (value,) = worker.store.get_many([encode_key(key)])
        assert value.tolist() == [key[1]] * 10
    assert await scatter_to_workers([a.address], {}, s.rpc) == ({}, {})
    with pytest.raises(ValueError, match="no workers"):
        await scatter_to_workers([], data, s.rpc)


def state_here():
    return thread_state.execution_state, thread_state.on_event_loop_thread


@gen_cluster(client=True, nthreads=[("127.0.0.1", 1)])
async def test_what_a_thread_does(c, s, a):
    assert not hasattr(thread_state, "execution_state")
    assert thread_state.on_event_loop_thread
    state, on_loop = await c.submit(state_here, key="fish")
    assert (state, on_loop) == ({"worker": a.address, "key": "fish"}, False)
    thread_state.asynchronous = True
    assert thread_state.asynchronous
    del thread_state.asynchronous
    futures = c.map(inc, range(3))
    done = await _wait(futures, timeout=5)
    assert done.done == set(futures)
    assert await _wait([]) == (set(), set())
    with pytest.raises(ValueError, match="return_when"):
        await _wait(futures, return_when="fish")
    assert _get_global_client() is c


def test_there_may_be_no_client():
    assert _get_global_client() is None


def test_waiting_on_the_loop_of_a_blocking_client():
    with Client(processes=False, n_workers=1, threads_per_worker=1) as client:
        futures = client.map(inc, range(3))
        done = client.sync(_wait, futures, 5, "FIRST_COMPLETED")
        assert done.done
        assert wait(futures).not_done == set()


def test_addresses_of_what_users_say():
    assert coerce_to_address(("127.0.0.1", 8786)) == "tcp://127.0.0.1:8786"
    assert coerce_to_address("tls://a:1") == "tls://a:1"
    assert uri_from_host_port(None, None, 8786) == "tcp://:8786"
    assert uri_from_host_port("node:1", None, 8786) == "tcp://node:1"
    assert uri_from_host_port("node", 5, 8786) == "tcp://node:5"
    with pytest.raises(ValueError, match="given twice"):
        uri_from_host_port("node:1", 5, 8786)
    assert address_from_user_args() == "tcp://:0"
    assert address_from_user_args(host="tls://node", port=5) == "tls://node:5"
    assert address_from_user_args(host="node:7", peer="tls://x:1") == "tls://node:7"
    assert address_from_user_args(security={"require_encryption": True}) == "tls://:0"
    assert address_from_user_args(protocol="inproc") == "inproc://"
    with pytest.raises(ValueError, match="host or an interface"):
        address_from_user_args(host="a", interface="lo")
    assert addresses_from_user_args(host=["a", "b"], port=[1, 2], protocol="tls") == [
        "tls://a:1",
        "tls://b:2",
    ]
    with pytest.raises(ValueError, match="same number"):
        addresses_from_user_args(host=["a", "b"], port=[1, 2, 3])


def test_addresses_of_tornado_servers():
    async def main():
        server = TCPServer()
        with pytest.raises(RuntimeError, match="not started"):
            get_tcp_server_address(server)
        server.listen(0, "127.0.0.1")
        host, port = get_tcp_server_address(server)
        assert host == "127.0.0.1" and port > 0
        server.stop()

    asyncio.run(main())
