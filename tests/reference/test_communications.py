"""The functions and classes that `communications.txt` and `foundations.txt` name.

The programs of `foundations.txt` are run in `tests/comm/test_server.py`.
"""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from helpers import run

from shoal.comm import (
    Backend,
    Comm,
    Listener,
    backends,
    connect,
    get_address_host,
    listen,
    normalize_address,
    parse_address,
    resolve_address,
    unparse_address,
)
from shoal.core import Server, rpc


def test_addresses() -> None:
    assert parse_address("tcp://127.0.0.1:1234") == ("tcp", "127.0.0.1:1234")
    assert unparse_address("tcp", "127.0.0.1:1234") == "tcp://127.0.0.1:1234"
    # "if the URI scheme is omitted, a default scheme of tcp is assumed"
    assert normalize_address("127.0.0.1:456") == "tcp://127.0.0.1:456"
    assert get_address_host("tcp://127.0.0.1:456") == "127.0.0.1"
    assert resolve_address("tcp://127.0.0.1:456") == "tcp://127.0.0.1:456"
    assert resolve_address("tcp://localhost:456") in ("tcp://127.0.0.1:456", "tcp://[::1]:456")


def test_the_schemes() -> None:
    assert {"tcp", "tls", "inproc"} <= set(backends)
    assert all(isinstance(backend, Backend) for backend in backends.values())
    for method in ("get_connector", "get_listener", "get_address_host", "resolve_address"):
        assert inspect.isroutine(getattr(Backend, method))


@pytest.mark.parametrize("address", ["tcp://", "tcp://127.0.0.1", "inproc://"])
def test_listen_and_connect(address: str) -> None:
    async def echo(comm: Comm) -> None:
        await comm.write(await comm.read())

    async def main() -> Any:
        listener = await listen(address, echo)
        assert isinstance(listener, Listener)
        assert listener.listen_address.startswith(address.partition("//")[0])
        comm = await connect(listener.contact_address)
        assert isinstance(comm, Comm) and not comm.closed()
        assert comm.peer_address == listener.contact_address
        await comm.write({"x": [1, b"2", "3"]})
        answer = await comm.read()
        await comm.close()
        assert comm.closed()
        listener.stop()
        return answer

    assert run(main()) == {"x": [1, b"2", "3"]}


def test_an_address_to_listen_on_only() -> None:
    async def main() -> None:
        with pytest.raises((ValueError, OSError)):
            await connect("tcp://", timeout=1)

    run(main())


def test_server_and_rpc() -> None:
    def add(comm: Comm, x: Any = None, y: Any = None) -> Any:
        return x + y

    async def main() -> Any:
        async with Server({"add": add}) as s:
            await s.listen("tcp://127.0.0.1:0")
            async with rpc(s.address) as r:
                return await r.add(x=1, y=2)

    assert run(main()) == 3
