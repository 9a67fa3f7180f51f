"""Examples of `futures-api.txt`: Waiting on Futures, and `wait` and `as_completed` further down."""

from __future__ import annotations

import random

import pytest

from shoal import Client, Event, TimeoutError, as_completed, wait


def inc(x):
    return x + 1


def double(x):
    return 2 * x


def score(x):
    return -((x - 3) ** 2)


def test_wait(client: Client) -> None:
    futures = client.map(inc, range(10))
    done, not_done = wait(futures)
    assert done == set(futures) and not not_done


def test_wait_for_the_first_and_with_a_timeout(client: Client) -> None:
    gate = Event("reference-wait")
    first, second = client.submit(inc, 1), client.submit(gate.wait, pure=False)
    found = wait([first, second], return_when="FIRST_COMPLETED")
    assert found.done == {first} and found.not_done == {second}
    with pytest.raises(TimeoutError):
        wait([second], timeout=0.01)
    gate.set()
    wait([second], timeout="10s", return_when="ALL_COMPLETED")


def test_best_of_as_completed(client: Client) -> None:
    x_values = range(6)
    futures = client.map(score, x_values)

    best = -1
    for future in as_completed(futures):
        y = future.result()
        if y > best:
            best = y
    assert best == 0


def test_as_completed_with_results(client: Client) -> None:
    futures = client.map(inc, range(5))
    results = []
    for future, result in as_completed(futures, with_results=True):
        # y = future.result()  # don't need this
        results.append(result)
        assert future.done()
    assert sorted(results) == [1, 2, 3, 4, 5]


def test_batches(client: Client) -> None:
    futures = client.map(inc, range(5))
    results = []
    for batch in as_completed(futures, with_results=True).batches():
        for future, result in batch:
            assert future in futures
            results.append(result)
    assert sorted(results) == [1, 2, 3, 4, 5]


def test_more_futures_during_iteration(client: Client) -> None:
    futures = client.map(inc, [1, 2, 3])

    def condition(y):
        return y < 10

    seq = as_completed(futures)

    seen = []
    for future in seq:
        y = future.result()
        seen.append(y)
        if condition(y):
            new_future = client.submit(double, y, pure=False)
            seq.add(new_future)  # add back into the loop
    assert sorted(seen) == sorted([2, 4, 8, 16, 3, 6, 12, 4, 8, 16])

    seq.update(client.map(inc, [1, 2]))  # or to add multiple futures at once
    assert sorted(future.result() for future in seq) == [2, 3]


def test_as_completed_docstring(client: Client, capsys) -> None:
    x, y, z = client.map(inc, [1, 2, 3])
    for future in as_completed([x, y, z]):
        print(future.result())
    assert sorted(capsys.readouterr().out.split()) == ["2", "3", "4"]


def test_as_completed_docstring_of_add(c: Client, client: Client, capsys) -> None:
    random.seed(2)
    x, y, z = client.map(inc, [1, 2, 3])
    ac = as_completed([x, y, z])
    added = 0
    for future in ac:
        print(future.result())
        if random.random() < 0.5:
            ac.add(c.submit(double, future))
            added += 1
    assert added and len(capsys.readouterr().out.split()) == 3 + added


def test_as_completed_docstring_with_results(client: Client, capsys) -> None:
    x, y, z = client.map(inc, [1, 2, 3])
    ac = as_completed([x, y, z], with_results=True)
    for _future, result in ac:
        print(result)
    assert sorted(capsys.readouterr().out.split()) == ["2", "3", "4"]


def test_as_completed_gives_errors_instead_of_raising(client: Client) -> None:
    futures = [client.submit(lambda: 1 / 0)]
    ((_, result),) = as_completed(futures, with_results=True, raise_errors=False)
    assert isinstance(result, ZeroDivisionError)
