"""Calls of actors: what they return, in which order they run, how they fail."""

from __future__ import annotations

import asyncio
import contextvars
import pickle
import traceback

import numpy as np
import pytest
from helpers import wait_until

from shoal import ActorFuture, ActorLostError, BaseActorFuture, Client
from shoal.errors import RemoteError

from .classes import Counter, Door, Gate, Log


def make(client, kind, *args, **options):
    return client.submit(kind, *args, actor=True, **options).result()


def test_methods_and_attributes(client):
    future = client.submit(Counter, 5, actor=True)
    counter = future.result()
    assert repr(counter) == f"<Actor: Counter, key={future.key}>"
    call = counter.increment()
    assert repr(call) == "<ActorFuture>"
    assert isinstance(call, ActorFuture) and isinstance(call, BaseActorFuture)
    assert call.result() == 6 and call.done() and call.result() == 6
    assert counter.add(1, 2, times=10).result(timeout="10s") == 36
    assert (counter.n, counter.double, counter.kind) == (36, 72, "counter")
    assert counter.add.__doc__ == "Add numbers."
    assert "increment" in dir(counter)


def test_the_type_of_the_future_is_that_of_the_actor(client):
    future = client.submit(Counter, actor=True)
    future.result()
    assert future.type is Counter


def test_every_actor_is_its_own(client):
    one, two = make(client, Counter), make(client, Counter)
    assert one != two
    one.increment().result()
    assert (one.n, two.n) == (1, 0)


def test_map_makes_many_and_spreads_them(client):
    counters = client.gather(client.map(Counter, range(4), actors=True))
    assert [counter.increment().result() for counter in counters] == [1, 2, 3, 4]
    assert len({counter.where().result()[0] for counter in counters}) == 2


def test_calls_of_a_caller_run_in_order_one_at_a_time(client):
    log = make(client, Log)
    for i in range(200):
        log.note(i)
    assert log.get().result() == list(range(200))
    assert log.together == 1


def test_plain_and_coroutine_methods_begin_in_order(client):
    log = make(client, Log)
    for i in range(60):
        (log.note_later if i % 3 else log.note)(i)
    assert log.get().result() == list(range(60))


def test_coroutine_methods_overlap(client):
    door = make(client, Door)
    waiting = door.wait()
    door.unlock().result()
    assert waiting.result(10) == "through"


def test_a_coroutine_method_waits_for_the_plain_ones_before_it(client):
    gate = make(client, Gate)
    waiting, opened = gate.wait(), gate.open()
    with pytest.raises(TimeoutError, match=r"wait\(\) of the actor .* did not return"):
        waiting.result(timeout=0.05)
    assert not opened.done()
    address = gate._address
    workers = {w.address: w for w in client.cluster.workers.values()}
    hosted = workers[address].actors._hosted[gate.key]
    hosted.instance.event.set()
    assert waiting.result(10) is True
    opened.result(10)


def test_many_actors_block_without_keeping_others_from_work(client):
    gates = [make(client, Gate) for _ in range(10)]
    waiting = [gate.wait() for gate in gates]
    assert client.submit(sum, [1, 2], pure=False).result(10) == 3
    assert make(client, Counter).increment().result(10) == 1
    for worker in client.cluster.workers.values():
        for hosted in list(worker.actors._hosted.values()):
            if isinstance(hosted.instance, Gate):
                hosted.instance.event.set()
    assert all(call.result(10) for call in waiting)


def test_errors_come_with_their_type_text_and_frames(client):
    counter = make(client, Counter, 7)
    call = counter.fail()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError, match="at 7") as caught:
            call.result()
        frames = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
        assert frames[-1] == "fail"
    with pytest.raises(KeyError, match="no such door"):
        make(client, Door).fail().result()
    assert counter.increment().result() == 8, "it lives on"


