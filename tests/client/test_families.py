"""`Client(serializers=, deserializers=)`: families of serialization that a user names."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from helpers import run

from shoal import Client, Scheduler, Worker
from shoal.wire.serialize import register_serialization_family
from shoal.wire.serialize.families import families


class Opaque:
    def __init__(self, x: int) -> None:
        self.x = x


@pytest.fixture
def mine():
    """A family for `Opaque` only, which adds 100 on the way."""

    def dumps(obj: Any) -> tuple[dict[str, Any], list[Any]]:
        if type(obj) is not Opaque:
            raise NotImplementedError(type(obj).__name__)
        return {}, [str(obj.x).encode()]

    def loads(header: dict[str, Any], frames: list[Any]) -> Any:
        return Opaque(int(bytes(frames[0])) + 100)

    register_serialization_family("mine", dumps, loads)
    yield "mine"
    del families["mine"]


@asynccontextmanager
async def client(**kwargs: Any) -> AsyncIterator[Client]:
    async with (
        Scheduler(host="127.0.0.1", dashboard_address=None) as scheduler,
        Worker(scheduler.address, nthreads=1),
        Client(scheduler.address, asynchronous=True, **kwargs) as made,
    ):
        yield made


def inc(x: Any) -> Any:
    return x + 1


def of(o: Any) -> Any:
    return o.x


def test_arguments_and_data_by_a_family_of_ones_own(mine: str) -> None:
    async def main() -> None:
        async with client(serializers=[mine, "msgpack"]) as c:
            one = c.submit(inc, 1)
            assert await c.submit(of, Opaque(5)) == 105
            assert await c.submit(sum, [one, 2]) == 4
            assert await c.submit(of, await c.scatter(Opaque(7))) == 107
            with pytest.raises(TypeError, match="cannot be sent"):
                c.submit(inc, asyncio)
            with pytest.raises(TypeError, match="ndarray"):
                c.submit(inc, np.arange(3))
            with pytest.raises(TypeError, match="cannot be scattered"):
                await c.scatter(np.arange(3))

    run(main())


def test_results_by_named_families_only() -> None:
    async def main() -> None:
        async with client(deserializers=["dask", "msgpack"]) as c:
            assert await c.submit(inc, 1) == 2
            assert await c.submit(list, (1, "a")) == [1, "a"]
            assert (await c.submit(np.arange, 3)).tolist() == [0, 1, 2]
            assert await c.gather([c.submit(bytes, 3), c.submit(dict, x=1)]) == [
                b"\0" * 3,
                {"x": 1},
            ]
            future = c.submit(Opaque, 5)
            for fetch in (lambda: c.gather(future), lambda: future.result()):
                with pytest.raises(TypeError, match=r"only \['dask', 'msgpack'\] may be used"):
                    await fetch()

    run(main())


def test_unknown_families_are_named() -> None:
    with pytest.raises(TypeError, match="unknown serializer 'fish'"):
        Client("127.0.0.1:1", serializers=["fish"])
