"""A mean of anomalies with xarray, as climate scientists compute it: by month."""

from __future__ import annotations

from workloads import graphs
from workloads.program import run

TITLE = "xarray: mean anomaly by month, 1,460 days x 90 x 180, 50 chunks"
SYSTEMS = ["shoal", "dask", "dask-best"]
ENVIRONMENT = "data"
FIGURES = {**graphs.FIGURES, "tasks": ("tasks/s", "higher")}
DAYS, LATITUDES, LONGITUDES, CHUNK = 1_460, 90, 180, 60


def build():
    """Return the mean over the map of what differs from the mean of the month."""
    import dask.array
    import pandas
    import xarray

    draw = dask.array.random.default_rng(0)
    shape, chunks = (DAYS, LATITUDES, LONGITUDES), (CHUNK, LATITUDES, LONGITUDES // 2)
    values = draw.normal(280, 10, shape, chunks=chunks)
    times = pandas.date_range("2001-01-01", periods=DAYS)
    air = xarray.DataArray(values, dims=("time", "lat", "lon"), coords={"time": times})
    season = air.groupby("time.month")
    anomaly = season - season.mean("time")
    return abs(anomaly).mean(("lat", "lon")).data


def main(name):
    """Run it once on the system called `name`."""
    return graphs.measure(name, build, modules=("numpy", "dask.array", "xarray"))


if __name__ == "__main__":
    run(main)
