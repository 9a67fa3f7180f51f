"""The examples of the reference's page on actors, as they are written there."""

from __future__ import annotations

import asyncio
import re

import numpy as np

from shoal import Client


class Counter:
    n = 0

    def __init__(self):
        self.n = 0

    def increment(self):
        self.n += 1
        return self.n


class ParameterServer:
    def __init__(self):
        self.data = dict()  # noqa: C408

    def put(self, key, value):
        self.data[key] = value

    def get(self, key):
        return self.data[key]


def train(params, lr=0.1):
    grad = 2 * (params - 1)  # gradient of (params - 1)**2
    new_params = params - lr * grad
    return new_params  # noqa: RET504


def test_counter(client):
    future = client.submit(Counter, actor=True)
    counter = future.result()
    assert re.fullmatch("<Actor: Counter, key=Counter-[0-9a-f]{32}>", repr(counter))

    future = counter.increment()
    assert repr(future) == "<ActorFuture>"
    assert future.result() == 1
    assert counter.n == 1


def test_parameter_server(client):
    ps_future = client.submit(ParameterServer, actor=True)
    ps = ps_future.result()
    ps.put("parameters", np.random.default_rng(0).random(1000))
    means = []
    for k in range(20):  # noqa: B007
        params = ps.get("parameters").result()
        new_params = train(params)
        ps.put("parameters", new_params)
        means.append(new_params.mean())
    assert abs(means[0] - 0.6) < 0.05
    assert abs(means[10] - 0.957) < 0.01
    assert means == sorted(means) and means[-1] > 0.99


def test_asynchronous_operation(client):
    async def f():
        address = client.scheduler.address
        async with Client(address, asynchronous=True, set_as_default=False) as other:
            future = other.submit(Counter, actor=True)
            counter = await future  # gather actor object locally
            counter.increment()  # send off a request asynchronously
            await counter.increment()  # or wait until it was received
            return await counter.n  # attribute access also must be awaited

    assert asyncio.run(f()) == 2
