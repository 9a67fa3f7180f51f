"""xgboost: train and predict on two workers that talk to each other."""

from __future__ import annotations

import dask.array as da
import numpy as np
import xgboost
from harness import Report, quick, two_workers
from xgboost import dask as dxgb

ROWS = 4_000 if quick() else 200_000


def main() -> None:
    report = Report("xgboost-cpu", f"dask.train and predict of {ROWS:,} rows, 2 workers")
    rng = np.random.default_rng(0)
    data = rng.normal(size=(ROWS, 20))
    target = (data[:, 0] + data[:, 1] > 0).astype(float)
    options = {"objective": "binary:logistic", "tree_method": "hist", "max_depth": 4}

    def work(client) -> tuple[np.ndarray, dict]:
        x = da.from_array(data, chunks=(ROWS // 4, 20))
        y = da.from_array(target, chunks=ROWS // 4)
        table = dxgb.DaskDMatrix(client, x, y)
        output = dxgb.train(client, options, table, num_boost_round=20, evals=[(table, "train")])
        return dxgb.predict(client, output, x).compute(), output["history"]

    with two_workers() as client:
        predicted, history = report.timed(lambda: work(client))
    table = xgboost.DMatrix(data, target)
    alone = xgboost.train(options, table, num_boost_round=20).predict(table)
    assert predicted.shape == alone.shape
    assert np.corrcoef(predicted, alone)[0, 1] > 0.99
    assert ((predicted > 0.5) == target).mean() > 0.95
    losses = history["train"]["logloss"]
    assert len(losses) == 20 and losses[-1] < losses[0]
    report.done()


if __name__ == "__main__":
    main()
