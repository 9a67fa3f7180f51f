"""What becomes of actors, of calls under way and of futures when workers go."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest
from helpers import wait_until

from shoal import ActorLostError, Client

from .classes import Counter, Gate


class Suicidal(Counter):
    def die(self):
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.process
@pytest.mark.skipif(sys.platform == "win32", reason="kills with a signal")
def test_the_actor_of_a_killed_worker_fails_at_once():
    with Client(n_workers=2, threads_per_worker=1) as client:
        future = client.submit(Suicidal, actor=True)
        actor = future.result()
        (address,) = client.who_has(future)[future.key]
        (other,) = client.nthreads().keys() - {address}
        used = client.submit(lambda a: a.increment().result(), actor, workers=[other])
        assert used.result() == 1  # the other worker has a proxy: that does not keep it alive
        before = time.monotonic()
        pending = [actor.die(), *[actor.increment() for _ in range(5)]]
        for call in pending:
            with pytest.raises(ActorLostError, match=address):
                call.result(timeout=10)
        with pytest.raises(ActorLostError, match=address):
            actor.n  # noqa: B018
        wait_until(lambda: future.status == "error")
        with pytest.raises(ActorLostError, match=address):
            future.result()
        assert time.monotonic() - before < 10
        later = client.submit(lambda a: a.increment().result(), actor, pure=False)
        with pytest.raises(ActorLostError, match=address):
            later.result(timeout=10)
        # The nanny starts another worker, and nobody makes the actor there.
        client.wait_for_workers(2, timeout=30)
        assert future.status == "error"
        assert client.submit(Counter, actor=True).result().increment().result() == 1


def test_calls_fail_when_their_worker_closes():
    with Client(processes=False, n_workers=2, threads_per_worker=1) as client:
        gate = client.submit(Gate, actor=True)
        actor = gate.result()
        (address,) = client.who_has(gate)[gate.key]
        call = actor.wait()
        client.run_on_scheduler(close, address)
        for late in (call, actor.wait()):
            with pytest.raises(ActorLostError, match=address):
                late.result(timeout=10)
        wait_until(lambda: gate.status == "error")


def close(address, dask_scheduler):
    dask_scheduler.close_worker(address, "asked to close")


def test_a_worker_with_an_actor_is_not_retired(caplog):
    """An actor cannot move, so the worker stays, and works on, until nobody needs the actor."""
    with Client(processes=False, n_workers=2, threads_per_worker=1) as client:
        future = client.submit(Counter, actor=True)
        actor = future.result()
        assert actor.increment().result() == 1
        (address,) = client.who_has(future)[future.key]
        assert client.retire_workers([address]) == {}
        assert f"the actor {future.key!r} lives there" in caplog.text
        assert address in client.nthreads()
        assert actor.increment().result() == 2
        assert client.submit(pow, 2, 3, workers=[address]).result() == 8
        del future, actor
        wait_until(lambda: not client.who_has())
        assert list(client.retire_workers([address])) == [address]
        wait_until(lambda: address not in client.nthreads())


def test_a_cancelled_actor_says_so():
    with Client(processes=False, n_workers=1, threads_per_worker=1) as client:
        future = client.submit(Counter, actor=True)
        actor = future.result()
        assert actor.increment().result() == 1
        future.cancel()
        wait_until(lambda: not client.who_has())
        with pytest.raises(ActorLostError, match="nobody wanted it"):
            wait_until(lambda: actor.increment().result() is None)
