"""Timeouts, retries by policy, and cancelling by force, as a program says them."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import dask
import pytest
from helpers import wait_until

from shoal import Client, LocalCluster, Retry, TaskTimeout
from shoal.client.submission.limits import checked_retries, checked_timeout, given_to
from shoal.testing import inc

ATTEMPTS: list[float] = []


@pytest.fixture
def client() -> Iterator[Client]:
    ATTEMPTS.clear()
    with (
        LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        yield client


def spin() -> None:
    while True:
        pass


def spin_named(timeout: float) -> float:
    return timeout


def fail_at_first(times: int, error: type[BaseException] = OSError) -> int:
    ATTEMPTS.append(time.monotonic())
    if len(ATTEMPTS) <= times:
        raise error(f"attempt {len(ATTEMPTS)}")
    return len(ATTEMPTS)


def is_second(error: BaseException) -> bool:
    return "attempt 1" in str(error)


def test_a_task_that_takes_too_long_fails_and_says_where(client: Client) -> None:
    future = client.submit(spin, timeout="100ms", pure=False)
    error = future.exception(timeout=20)
    assert isinstance(error, TaskTimeout) and isinstance(error, TimeoutError)
    assert error.timeout == 0.1 and "in spin" in error.where and future.key in str(error)
    [(_, event)] = client.get_events("interrupts")
    assert event["action"] == "task-interrupted" and event["why"] == "timeout"


def test_in_maps_graphs_and_annotations(client: Client) -> None:
    futures = client.map(lambda i: spin() if i == 1 else i, range(3), timeout=0.1)
    assert client.gather([futures[0], futures[2]]) == [0, 2]
    assert isinstance(futures[1].exception(), TaskTimeout)
    with dask.annotate(timeout="100ms"):
        assert isinstance(client.submit(spin, pure=False).exception(), TaskTimeout)
        annotated = dask.delayed(spin)()
    for collection, more in ((annotated, {}), (dask.delayed(spin)(), {"timeout": "100ms"})):
        assert isinstance(client.compute(collection, **more).exception(), TaskTimeout)
    with pytest.raises(TaskTimeout):
        client.get({"x": (spin,)}, "x", timeout="100ms")
    assert client.submit(inc, 1, timeout="1 hour").result() == 2


def test_a_function_that_takes_a_timeout_itself_is_given_it(client: Client) -> None:
    assert client.submit(spin_named, timeout=5.0).result() == 5.0
    assert client.gather(client.map(lambda x, timeout: timeout, [1], timeout=7)) == [7]
    assert given_to(spin_named, "timeout") and given_to(lambda **kwargs: 1, "timeout")
    assert not given_to(spin, "timeout") and not given_to(time.sleep, "timeout")


def test_a_default_by_prefix() -> None:
    with (
        dask.config.set({"shoal.timeouts.default": {"spin": "100ms"}}),
        Client(n_workers=1, processes=False, dashboard_address=None) as client,
    ):
        assert isinstance(client.submit(spin, pure=False).exception(timeout=20), TaskTimeout)


def test_cancelling_by_force_stops_the_code(client: Client) -> None:
    future = client.submit(spin, pure=False)
    wait_until(lambda: any(client.call_stack([future]).values()))
    future.cancel(force=True, reason="enough")
    events = wait_until(lambda: client.get_events("interrupts"))
    assert events[0][1]["why"] == "enough"
    assert "in spin" in events[0][1]["where"]
    executing: Any = lambda dask_worker: dask_worker.pool.executing  # noqa: E731
    wait_until(lambda: not any(client.run(executing).values()))


def test_retries_by_a_policy(client: Client) -> None:
    policy = Retry(5, on=(OSError, KeyError), delay="50ms", backoff=2, jitter=False)
    assert client.submit(fail_at_first, 3, retries=policy).result(timeout=20) == 4
    pauses = [after - before for before, after in pairwise(ATTEMPTS)]
    assert pauses[0] >= 0.05 and pauses[1] >= 0.1 and pauses[2] >= 0.2


@pytest.mark.parametrize(
    ("policy", "attempts"),
    [
        (Retry(2), 3),
        (Retry(2, on=KeyError), 1),
        (Retry(2, on=(KeyError, Exception)), 3),
        (Retry(5, when=is_second), 2),
        (Retry(5, when="nowhere:nothing"), 1),
    ],
)
def test_what_is_tried_again(client: Client, policy: Retry, attempts: int) -> None:
    for i, submit in enumerate(
        [
            lambda: client.submit(fail_at_first, 100, retries=policy, pure=False),
            lambda: client.compute(dask.delayed(fail_at_first)(100), retries=policy),
        ]
    ):
        ATTEMPTS.clear()
        error = submit().exception(timeout=20)
        assert isinstance(error, OSError) and len(ATTEMPTS) == attempts, i


def test_a_policy_as_an_annotation(client: Client) -> None:
    with dask.annotate(retries=Retry(3)):
        assert client.submit(fail_at_first, 2, pure=False).result() == 3


def test_a_policy_that_makes_no_sense_is_refused_when_it_is_made() -> None:
    for wrong, named in (
        ({"on": "OSError"}, "classes of exceptions"),
        ({"delay": "soon"}, "delay='soon'"),
        ({"delay": -1}, "delay=-1"),
        ({"backoff": 0.5}, "backoff=0.5"),
        ({"when": "text"}, "module:name"),
        ({"when": lambda error: True}, "workers can import"),
        ({"times": -1}, "times"),
    ):
        with pytest.raises((TypeError, ValueError), match=named):
            Retry(**{"times": 3, **wrong})  # type: ignore[arg-type]
    assert pickle.loads(pickle.dumps(Retry(3, on=OSError))) == Retry(3, on=OSError)


def test_wrong_timeouts_are_refused_at_once() -> None:
    for wrong in ("soon", 0, -1, float("inf"), [1]):
        with pytest.raises(ValueError, match="timeout="):
            checked_timeout(wrong)
    assert checked_timeout(None) == 0.0 and checked_timeout("2 minutes") == 120.0
    assert checked_retries(3) == (3, None)


def test_the_error_travels(client: Client) -> None:
    error: Any = pickle.loads(pickle.dumps(TaskTimeout("x", 1.5, "in f")))
    assert (error.key, error.timeout, error.where) == ("x", 1.5, "in f")
    assert "1.5 s" in str(error) and "in f" in str(error)
