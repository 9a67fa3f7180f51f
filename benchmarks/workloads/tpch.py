"""The 22 queries of TPC-H on Parquet files, each read anew; results as DuckDB has them.

The tables are made by tpchgen-cli and kept in the system's folder for temporary files; decimals are
written as floats and dates as times, as tables for pandas usually are.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import systems
from accounting import Meter

from workloads import graphs, tpch_queries
from workloads.program import run
from workloads.tpch_sql import sql

TITLE = "TPC-H: 22 queries on Parquet files, beside two engines of one process"
SYSTEMS = ["shoal", "dask", "duckdb", "polars"]
ENVIRONMENT = "data"
CASES = {
    "sf0.1": "scale factor 0.1",
    "sf1": "scale factor 1",
}
LONG = ("sf1",)
QUERIES = [f"q{number}" for number in range(1, 23)]
FIGURES = dict.fromkeys(QUERIES, ("s", "lower")) | {
    "seconds": ("s, those that were right", "lower"),
    "right": ("right results of 22", "higher"),
}
TABLES = ("customer", "lineitem", "nation", "orders", "part", "partsupp", "region", "supplier")
ROWS = 1_500_000  # of one file
LIMIT = "4GB"


def prepared(scale):
    """Return the folder with the tables of a scale, and the answers to all queries."""
    folder = Path(tempfile.gettempdir()) / f"shoal-bench-tpch-{scale}-{os.getuid()}"
    if not (folder / "answers.json").exists():
        with tempfile.TemporaryDirectory() as raw:
            command = Path(sys.executable).with_name("tpchgen-cli")
            subprocess.run(
                [command, "parquet", "-s", scale, "--output-dir", raw], check=True, timeout=600
            )
            for name in TABLES:
                convert(Path(raw) / f"{name}.parquet", folder / name)
        answers = {query: ask_duckdb(folder, query, float(scale)) for query in QUERIES}
        (folder / "answers.json").write_text(
            json.dumps({query: rows(frame) for query, frame in answers.items()})
        )
    return folder


def convert(source, folder):
    """Write a table as several files, decimals as floats, dates as times."""
    import pyarrow
    from pyarrow import parquet

    folder.mkdir(parents=True, exist_ok=True)
    table = parquet.read_table(source)
    fields = []
    for field in table.schema:
        kind = field.type
        if pyarrow.types.is_decimal(kind):
            kind = pyarrow.float64()
        elif pyarrow.types.is_date(kind):
            kind = pyarrow.timestamp("us")
        elif pyarrow.types.is_string_view(kind) or pyarrow.types.is_string(kind):
            kind = pyarrow.large_string()
        fields.append(pyarrow.field(field.name, kind))
    table = table.cast(pyarrow.schema(fields))
    for number, start in enumerate(range(0, table.num_rows, ROWS)):
        parquet.write_table(table.slice(start, ROWS), folder / f"{number:04d}.parquet")


def ask_duckdb(folder, query, scale, threads=0):
    """Return an answer as a table of pandas."""
    import duckdb

    with duckdb.connect() as connection:
        if threads:
            connection.execute(f"SET threads = {threads}")
        for name in TABLES:
            files = f"{folder}/{name}/*.parquet"
            connection.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{files}')")
        return connection.execute(sql(query, scale)).df()


def ask_polars(folder, query, scale):
    """Return an answer as a table of pandas."""
    import polars

    context = polars.SQLContext()
    for name in TABLES:
        context.register(name, polars.scan_parquet(f"{folder}/{name}/*.parquet"))
    return context.execute(sql(query, scale)).collect().to_pandas()


def ask_dask(folder, query, scale):
    """Return an answer as a table of pandas, by the client that there is."""
    import dask.dataframe

    def table(name):
        return dask.dataframe.read_parquet(f"{folder}/{name}")

    tpch_queries.SCALE = scale
    return getattr(tpch_queries, query)(table)


def rows(frame):
    """Return a table's rows as lists of numbers and words."""
    import pandas

    def plain(value):
        if isinstance(value, pandas.Timestamp):
            return value.date().isoformat()
        if hasattr(value, "isoformat"):
            return value.isoformat()[:10]
        return value if isinstance(value, str) else float(value)

    return [[plain(value) for value in row] for row in frame.itertuples(index=False)]


def same(found, right):
    """Compare rows, floats up to rounding; return what differs first, or nothing."""
    if len(found) != len(right):
        return f"{len(found)} rows, not {len(right)}"
    for mine, its in zip(found, right, strict=True):
        pairs = zip(mine, its, strict=True) if len(mine) == len(its) else [(mine, its)]
        for a, b in pairs:
            near = isinstance(a, float) and isinstance(b, float)
            if not (abs(a - b) <= 1e-6 * max(1.0, abs(b)) if near else a == b):
                return f"{mine}, not {its}"
    return ""


def main(name, case):
    """Ask all queries once."""
    scale = case.removeprefix("sf")
    folder = prepared(scale)
    answers = json.loads((folder / "answers.json").read_text())
    ask = {"duckdb": ask_duckdb, "polars": ask_polars}.get(name, ask_dask)
    options = {} if ask is not ask_dask else {"memory_limit": LIMIT}
    figures = {}
    right = 0
    with systems.start(name, **options) as system:
        if ask is ask_dask:
            system.client.run(graphs.load, ("pandas", "dask.dataframe", "pyarrow"))
        whole = Meter(system)
        with whole:
            for query in QUERIES:
                try:
                    with Meter(system) as meter:
                        found = ask(folder, query, float(scale))
                    wrong = same(rows(found), answers[query])
                except Exception as error:  # the others are asked nevertheless
                    wrong = f"{type(error).__name__}: {error}"
                if wrong:
                    print(f"{query}: {wrong[:300]}", file=sys.stderr)
                else:
                    figures[query] = meter.seconds
                    right += 1
    return figures | {"seconds": sum(figures.values()), "right": right} | whole.figures()


if __name__ == "__main__":
    run(main)
