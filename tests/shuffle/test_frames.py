"""Frames cut into parts and put together: every type of column comes out as it went in."""

from __future__ import annotations

import datetime
import decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

np: Any = pytest.importorskip("numpy")
pd: Any = pytest.importorskip("pandas")
pa: Any = pytest.importorskip("pyarrow")
pytest.importorskip("dask.dataframe")

from shoal.shuffle.frames import join_frames, split_frame  # noqa: E402
from shoal.shuffle.reading import read_parts  # noqa: E402

ROWS = 40


def _nested(n: int) -> Any:
    values = [None if i % 5 == 0 else [i] * (i % 3) for i in range(n)]
    return pd.array(values, dtype=pd.ArrowDtype(pa.list_(pa.int64())))


def _structs(n: int) -> Any:
    kind = pa.struct([("a", pa.int32()), ("b", pa.string())])
    return pd.array([{"a": i, "b": str(i)} for i in range(n)], dtype=pd.ArrowDtype(kind))


def _sometimes(values: Any, none: Any = None) -> list[Any]:
    return [none if i % 7 == 3 else value for i, value in enumerate(values)]


COLUMNS: dict[str, Any] = {
    "int8": lambda n: np.arange(n).astype("i1"),
    "uint64": lambda n: np.arange(n).astype("u8") + 2**63,
    "float32 with gaps": lambda n: np.where(np.arange(n) % 3, np.arange(n), np.nan).astype("f4"),
    "bool": lambda n: np.arange(n) % 2 == 0,
    "complex": lambda n: np.arange(n) * (1 + 2j),
    "datetime": lambda n: pd.date_range("2020-01-01", periods=n, freq="h"),
    "datetime in s": lambda n: pd.date_range("2020-01-01", periods=n, freq="h", unit="s"),
    "time zone": lambda n: pd.date_range("2020-03-28", periods=n, freq="h", tz="Europe/Berlin"),
    "fixed zone": lambda n: pd.date_range(
        "2020", periods=n, tz=datetime.timezone(datetime.timedelta(hours=5))
    ),
    "timedelta": lambda n: pd.to_timedelta(_sometimes(range(n)), unit="s"),
    "period": lambda n: pd.period_range("2020-01", periods=n, freq="M"),
    "interval": lambda n: pd.interval_range(0, n),
    "Int64": lambda n: pd.array(_sometimes(range(n)), dtype="Int64"),
    "Float32": lambda n: pd.array(_sometimes(range(n)), dtype="Float32"),
    "boolean": lambda n: pd.array(_sometimes([i % 2 == 0 for i in range(n)]), dtype="boolean"),
    "str": lambda n: pd.Series(_sometimes([f"name {i}" for i in range(n)]), dtype="str"),
    "string of arrow": lambda n: pd.array(
        _sometimes([f"ä{i}" for i in range(n)]), dtype="string[pyarrow]"
    ),
    "string of python": lambda n: pd.array(
        _sometimes([f"n{i}" for i in range(n)]), dtype="string[python]"
    ),
    "decimal": lambda n: pd.array(
        _sometimes([decimal.Decimal(i) / 8 for i in range(n)]),
        dtype=pd.ArrowDtype(pa.decimal128(10, 3)),
    ),
    "date": lambda n: pd.array(
        [datetime.date(2020, 1, 1 + i % 28) for i in range(n)], dtype=pd.ArrowDtype(pa.date32())
    ),
    "dictionary": lambda n: pd.array(
        [f"d{i % 3}" for i in range(n)],
        dtype=pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string())),
    ),
    "lists": _nested,
    "structs": _structs,
    "categories": lambda n: pd.Categorical.from_codes(
        [-1 if i % 7 == 3 else i % 3 for i in range(n)], categories=["x", "unused", "y"]
    ),
    "ordered": lambda n: pd.Categorical.from_codes(
        [i % 2 for i in range(n)], categories=[3.5, 1.5], ordered=True
    ),
    "sparse": lambda n: pd.arrays.SparseArray([i % 4 for i in range(n)], fill_value=0),
    "objects": lambda n: pd.Series(
        [{"a": i} if i % 2 else (i, None) for i in range(n)], dtype=object
    ),
    "texts as objects": lambda n: pd.Series([f"o{i}" for i in range(n)], dtype=object),
    "bytes": lambda n: pd.Series([bytes([i]) for i in range(n)], dtype=object),
}

INDEXES: dict[str, Any] = {
    "range": lambda n: pd.RangeIndex(5, 5 + n, name="i"),
    "numbers": lambda n: pd.Index(np.arange(n)[::-1].astype("f8")),
    "times": lambda n: pd.date_range("2021", periods=n, tz="UTC", name="t"),
    "texts": lambda n: pd.Index([f"k{i}" for i in range(n)], name="k"),
    "categories": lambda n: pd.CategoricalIndex([f"c{i % 3}" for i in range(n)]),
    "objects": lambda n: pd.Index([(i,) for i in range(n)], dtype=object, tupleize_cols=False),
    "levels": lambda n: pd.MultiIndex.from_arrays(
        [np.arange(n) % 3, [f"l{i}" for i in range(n)]], names=["a", None]
    ),
}


def frame(columns: list[str], index: str = "range", n: int = ROWS) -> Any:
    made = pd.DataFrame(index=INDEXES[index](n))
    for name in columns:
        values = COLUMNS[name](n)
        made[name] = values.array if isinstance(values, pd.Series) else values
    return made


def shuffled(frames: list[Any], targets: list[Any], npartitions: int) -> list[Any]:
    """Return what comes out of a shuffle of frames whose rows go to these partitions."""
    sources = [
        split_frame(one.assign(_to=to), "_to", npartitions)
        for one, to in zip(frames, targets, strict=True)
    ]
    return [
        join_frames(read_parts(sources, [(part, part + 1)] * len(sources)), frames[0].iloc[:0])
        for part in range(npartitions)
    ]


