"""dask-ml: an incremental model, and searches for hyper-parameters, grid and hyperband."""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np
from dask_ml.model_selection import GridSearchCV, IncrementalSearchCV
from dask_ml.wrappers import Incremental
from harness import Report, quick, two_workers
from sklearn.datasets import make_classification
from sklearn.linear_model import SGDClassifier
from sklearn.svm import SVC

ROWS = 2_000 if quick() else 20_000


def main() -> None:
    report = Report("dask-ml", f"Incremental of {ROWS:,} rows; IncrementalSearchCV; GridSearchCV")
    data, target = make_classification(n_samples=ROWS, n_features=20, random_state=0)

    def work() -> tuple:
        x = da.from_array(data, chunks=(ROWS // 10, 20))
        y = da.from_array(target, chunks=ROWS // 10)
        sgd = SGDClassifier(random_state=0, tol=1e-3)
        model = Incremental(sgd, shuffle_blocks=False).fit(x, y, classes=[0, 1])
        search = IncrementalSearchCV(
            sgd, {"alpha": np.logspace(-4, 0, 20)}, n_initial_parameters=10, max_iter=10,
            random_state=0,
        )  # fmt: skip
        search.fit(x, y, classes=[0, 1])
        grid = GridSearchCV(
            SVC(random_state=0), {"C": [0.1, 1.0, 10.0], "gamma": [0.01, 0.1]}, cv=3, iid=False
        )
        grid.fit(data[:1000], target[:1000])
        return model, search, grid

    with two_workers() as client:
        # dask-ml's own coroutines call dask.persist; with the incumbent, dask refuses that without.
        needed = not type(client).__module__.startswith("shoal")
        with dask.config.set({"admin.async-client-fallback": client.get} if needed else {}):
            model, search, grid = report.timed(work)
    alone = SGDClassifier(random_state=0, tol=1e-3)
    for start in range(0, ROWS, ROWS // 10):
        block = slice(start, start + ROWS // 10)
        alone.partial_fit(data[block], target[block], classes=[0, 1])
    assert np.allclose(model.estimator_.coef_, alone.coef_)
    assert search.best_score_ > 0.75, search.best_score_
    assert len(search.cv_results_["params"]) == 10
    from sklearn.model_selection import GridSearchCV as Plain

    plain = Plain(SVC(random_state=0), {"C": [0.1, 1.0, 10.0], "gamma": [0.01, 0.1]}, cv=3)
    plain.fit(data[:1000], target[:1000])
    assert grid.best_params_ == plain.best_params_
    assert np.allclose(grid.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"])
    report.done()


if __name__ == "__main__":
    main()
