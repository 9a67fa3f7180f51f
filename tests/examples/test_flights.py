"""The logic of examples/flights.py, on a small table and without a cluster."""

from __future__ import annotations

import importlib.util
import re

import pandas as pd
import pytest
from helpers import ROOT


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
        many = isinstance(values, list)
        return [DoneFuture(value) for value in values] if many else DoneFuture(values)

    def gather(self, futures):
        return [future.result() for future in futures]


@pytest.fixture
def example():
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
    tables = example.compute(client, flights, iter, lambda done, total: seen.append((done, total)))
    assert list(tables) == ["carrier", "dest", "hour"]
    for column, table in tables.items():
        pd.testing.assert_frame_equal(table, example.sum_delays(column, flights))
    assert client.tasks == 207  # 60 days: 60 leaves, 8 + 1 nodes of the tree, three times
    assert seen == [(i, 207) for i in range(1, 208)]


def test_drawn_years_are_those_of_one_process(example, flights):
    bounds = example.spread(InlineClient(), flights)
    table = example.by_day(flights)
    assert set(table["day"]) == set(range(60))
    years = [example.draw_years(seed, table) for seed in range(example.DRAWS)]
    pd.testing.assert_frame_equal(bounds, example.bounds(years))
    assert (bounds[0.05] <= bounds[0.95]).all() and list(bounds.index) == ["AA", "B6", "UA"]
    assert not (years[0] == years[1]).all().all()


def test_costs_are_shown_side_by_side(example, capsys):
    ours = {"cluster ready": 0.5, "sums": 1.5, "years": 1.0, "nothing": 0.05}
    one = {"sums": 0.1, "years": 2.0}
    theirs = {"cluster ready": 1.0, "sums": 4.0, "years": 1.1, "nothing": 5.0}
    example.print_costs({"shoal": ours, "pandas, one process": one, "dask.distributed": theirs})
    out = capsys.readouterr().out
    assert re.search(r"so a task costs +10 us +1000 us\n", out)
    assert "2.0 s in one process, 1.0 s here" in out and "Not this time" not in out
    example.print_costs({"shoal": {**ours, "years": 2.5}, "pandas, one process": one})
    assert "Not this time" in capsys.readouterr().out


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
