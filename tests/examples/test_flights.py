"""The logic of examples/flights.py, on a small table and without a cluster."""

from __future__ import annotations

import importlib.util

import pandas as pd
import pytest
from helpers import ROOT

import shoal


class DoneFuture:
    """A future whose result is there at once."""

    def __init__(self, value):
        self.value = value

    def result(self):
        return self.value


class InlineClient:
    """Runs every task in this thread, when it is submitted."""

    def __init__(self):
        self.tasks = 0

    def submit(self, function, *args, **kwargs):
        self.tasks += 1
        values = [a.value if isinstance(a, DoneFuture) else a for a in args]
        return DoneFuture(function(*values, **kwargs))

    def map(self, function, *iterables, **kwargs):
        return [self.submit(function, *args, **kwargs) for args in zip(*iterables, strict=True)]

    def scatter(self, values, broadcast):
        return [DoneFuture(value) for value in values]

    def gather(self, futures):
        return [future.result() for future in futures]


@pytest.fixture
def example(monkeypatch):
    monkeypatch.setitem(vars(shoal), "Client", InlineClient)
    monkeypatch.setitem(vars(shoal), "as_completed", iter)
    spec = importlib.util.spec_from_file_location("flights", ROOT / "examples" / "flights.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def flights():
    n = 400
    delays = pd.Series([(i * 7919) % 90 - 20 for i in range(n)], dtype=float)
    return pd.DataFrame(
        {
            "month": [1 + i % 12 for i in range(n)],
            "day": [1 + i % 5 for i in range(n)],
            "hour": [5 + i % 19 for i in range(n)],
            "carrier": [["UA", "AA", "B6"][i % 3] for i in range(n)],
            "dest": [["IAH", "MIA", "BQN", "ATL"][i * i % 4] for i in range(n)],
            "dep_delay": delays.where(delays.index % 11 != 0),
            "arr_delay": (delays * 2).where(delays.index % 11 > 1),
        }
    )


def test_a_tree_of_days_gives_what_pandas_gives(example, flights):
    client, seen = InlineClient(), []
    results = example.compute(client, flights, lambda done, total: seen.append((done, total)))
    assert list(results) == ["carrier", "dest", "hour"]
    for column, (table, _, seconds) in results.items():
        pd.testing.assert_frame_equal(table, example.sum_delays(column, flights))
        assert seconds > 0
    # 60 days: 60 leaves, 8 + 1 nodes of the tree, three times.
    assert [tasks for _, tasks, _ in results.values()] == [69, 69, 69]
    assert client.tasks == 207
    assert seen == [(i, 207) for i in range(1, 208)]


def test_sums_and_rates(example):
    flights = pd.DataFrame(
        {
            "carrier": ["AA", "AA", "AA", "UA"],
            "dep_delay": [10.0, None, 0.0, 5.0],
            "arr_delay": [20.0, None, None, 15.0],
        }
    )
    table = example.sum_delays("carrier", flights)
    assert table.loc["AA"].to_dict() == {
        "flights": 3,
        "cancelled": 1,
        "arrived": 1,
        "late": 1,
        "departure_minutes": 10,
        "arrival_minutes": 20,
    }
    rates = example.rates(table)
    assert rates.loc["AA"].round(2).to_list() == [3, 20, 100, 33.33]
    assert rates.loc["UA"].to_list() == [1, 15, 0, 0]


def test_progress_is_written_now_and_then(example, capsys):
    for done in range(1, 1255):
        example.show_progress(done, 1254)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 5
    assert lines[-1] == "1,254 of 1,254 tasks"


def test_missing_data_is_explained(example, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="make demo"):
        example.data_folder()
