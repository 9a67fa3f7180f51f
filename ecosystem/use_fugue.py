"""fugue: its engine for dask; a join and a map over groups, the same as with pandas."""

from __future__ import annotations

import fugue.api as fa
import numpy as np
import pandas as pd
from harness import Report, quick, two_workers

ROWS = 1_000 if quick() else 200_000


def center(group: pd.DataFrame) -> pd.DataFrame:
    return group.assign(centered=group["value"] - group["value"].mean())


def work(engine: object) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"key": rng.integers(0, 50, ROWS), "value": rng.normal(size=ROWS)})
    names = pd.DataFrame({"key": range(50), "name": [f"name {i}" for i in range(50)]})
    with fa.engine_context(engine):
        joined = fa.join(table, names, how="inner", on=["key"])
        schema = "key:long,value:double,name:str,centered:double"
        found = fa.transform(joined, center, schema=schema, partition={"by": "key"})
        local = fa.as_pandas(found)
    return local.sort_values(["key", "value"]).reset_index(drop=True)


def main() -> None:
    report = Report("fugue", f"Dask engine: join and transform by group of {ROWS:,} rows")
    with two_workers() as client:
        found = report.timed(lambda: work(client))
    pd.testing.assert_frame_equal(found, work("native"), check_dtype=False)
    report.done()


if __name__ == "__main__":
    main()
