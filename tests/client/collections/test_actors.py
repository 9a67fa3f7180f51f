"""`actors=` of compute, persist and get: which tasks' results live on as actors."""

from __future__ import annotations

from typing import Any

import dask
import pytest
from dask import delayed
from dask.delayed import Delayed

from shoal import Client
from shoal.actors.actor import Actor


class Counter:
    def __init__(self, start: int = 0) -> None:
        if start < 0:
            raise ValueError("starts below zero")
        self.n = start

    def add(self, by: int = 1) -> int:
        self.n += by
        return self.n

    def fail(self) -> None:
        raise ZeroDivisionError("as asked")


def add_to(counter: Any, by: int) -> int:
    return int(counter.add(by).result())


def check(actor: Any) -> None:
    assert isinstance(actor, Actor)
    before = actor.n
    assert actor.add(2).result() == before + 2
    assert actor.n == before + 2
    with pytest.raises(ZeroDivisionError, match="as asked"):
        actor.fail().result()


def test_compute_all_as_actors(client: Client) -> None:
    one, two = client.compute([delayed(Counter)(1), delayed(Counter)(2)], actors=True)
    for future in (one, two):
        check(future.result())
    assert one.result().n == 3 and two.result().n == 4


def test_compute_some_as_actors(client: Client) -> None:
    """By key and by collection; the others are values."""
    made, number = delayed(Counter)(5), delayed(sum)([1, 2])
    for which in (made.key, made):
        actor, value = client.compute([made, number], actors={which: True})
        check(actor.result())
        assert value.result() == 3
        del actor
    plain = client.compute(delayed(Counter, pure=False)(5), actors={"another": True}).result()
    assert isinstance(plain, Counter)


def test_tasks_of_the_graph_call_an_actor(client: Client) -> None:
    dsk = {"c": (Counter, 10), "x": (add_to, "c", 1), "y": (add_to, "c", 1)}
    counter, x, y = client.get(dsk, ["c", "x", "y"], actors={"c": True}, sync=False)
    assert sorted([x.result(), y.result()]) == [11, 12]
    assert counter.result().n == 12


def test_persist_actors(client: Client) -> None:
    kept = client.persist(delayed(Counter)(20), actors=True)
    assert isinstance(kept, Delayed)
    check(client.compute(kept).result())
    assert kept.compute().n == 22
    with dask.annotate(actor=True):
        annotated = client.persist(delayed(Counter, pure=False)(30))
    check(client.compute(annotated).result())


def test_an_actor_that_cannot_be_made(client: Client) -> None:
    future = client.compute(delayed(Counter)(-1), actors=True)
    with pytest.raises(ValueError, match="starts below zero"):
        future.result()
