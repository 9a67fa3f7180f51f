"""Anomalies of a generated climate with xarray: how far each day is from its month's mean.

Writes daily temperatures of a grid as a zarr store, reads it lazily on a cluster whose workers have
so little memory that chunks go to disk, subtracts each month's mean, and checks the outcome against
one process, a part of the grid at a time.

    python examples/climate.py                 # 160 MB
    python examples/climate.py --gigabytes 1
    python examples/climate.py --limit 500MB   # memory of each worker

Needs xarray and zarr, which the extra `test` of shoal has.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr

from shoal import Client

DAYS = pd.date_range("2000-01-01", "2009-12-31")
ROWS = 90
CHUNK = 365


def grid(gigabytes: float) -> tuple[int, int]:
    """Return rows and columns of a grid of that size."""
    return ROWS, max(2, round(gigabytes * 1e9 / (4 * len(DAYS) * ROWS)))


def write(store: Path, shape: tuple[int, int]) -> None:
    """Generate the climate: seasons, colder to the poles, warming slowly, with weather."""
    chunks = ((*[CHUNK] * (len(DAYS) // CHUNK), len(DAYS) % CHUNK), shape[0], shape[1])
    day = xr.DataArray(DAYS.day_of_year.to_numpy(), dims="time").astype("f4")
    latitude = np.linspace(-80, 80, shape[0], dtype="f4")
    north = xr.DataArray(latitude, dims="lat")
    climate = 30 - abs(north) / 2 - np.sign(north) * 8 * np.cos(2 * np.pi * day / 365.25)
    climate = climate + xr.DataArray(np.linspace(0, 0.3, len(DAYS), dtype="f4"), dims="time")
    size = (len(DAYS), *shape)
    weather = da.random.default_rng(0).normal(0, 3, size=size, chunks=chunks).astype("f4")
    table = (climate + xr.DataArray(weather, dims=("time", "lat", "lon"))).astype("f4")
    table = table.transpose("time", "lat", "lon").chunk({"time": CHUNK, "lat": -1})
    table = table.assign_coords(time=DAYS, lat=latitude)
    # Not compressed: it is the values that are to be large, not the work of packing them.
    table.to_dataset(name="t").to_zarr(
        store, consolidated=False, encoding={"t": {"compressors": None}}
    )


def anomaly(t: xr.DataArray) -> xr.DataArray:
    """Return how far each day is from the mean of its month over all years."""
    months = t.groupby("time.month")
    return months - months.mean("time")


def questions(anomalies: xr.DataArray) -> xr.Dataset:
    """Return what is asked: the mean of every year, and the extremes of every place."""
    yearly = anomalies.groupby("time.year").mean(("time", "lat", "lon"))
    return xr.Dataset(
        {"yearly": yearly, "coldest": anomalies.min("time"), "warmest": anomalies.max("time")}
    )


def ask(store: Path) -> tuple[xr.Dataset, xr.DataArray]:
    """Return the answers, and the anomalies.

    These stay on the workers of the present client, as one would keep them to ask several questions
    of them.
    """
    anomalies = anomaly(xr.open_zarr(store, consolidated=False).t).persist()
    return questions(anomalies).compute(), anomalies


def spilled(dask_worker) -> int:
    """Return how many bytes a worker has on disk now."""
    return dask_worker.memory()["managed_spilled"]


def check(store: Path, answer: xr.Dataset) -> None:
    """Compare with one process, which takes some rows of the grid at a time."""
    table = xr.open_zarr(store, consolidated=False, chunks=None).t
    sums = 0.0
    for start in range(0, table.sizes["lat"], 30):
        rows = slice(start, start + 30)
        part = anomaly(table.isel(lat=rows).load())
        np.testing.assert_allclose(answer.coldest[rows], part.min("time"), rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(answer.warmest[rows], part.max("time"), rtol=1e-3, atol=1e-3)
        sums = sums + part.astype("f8").groupby("time.year").mean("time").sum(("lat", "lon"))
    expected = sums / (table.sizes["lat"] * table.sizes["lon"])
    np.testing.assert_allclose(answer.yearly, expected, atol=1e-3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=0.16, help="of temperatures")
    parser.add_argument("--limit", default="300 MB", help="memory of each worker")
    arguments = parser.parse_args()
    shape = grid(arguments.gigabytes)
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "climate.zarr"
        fractions = {"memory_target_fraction": 0.1, "memory_spill_fraction": False}
        with (
            dask.config.set({"distributed.worker.memory.terminate": False}),
            Client(
                n_workers=2,
                threads_per_worker=1,
                memory_limit=arguments.limit,
                memory_pause_fraction=False,
                **fractions,
            ) as client,
        ):
            write(store, shape)
            size = 4 * len(DAYS) * shape[0] * shape[1]
            print(f"{size / 1e6:,.0f} MB: {len(DAYS):,} days, {shape[0]} x {shape[1]} places")
            start = time.perf_counter()
            answer, anomalies = ask(store)
            seconds = time.perf_counter() - start
            on_disk = sum(client.run(spilled).values())
            del anomalies
        print(f"anomalies in {seconds:.1f} s; {on_disk / 1e6:,.0f} MB were on the workers' disks")
        for year, mean in zip(answer.year.values, answer.yearly.values, strict=True):
            print(f"  {year}  {mean:+.3f}")
        check(store, answer)
        print("checked against one process: the same")


if __name__ == "__main__":
    main()
