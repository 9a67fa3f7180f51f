"""What is made of shuffles gives what pandas gives, on workers that cannot hold all of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from shoal import Client, LocalCluster

np: Any = pytest.importorskip("numpy")
pd: Any = pytest.importorskip("pandas")
dd: Any = pytest.importorskip("dask.dataframe")
pytestmark = pytest.mark.process

PARTS, ROWS = 12, 60_000  # 23 MB, several times over in what follows


def part(i: int, seed: int = 0) -> Any:
    rng = np.random.default_rng(1000 * seed + i)
    k = rng.integers(0, 50_000, ROWS)
    name = pd.Categorical.from_codes(k % 26, list("abcdefghijklmnopqrstuvwxyz"))
    x = np.where(k % 11 == 0, np.nan, rng.random(ROWS))
    return pd.DataFrame({"k": k, "x": x, "y": rng.permutation(ROWS) + i * ROWS, "name": name})


def table(seed: int = 0, parts: int = PARTS) -> Any:
    return dd.from_map(part, range(parts), seed=seed, meta=part(0)[:0], enforce_metadata=False)


def whole(seed: int = 0, parts: int = PARTS) -> Any:
    return pd.concat([part(i, seed) for i in range(parts)], ignore_index=True)


@pytest.fixture(scope="module")
def small_workers() -> Iterator[Client]:
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, memory_limit="300MB", dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.fixture(autouse=True)
def _nobody_dies(small_workers: Client) -> Iterator[None]:
    before = set(small_workers.scheduler_info(n_workers=-1)["workers"])
    yield
    assert set(small_workers.scheduler_info(n_workers=-1)["workers"]) == before


def equal(found: Any, want: Any, by: str) -> None:
    found, want = (one.sort_values(by).reset_index(drop=True) for one in (found, want))
    pd.testing.assert_frame_equal(found, want)


def test_sort_values() -> None:
    found = table().sort_values("y")[["y", "k", "x"]].compute()
    want = whole().sort_values("y")[["y", "k", "x"]]
    pd.testing.assert_frame_equal(found.reset_index(drop=True), want.reset_index(drop=True))


def test_set_index_with_unknown_divisions() -> None:
    made = table().set_index("y")
    assert made.known_divisions
    pd.testing.assert_frame_equal(made.compute(), whole().set_index("y").sort_index())


def test_groupby_apply() -> None:
    def spread(group: Any) -> float:
        return float(group.y.max() - group.y.min())

    found = table(parts=4).groupby("name", observed=True).apply(spread, meta=("y", "f8")).compute()
    want = whole(parts=4).groupby("name", observed=True).apply(spread)
    pd.testing.assert_series_equal(found.sort_index(), want, check_names=False)


@pytest.mark.parametrize("how", ["inner", "left", "outer"])
def test_merge_of_two_large_frames(how: str) -> None:
    left, right = table()[["y", "x", "name"]], table(1)[["y", "k"]]
    right = right[right.k > 10_000]
    found = left.merge(right, on="y", how=how, broadcast=False).compute()
    small = whole(1)[["y", "k"]]
    want = whole()[["y", "x", "name"]].merge(small[small.k > 10_000], on="y", how=how)
    equal(found, want, "y")


def test_drop_duplicates() -> None:
    found = table()[["k", "name"]].drop_duplicates(split_out=8).compute()
    equal(found, whole()[["k", "name"]].drop_duplicates(), "k")


def test_groupby_of_many_groups() -> None:
    found = table().groupby("k").agg({"x": "mean", "y": "sum"}, split_out=8).compute()
    want = whole().groupby("k").agg({"x": "mean", "y": "sum"})
    pd.testing.assert_frame_equal(found.sort_index(), want)
