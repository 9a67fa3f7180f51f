"""`span`: tasks carry the names of the blocks they were made in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dask
import pytest

from shoal import Client, span


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None) as c:
        yield c


def inc(x: int) -> int:
    return x + 1


def spans(client: Client) -> dict[str, Any]:
    def read(dask_scheduler: Any) -> dict[str, Any]:
        return {key: ts.annotations.get("span") for key, ts in dask_scheduler.tasks.items()}

    found: dict[str, Any] = client.run_on_scheduler(read)
    return found


def test_submitted_tasks(client: Client) -> None:
    with span("load") as outer:
        x = client.submit(inc, 1, key="x")
        with span("a", "b") as inner:
            y = client.submit(inc, x, key="y")
    z = client.submit(inc, y, key="z")
    assert z.result() == 4
    found = spans(client)
    assert found["x"] == {"name": ["load"], "ids": [outer]}
    assert found["y"]["name"] == ["load", "a", "b"]
    assert len(found["y"]["ids"]) == 3
    assert (found["y"]["ids"][0], found["y"]["ids"][-1]) == (outer, inner)
    assert found["z"] is None


def test_graphs(client: Client) -> None:
    with span("made") as made:
        u = dask.delayed(inc)(1, dask_key_name="u")
    v = dask.delayed(inc)(2, dask_key_name="v")
    with span("computed") as computed:
        future = client.compute(v)
    other = client.compute(u)
    assert (future.result(), other.result()) == (3, 2)
    found = spans(client)
    assert found["u"] == {"name": ["made"], "ids": [made]}
    assert found["v"] == {"name": ["computed"], "ids": [computed]}


def test_each_block_is_another_one() -> None:
    with span("x") as first:
        pass
    with span("x") as second:
        pass
    assert first != second


def test_names() -> None:
    with pytest.raises(ValueError, match="needs a name"), span():
        pass
    with pytest.raises(TypeError, match="must be a text, got 3"), span(3):  # type: ignore[arg-type]
        pass
