"""Arguments of `profile` and `get_task_stream`: what they accept, and what they say otherwise."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator
from typing import Any

import pytest

from shoal import Client, get_task_stream


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with Client(processes=False, n_workers=1, dashboard_address=None) as client:
        client.get_task_stream()
        client.submit(sum, [1, 2]).result()
        yield client


@pytest.mark.parametrize(
    "start",
    ["60s", "1 minute", 0, 1.5, datetime.timedelta(minutes=1), datetime.datetime(2020, 1, 1)],
)
def test_times(client: Client, start: Any) -> None:
    assert len(client.get_task_stream(start=start)) == 1
    assert client.get_task_stream(start=start, stop=1.6) == []
    assert client.profile(start=start)["identifier"] == "root"


@pytest.mark.parametrize("when", ["-1s", "yesterday", datetime.timedelta(-1), [1], True])
@pytest.mark.parametrize("name", ["start", "stop"])
def test_times_that_are_none(client: Client, name: str, when: Any) -> None:
    for call in (client.profile, client.get_task_stream):
        with pytest.raises((TypeError, ValueError), match=f"{name}= is seconds .* '60s', got "):
            call(**{name: when})


def test_numbers_after_now_are_fine(client: Client) -> None:
    assert len(client.get_task_stream(stop=time.time() + 60, start=0)) == 1


@pytest.mark.parametrize("count", [-1, "x", 1.5, True])
def test_counts_that_are_none(client: Client, count: Any) -> None:
    with pytest.raises(ValueError, match="count=, the number of records, must be a whole number"):
        client.get_task_stream(count=count)


def test_plots_that_are_none(client: Client) -> None:
    for call in (client.profile, client.get_task_stream, get_task_stream):
        with pytest.raises(ValueError, match=r"plot= is True, False or 'save', got 'svae'"):
            call(plot="svae")
