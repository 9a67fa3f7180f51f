"""Actors as arguments: of tasks, of other actors, inside of objects; who keeps them alive."""

from __future__ import annotations

import gc

import dask
import pytest
from helpers import wait_until

from shoal import Actor, get_client

from .classes import Counter, Keeper


def make(client, kind, *args, **options):
    return client.submit(kind, *args, actor=True, **options).result()


def use(counter):
    assert isinstance(counter, Actor)
    return counter.increment().result(), counter.n


async def use_later(counter):
    return await counter.increment(), await counter.n


def use_boxed(box):
    return box["counters"][0].increment().result()


def make_inside():
    counter = get_client().submit(Counter, 10, actor=True).result()
    counter.increment().result()
    return counter


@pytest.fixture
def counter(client):
    return make(client, Counter)


def test_tasks_get_proxies_on_every_worker(client, counter):
    addresses = list(client.nthreads())
    for i, address in enumerate(addresses * 2):
        got = client.submit(use, counter, workers=[address], pure=False).result()
        assert got == (i + 1, i + 1)
    for i, address in enumerate(addresses, start=5):
        got = client.submit(use_later, counter, workers=[address], pure=False).result()
        assert got == (i, i)


def test_futures_of_actors_are_as_good(client):
    future = client.submit(Counter, actor=True)
    assert client.submit(use, future).result() == (1, 1)
    assert client.submit(use, [future][0], pure=False).result() == (2, 2)


def test_many_tasks_use_one_actor(client, counter):
    def bump(i, counter):
        return counter.increment().result()

    numbers = client.gather(client.map(bump, range(100), counter=counter, pure=False))
    assert sorted(numbers) == list(range(1, 101))


def test_inside_of_other_objects(client, counter):
    assert client.submit(use_boxed, {"counters": [counter]}, pure=False).result() == 1

    class Box(dict):
        pass

    box = Box(counters=[counter])
    assert client.submit(use_boxed, box, pure=False).result() == 2
    assert client.submit(lambda: counter.increment().result()).result() == 3


def test_actors_call_actors(client):
    for address in client.nthreads():
        inner = make(client, Counter, workers=[address])
        keeper = make(client, Keeper, inner)
        assert keeper.pass_on().result() == 1
        assert keeper.pass_on_later().result() == 2
        later = make(client, Keeper)
        later.keep(inner)
        assert later.pass_on().result() == 3


def living(client):
    return {key for key, holders in client.who_has().items() if holders and "Counter" in key}


def test_an_actor_keeps_those_that_it_was_given(client):
    before = living(client)
    keepers = [make(client, Keeper, make(client, Counter)), make(client, Keeper)]
    keepers[1].keep(make(client, Counter)).result()
    gc.collect()
    for _ in range(30):
        client.submit(sum, [1], pure=False).result()
    assert [keeper.pass_on().result() for keeper in keepers] == [1, 1]
    for keeper in keepers:
        keeper.drop().result()
    wait_until(lambda: living(client) <= before)


def test_an_actor_that_calls_itself_does_not_wait_for_itself(client, counter):
    assert counter.through_itself(counter).result(10) == 1 + 1


def test_a_task_makes_an_actor_and_returns_it(client):
    counter = client.submit(make_inside).result()
    assert counter.increment().result() == 12


def test_an_actor_uses_the_cluster(client, counter):
    assert counter.submit().result(10) == 3


def test_tasks_name_actors_in_their_keys(client, counter):
    other = make(client, Counter)
    same = client.submit(use, counter).key == client.submit(use, counter).key
    different = client.submit(use, counter).key != client.submit(use, other).key
    assert same and different


def test_published_and_scattered_like_any_value(client, counter):
    [future] = client.scatter([counter], hash=False)
    assert client.submit(use, future).result() == (1, 1)
    assert future.result().increment().result() == 2


def test_actors_of_graphs(client):
    x, y = dask.delayed(Counter)(5), dask.delayed(Counter)(6)
    one = client.compute(x, actors=True).result()
    assert isinstance(one, Actor) and one.increment().result() == 6
    both = client.compute([x, y], actors={x: True})
    made, plain = client.gather(both)
    assert isinstance(made, Actor) and isinstance(plain, Counter)
    kept = client.persist(dask.delayed(Counter)(6), actors=True)
    assert client.compute(dask.delayed(use)(kept)).result() == (7, 7)


def test_actors_in_graphs(client, counter):
    assert dask.delayed(use)(counter).compute() == (1, 1)
