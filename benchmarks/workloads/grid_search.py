"""scikit-learn's grid search through joblib: many fits of a model, on the cluster's workers."""

from __future__ import annotations

import systems
from accounting import Meter

from workloads import graphs
from workloads.program import expect, run

TITLE = "joblib: GridSearchCV of SVC, 24 candidates x 5 folds, 400 samples"
SYSTEMS = ["shoal", "dask", "dask-best"]
ENVIRONMENT = "data"
FIGURES = {"seconds": ("s, fit()", "lower"), "fits": ("fits/s", "higher")}
GRID = {
    "C": [0.01, 0.1, 0.5, 1.0, 5.0, 10.0],
    "kernel": ["rbf", "poly"],
    "shrinking": [True, False],
}
FOLDS = 5


def search(samples=400):
    """Return a search and its data."""
    from sklearn.datasets import make_classification
    from sklearn.model_selection import GridSearchCV
    from sklearn.svm import SVC

    model = SVC(gamma="auto", random_state=0)
    data = make_classification(n_samples=samples, random_state=0)
    return GridSearchCV(model, GRID, cv=FOLDS, n_jobs=-1), data


def main(name):
    """Run it once on the system called `name`."""
    import joblib

    fits = FOLDS
    for values in GRID.values():
        fits *= len(values)
    with systems.start(name) as system:
        system.client.run(graphs.load, ("sklearn.svm", "sklearn.model_selection"))
        found, data = search()
        with joblib.parallel_config(backend="dask"), Meter(system) as meter:
            found.fit(*data)
    alone, data = search()
    alone.set_params(n_jobs=1).fit(*data)
    expect("the best parameters", found.best_params_, alone.best_params_)
    expect("the best score", round(found.best_score_, 9), round(alone.best_score_, 9))
    return {"seconds": meter.seconds, "fits": fits / meter.seconds} | meter.figures(fits)


if __name__ == "__main__":
    run(main)
