"""lightgbm: its classifier for dask, trained by two workers that talk to each other."""

from __future__ import annotations

import dask.array as da
import lightgbm
import numpy as np
from harness import Report, quick, two_workers

ROWS = 4_000 if quick() else 200_000


def main() -> None:
    report = Report("lightgbm", f"DaskLGBMClassifier: fit and predict of {ROWS:,} rows, 2 workers")
    rng = np.random.default_rng(0)
    data = rng.normal(size=(ROWS, 20))
    target = (data[:, 0] + data[:, 1] > 0).astype(int)
    options = {"n_estimators": 20, "num_leaves": 15, "verbose": -1}

    def work(client) -> np.ndarray:
        x = da.from_array(data, chunks=(ROWS // 4, 20))
        y = da.from_array(target, chunks=ROWS // 4)
        model = lightgbm.DaskLGBMClassifier(client=client, **options).fit(x, y)
        return model.predict(x).compute()

    with two_workers() as client:
        predicted = report.timed(lambda: work(client))
    alone = lightgbm.LGBMClassifier(**options).fit(data, target).predict(data)
    assert predicted.shape == alone.shape
    # Histograms are made of other samples of the rows; the borders differ a little.
    assert (predicted == alone).mean() > 0.98
    assert (predicted == target).mean() > 0.95
    report.done()


if __name__ == "__main__":
    main()
