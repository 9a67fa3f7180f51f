"""modin: its data frames on dask; groupby, merge and sort, the same as with pandas."""

from __future__ import annotations

import os

os.environ.update(MODIN_ENGINE="dask", MODIN_CPUS="2")

import numpy as np
import pandas
from harness import Report, quick, two_workers

ROWS = 10_000 if quick() else 500_000


def work(pd: object, columns: dict) -> list[pandas.DataFrame]:
    table = pd.DataFrame(columns)  # type: ignore[attr-defined]
    names = pd.DataFrame({"key": range(50), "name": [f"name {i}" for i in range(50)]})  # type: ignore[attr-defined]
    return [
        table.groupby("key").mean(),
        table.merge(names, on="key").groupby("name")["value"].sum().to_frame(),
        table[table["value"] > 1].describe(),
    ]


def main() -> None:
    import modin.pandas as mpd

    report = Report("modin", f"groupby, merge, describe of {ROWS:,} rows")
    rng = np.random.default_rng(0)
    columns = {"key": rng.integers(0, 50, ROWS), "value": rng.normal(size=ROWS)}
    with two_workers():
        found = report.timed(lambda: [each.modin.to_pandas() for each in work(mpd, columns)])
    for mine, plain in zip(found, work(pandas, columns), strict=True):
        pandas.testing.assert_frame_equal(mine, plain, check_dtype=False)
    report.done()


if __name__ == "__main__":
    main()
