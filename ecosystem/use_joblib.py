"""joblib: a grid search of scikit-learn, and a thousand calls that share a large array."""

from __future__ import annotations

import numpy as np
from harness import Report, quick, two_workers
from joblib import Parallel, delayed, parallel_config
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC

CALLS = 100 if quick() else 1000
SAMPLES = 200 if quick() else 1000


def total(array: np.ndarray, column: int) -> float:
    return float(array[:, column % array.shape[1]].sum())


def search() -> GridSearchCV:
    data, target = make_classification(n_samples=SAMPLES, n_features=20, random_state=0)
    grid = {"C": [0.1, 1.0, 10.0, 100.0], "gamma": [0.001, 0.01, 0.1]}
    return GridSearchCV(SVC(random_state=0), grid, cv=5).fit(data, target)


def calls(array: np.ndarray) -> list[float]:
    return Parallel()(delayed(total)(array, i) for i in range(CALLS))


def main() -> None:
    report = Report("joblib", f"GridSearchCV of 60 fits; {CALLS} calls with a 40 MB array")
    # Whole numbers: their sum is the same in any order.
    array = np.random.default_rng(0).integers(0, 1000, (50_000, 100)).astype(float)
    plain = search()
    with two_workers(), parallel_config(backend="dask", scatter=[array]):
        fitted = report.timed(search)
        totals = report.timed(lambda: calls(array))
    assert fitted.best_params_ == plain.best_params_
    assert np.array_equal(
        fitted.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"]
    )
    assert totals == [total(array, i) for i in range(CALLS)]
    report.done()


if __name__ == "__main__":
    main()
