"""xarray: many files as one lazy dataset, an anomaly by month, written under a lock and read."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr
import zarr
from harness import Report, quick, two_workers

YEARS = range(2000, 2003) if quick() else range(2000, 2005)
SHAPE = (30, 60) if quick() else (90, 180)


def write_years(folder: Path) -> None:
    """A file a year, of daily temperatures."""
    rng = np.random.default_rng(0)
    for year in YEARS:
        days = pd.date_range(f"{year}-01-01", f"{year}-12-31")
        season = 10 * np.sin(2 * np.pi * days.day_of_year.to_numpy() / 365.25)
        values = season[:, None, None] + rng.normal(size=(len(days), *SHAPE))
        table = xr.Dataset({"t": (("time", "y", "x"), values.astype("f4"))}, {"time": days})
        table.to_netcdf(folder / f"{year}.nc", engine="h5netcdf")


def anomaly(data: Any) -> Any:
    months = data.t.groupby("time.month")
    return (months - months.mean("time")).to_dataset(name="anomaly")


def work(folder: Path) -> Any:
    from distributed import Lock

    files = sorted(folder.glob("*.nc"))
    lazy = xr.open_mfdataset(
        files, engine="h5netcdf", parallel=True, chunks={"time": 73}, combine="by_coords"
    )
    found = anomaly(lazy).chunk({"time": 365})
    found.to_zarr(folder / "anomaly.zarr", mode="w", consolidated=False)
    found.to_netcdf(folder / "anomaly.nc", engine="h5netcdf")
    copy = zarr.create_array(
        str(folder / "copy.zarr"), shape=found.anomaly.shape, chunks=(100, *SHAPE), dtype="f4"
    )
    # Blocks of 365 days into pieces of 100: two tasks may write one piece, the lock parts them.
    da.store(found.anomaly.data, copy, lock=Lock("copy"))
    return found.anomaly.std("time").compute()


def main() -> None:
    megabytes = len(YEARS) * 365 * SHAPE[0] * SHAPE[1] * 4 / 1e6
    what = f"open_mfdataset of {len(YEARS)} files ({megabytes:.0f} MB), groupby anomaly, "
    report = Report("xarray", what + "to_zarr, to_netcdf, store under a Lock")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_years(folder)
        with two_workers():
            deviation = report.timed(lambda: work(folder))
        files = [xr.load_dataset(file, engine="h5netcdf") for file in sorted(folder.glob("2*.nc"))]
        expected = anomaly(xr.concat(files, "time"))
        close = {"rtol": 1e-4, "atol": 1e-4}
        written = xr.open_zarr(folder / "anomaly.zarr", consolidated=False).load()
        assert xr.testing.assert_allclose(written.anomaly, expected.anomaly, **close) is None
        netcdf = xr.load_dataset(folder / "anomaly.nc", engine="h5netcdf")
        assert np.array_equal(netcdf.anomaly, written.anomaly)
        assert np.array_equal(zarr.open_array(str(folder / "copy.zarr"))[:], written.anomaly)
        xr.testing.assert_allclose(deviation, expected.anomaly.std("time"), **close)
    report.done()


if __name__ == "__main__":
    main()
