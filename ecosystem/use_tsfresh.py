"""tsfresh: features of many time series, extracted by its distributor for dask."""

from __future__ import annotations

import numpy as np
import pandas as pd
from harness import Report, quick, two_workers
from tsfresh import extract_features
from tsfresh.feature_extraction import MinimalFCParameters
from tsfresh.utilities.distribution import ClusterDaskDistributor

SERIES = 20 if quick() else 1000


def main() -> None:
    report = Report("tsfresh", f"ClusterDaskDistributor: minimal features of {SERIES} series")
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "id": np.repeat(np.arange(SERIES), 100),
            "time": np.tile(np.arange(100), SERIES),
            "value": rng.normal(size=SERIES * 100),
        }
    )
    options = {
        "column_id": "id",
        "column_sort": "time",
        "default_fc_parameters": MinimalFCParameters(),
        "disable_progressbar": True,
    }

    with two_workers() as client:
        distributor = ClusterDaskDistributor(address=client.scheduler.address)
        found = report.timed(lambda: extract_features(table, distributor=distributor, **options))
    expected = extract_features(table, n_jobs=0, **options)
    pd.testing.assert_frame_equal(found, expected)
    report.done()


if __name__ == "__main__":
    main()