def test_errors_of_calls_that_cannot_be(client):
    counter = make(client, Counter)
    with pytest.raises(AttributeError, match="nothing_like_it"):
        counter.nothing_like_it  # noqa: B018
    with pytest.raises(TypeError, match="unexpected keyword"):
        counter.add(wrong=1).result()
    with pytest.raises((TypeError, RemoteError), match="lock"):
        counter.give_lock().result()
    with pytest.raises(AttributeError, match="call a method"):
        counter.n = 5
    with pytest.raises(TypeError, match="cannot pickle"):
        counter.add(x for x in ())


def test_a_class_that_cannot_be_made_fails_its_future(client):
    with pytest.raises(TypeError, match="positional argument"):
        client.submit(Counter, 1, 2, actor=True).result()


def test_large_arguments_and_results(client):
    class Keep:
        def put(self, value):
            self.value = value

        def get(self):
            return self.value

    array = np.random.default_rng(1).random(200_000)
    keep = make(client, Keep)
    keep.put(array)
    assert np.array_equal(keep.get().result(), array)
    keep.put("x" * 100_000)
    assert keep.get().result() == "x" * 100_000


def test_it_runs_where_it_was_made(client):
    address = list(client.nthreads())[1]
    counter = make(client, Counter, workers=[address])
    where, thread = counter.where().result()
    assert where == address and thread.startswith("shoal-actors")


def test_it_ends_when_nobody_wants_it(client):
    counter = make(client, Counter)
    key = counter.key
    # Outside of any client, and of the `with` block of one: it holds nothing.
    loose = contextvars.Context().run(pickle.loads, pickle.dumps(counter))
    assert loose.increment().result() == 1
    del counter
    wait_until(lambda: key not in client.who_has())
    with pytest.raises(ActorLostError, match=key):
        wait_until(lambda: loose.increment().result() is None)


def test_a_proxy_keeps_it_alive_without_the_future(client):
    counter = client.submit(Counter, actor=True).result()
    for _ in range(20):
        client.submit(sum, [1], pure=False).result()
    assert counter.increment().result() == 1


def test_calls_of_a_closed_client_fail(client):
    with Client(client.scheduler.address, set_as_default=False) as other:
        counter = make(other, Counter)
    with pytest.raises(ActorLostError, match="client was closed"):
        counter.increment().result(10)


def test_asynchronous_clients_await(client):
    async def main():
        address = client.scheduler.address
        async with Client(address, asynchronous=True, set_as_default=False) as other:
            counter = await other.submit(Counter, actor=True)
            counter.increment()
            assert await counter.increment() == 2
            assert await counter.n == 2
            assert await asyncio.gather(*[counter.increment() for _ in range(3)]) == [3, 4, 5]
            with pytest.raises(ZeroDivisionError):
                await counter.fail()

    asyncio.run(main())


def test_other_loops_await_too(client):
    counter = make(client, Counter)

    async def main():
        return await counter.increment()

    assert asyncio.run(main()) == 1


def test_waiting_on_the_loop_that_brings_the_answer_is_refused():
    async def main():
        async with Client(
            processes=False, n_workers=1, asynchronous=True, dashboard_address=None
        ) as here:
            counter = await here.submit(Counter, actor=True)
            call = counter.increment()
            with pytest.raises(RuntimeError, match=r"increment\(\) .* await the future"):
                call.result()
            assert await call == 1
            return call.result()  # there is nothing to wait for any more

    assert asyncio.run(main()) == 1


def test_without_a_thread_a_method_runs_on_the_loop_in_its_turn(client):
    counter, log = make(client, Counter), make(client, Log)
    (_, own), (_, loop) = counter.where().result(), counter.where(separate_thread=False).result()
    assert own.startswith("shoal-actors") and loop == "shoal-loop"
    for i in range(100):
        last = log.note(i, separate_thread=i % 3 == 0)
    last.result()
    assert log.seen == list(range(100)) and log.together == 1
    with pytest.raises(ZeroDivisionError, match="at 0"):
        counter.fail(separate_thread=False).result()
    assert counter.increment(separate_thread=False).result() == 1