def expected(frames: list[Any], targets: list[Any], part: int) -> Any:
    return pd.concat([one[to == part] for one, to in zip(frames, targets, strict=True)])


@pytest.mark.parametrize("name", list(COLUMNS))
def test_columns_come_out_as_they_went_in(name: str) -> None:
    frames = [frame([name, "int8"]), frame([name, "int8"], n=7)]
    targets = [np.arange(ROWS) * 7 % 3, np.arange(7) % 2]
    for part, out in enumerate(shuffled(frames, targets, 4)):
        pd.testing.assert_frame_equal(out, expected(frames, targets, part), check_freq=False)
        if part < 3:
            assert out[name].dtype == frames[0][name].dtype


@pytest.mark.parametrize("name", list(INDEXES))
def test_indexes_come_out_as_they_went_in(name: str) -> None:
    frames = [frame(["int8", "str"], name), frame(["int8", "str"], name, n=7)]
    targets = [np.arange(ROWS) * 7 % 3, np.arange(7) % 2]
    for part, out in enumerate(shuffled(frames, targets, 3)):
        want = expected(frames, targets, part)
        pd.testing.assert_frame_equal(out, want, check_freq=False)
        assert list(out.index.names) == list(want.index.names)


@given(
    columns=st.lists(st.sampled_from(list(COLUMNS)), unique=True, max_size=6),
    index=st.sampled_from(list(INDEXES)),
    lengths=st.lists(st.integers(0, 30), min_size=1, max_size=4),
    npartitions=st.integers(1, 6),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_any_frame(
    columns: list[str], index: str, lengths: list[int], npartitions: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    frames = [frame(columns, index, n) for n in lengths]
    targets = [rng.integers(0, npartitions, n) for n in lengths]
    outputs = shuffled(frames, targets, npartitions)
    assert sum(map(len, outputs)) == sum(lengths)
    for part, out in enumerate(outputs):
        want = [one[to == part] for one, to in zip(frames, targets, strict=True)]
        want = [one for one in want if len(one)]
        if want:
            kind = "equiv" if columns else False
            pd.testing.assert_frame_equal(
                out, pd.concat(want), check_freq=False, check_column_type=kind
            )
        else:
            assert not len(out) and list(out.columns) == columns


def test_categories_of_files_that_were_written_apart() -> None:
    one = pd.DataFrame({"c": pd.Categorical(["a", "b", "a"])})
    other = pd.DataFrame({"c": pd.Categorical(["c", "b"])})
    # Equal types in pandas' eyes, with other codes.
    turned = pd.DataFrame({"c": pd.Categorical(["b", "a"], categories=["b", "a"])})
    zeros = [np.zeros(len(one), dtype=int) for one in (one, other, turned)]
    (out,) = shuffled([one, other, turned], zeros, 1)
    assert list(out.c) == ["a", "b", "a", "c", "b", "b", "a"]
    assert set(out.c.cat.categories) == {"a", "b", "c"}


def test_types_that_differ_from_input_to_input() -> None:
    frames = [pd.DataFrame({"x": [1, 2]}), pd.DataFrame({"x": [1.5, np.nan]})]
    (out,) = shuffled(frames, [np.zeros(2, int)] * 2, 1)
    pd.testing.assert_frame_equal(out, pd.concat(frames))


def test_columns_of_one_name() -> None:
    twice = pd.DataFrame([[1, 2.0], [3, 4.0]], columns=["a", "a"])
    (out,) = shuffled([twice], [np.zeros(2, int)], 1)
    pd.testing.assert_frame_equal(out, twice)


def test_frames_of_other_types_are_pickled() -> None:
    class Frame(pd.DataFrame):  # type: ignore[misc]
        _metadata = ["mark"]

        @property
        def _constructor(self) -> Any:
            return Frame

    globals()["Frame"] = Frame
    Frame.__qualname__ = "Frame"
    made = Frame({"x": range(10), "_to": np.arange(10) % 2})
    source = split_frame(made, "_to", 2)
    out = join_frames(read_parts([source], [(1, 2)]), made.iloc[:0])
    assert type(out) is Frame
    assert list(out.x) == [1, 3, 5, 7, 9] and list(out.columns) == ["x"]


def test_only_what_is_asked_for_is_kept() -> None:
    made = pd.DataFrame({"x": range(100), "_to": np.arange(100) % 10})
    source = split_frame(made, "_to", 10, wanted=[3, 7])
    assert sorted(source.parts[i][0][2] for i in (3, 7)) == [10, 10]
    assert not any(source.parts[i] for i in range(10) if i not in (3, 7))
    assert list(join_frames(read_parts([source], [(7, 8)]), made[:0]).x) == list(range(7, 100, 10))


@pytest.mark.parametrize("to", [[0, 3], [-1, 0], [0.5, 1], pd.to_datetime(["2020"] * 2)])
def test_numbers_of_partitions_are_checked(to: list[Any]) -> None:
    made = pd.DataFrame({"x": [1, 2], "_to": to})
    with pytest.raises(ValueError, match="'_to'"):
        split_frame(made, "_to", 3)


@pytest.mark.parametrize("kind", ["u1", "i4", "f8", "Int64", "uint64[pyarrow]", "bool"])
def test_numbers_of_partitions_may_be_of_any_type(kind: str) -> None:
    made = pd.DataFrame({"x": [1, 2, 3], "_to": pd.array([1, 0, 1]).astype(kind)})
    source = split_frame(made, "_to", 2)
    assert list(join_frames(read_parts([source], [(1, 2)]), made[:0]).x) == [1, 3]
