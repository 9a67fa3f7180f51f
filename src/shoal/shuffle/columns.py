"""A frame's columns and index as fields that can be cut, and built again from them.

Values of a fixed width are arrays of numpy: numbers and times as they are, codes of categories,
ordinals of periods, values and masks of nullable types. Columns of Arrow stay Arrow's. All else,
objects and extension types that nobody here knows, is taken as it is, to be pickled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from dask.dataframe.dispatch import concat

__all__ = ["Fields", "Scheme", "build_frame", "take_apart"]

_FIXED = frozenset("biufcmM")  # kinds of numpy's types
_concat: Any = concat  # dask is not annotated
_Array = Any  # of numpy or of pandas


class Scheme:
    """The properties that all parts of a frame share.

    Attributes
    ----------
    columns : Index
        The labels; None where the frame is of a type that is not taken apart.
    names : list
        Names of the index, or of its levels.
    kinds : list of (str, object)
        How each column, and then each level of the index, is kept; and its type.
    fixed : list of dtype
        Of the fields of fixed width, in order.
    arrow : bytes
        The schema of the record batches; empty where there are none.
    """

    __slots__ = ("arrow", "columns", "fixed", "kinds", "names")

    def __init__(self, columns: Any, names: list[Any]) -> None:
        self.columns = columns
        self.names = names
        self.kinds: list[tuple[str, Any]] = []
        self.fixed: list[np.dtype[Any]] = []
        self.arrow = b""

    def __reduce__(self) -> Any:
        state = tuple(getattr(self, name) for name in self.__slots__)
        return _scheme, (self.__slots__, state)

    def equals(self, other: Scheme) -> bool:
        """Return whether fields of both can be put one after the other."""
        if self.columns is None or other.columns is None:
            return self.columns is other.columns
        return bool(
            self.columns.equals(other.columns)
            and self.names == other.names
            and self.fixed == other.fixed
            and self.arrow == other.arrow
            and len(self.kinds) == len(other.kinds)
            and all(map(_same_kind, self.kinds, other.kinds))
        )


def _scheme(names: Sequence[str], state: tuple[Any, ...]) -> Scheme:
    scheme = Scheme.__new__(Scheme)
    for name, value in zip(names, state, strict=True):
        setattr(scheme, name, value)
    return scheme


def _same_kind(one: tuple[str, Any], other: tuple[str, Any]) -> bool:
    if one[0] != other[0] or one[1] != other[1]:
        return False
    if one[0] != "categories":
        return True
    mine, its = one[1].categories, other[1].categories  # equal types may have them in other orders
    return bool(mine.dtype == its.dtype and mine.equals(its))


class Fields:
    """The fields of one frame, to be cut.

    Attributes
    ----------
    fixed : list of ndarray
        The columns of fixed width.
    arrow : RecordBatch or None
        The columns that are Arrow's.
    others : list
        The object to pickle; anything with a method `take`.
    """

    __slots__ = ("arrow", "fixed", "others")

    def __init__(self) -> None:
        self.fixed: list[np.ndarray[Any, Any]] = []
        self.arrow: Any = None
        self.others: list[Any] = []


def take_apart(frame: pd.DataFrame, without: str | None = None) -> tuple[Scheme, Fields]:
    """Return what all parts of a frame have in common, and its fields.

    Parameters
    ----------
    frame : DataFrame
        The frame.
    without : str, optional
        The name of a column that is left out.
    """
    fields = Fields()
    if type(frame) is not pd.DataFrame:  # geopandas, cudf: they know how to take and to concatenate
        fields.others.append(frame if without is None else frame.drop(columns=[without]))
        return Scheme(None, []), fields
    kept = [i for i, label in enumerate(frame.columns) if label != without]
    index = frame.index
    scheme = Scheme(frame.columns[kept], list(index.names))
    arrays: list[_Array] = [_array_of(frame.iloc[:, i]) for i in kept]
    if isinstance(index, pd.MultiIndex):
        arrays += [_array_of(index.get_level_values(i)) for i in range(index.nlevels)]
    else:
        arrays.append(_array_of(index))
    arrow: list[Any] = []
    for array in arrays:
        _add(array, scheme, fields, arrow)
    if arrow:
        import pyarrow as pa

        names = [str(i) for i in range(len(arrow))]
        fields.arrow = pa.record_batch(arrow, names=names)
        scheme.arrow = fields.arrow.schema.serialize().to_pybytes()
    scheme.fixed = [field.dtype for field in fields.fixed]
    return scheme, fields


def _array_of(values: Any) -> _Array:
    return values.to_numpy() if isinstance(values.dtype, np.dtype) else values.array


def _add(array: _Array, scheme: Scheme, fields: Fields, arrow: list[Any]) -> None:
    dtype = array.dtype
    kind = "other"
    if isinstance(array, np.ndarray):
        if dtype.kind in _FIXED:
            kind = "numpy"
            fields.fixed.append(array)
    elif isinstance(dtype, pd.CategoricalDtype):
        kind = "categories"
        fields.fixed.append(np.asarray(array.codes))
    elif isinstance(dtype, (pd.DatetimeTZDtype, pd.PeriodDtype)):
        kind = "zoned" if isinstance(dtype, pd.DatetimeTZDtype) else "periods"
        fields.fixed.append(array.asi8)
    elif isinstance(
        array, (pd.arrays.IntegerArray, pd.arrays.FloatingArray, pd.arrays.BooleanArray)
    ):
        kind = "masked"
        nullable: Any = array  # its values beside its mask have no public name
        fields.fixed += [nullable._data, nullable._mask]
    elif isinstance(dtype, pd.StringDtype) or (
        # Batches of dictionaries do not have the words in them.
        isinstance(dtype, pd.ArrowDtype) and "dictionary<" not in str(dtype.pyarrow_dtype)
    ):
        kind = "arrow"
        arrow.append(_one_chunk(array.__arrow_array__()))
    if kind == "other":
        fields.others.append(array)
    scheme.kinds.append((kind, dtype))


def _one_chunk(array: Any) -> Any:
    """Return an array of Arrow's, of one chunk."""
    import pyarrow as pa

    if not isinstance(array, pa.ChunkedArray):
        return array
    if array.num_chunks == 1:
        return array.chunk(0)
    combined = array.combine_chunks()
    if isinstance(combined, pa.ChunkedArray):  # too long for one
        return pa.concat_arrays(combined.chunks)
    return combined


def build_frame(
    scheme: Scheme, fixed: Sequence[np.ndarray[Any, Any]], batches: Any, others: list[list[Any]]
) -> pd.DataFrame:
    """Return a frame from its fields.

    Parameters
    ----------
    scheme : Scheme
        Of all of them.
    fixed : sequence of ndarray
        The fields of fixed width; they become the frame's own memory.
    batches : Table or None
        The columns that are Arrow's.
    others : list of list
        Of each chunk of rows, what was pickled.
    """
    if scheme.columns is None:
        whole = [chunk[0] for chunk in others]
        frame: pd.DataFrame = whole[0] if len(whole) == 1 else _concat(whole)
        return frame
    fields = iter(fixed)
    arrow = iter(() if batches is None else batches.columns)
    rest = iter(zip(*others, strict=True)) if others else iter(())
    arrays = [_build(kind, dtype, fields, arrow, rest) for kind, dtype in scheme.kinds]
    width = len(scheme.columns)
    levels = arrays[width:]
    index: Any
    if len(levels) == 1:
        dtype = scheme.kinds[-1][1]
        index = pd.Index(levels[0], dtype=dtype, name=scheme.names[0], copy=False)
    else:
        index = pd.MultiIndex.from_arrays(levels, names=scheme.names)
    columns: dict[int, Any] = {}
    for i, array in enumerate(arrays[:width]):
        if isinstance(array, np.ndarray) and array.dtype == object:  # not to be guessed anew
            array = pd.Series(array, index=index, dtype=object, copy=False)
        columns[i] = array
    frame = pd.DataFrame(columns, index=index, copy=False)
    frame.columns = scheme.columns
    return frame


def _build(kind: str, dtype: Any, fields: Any, arrow: Any, rest: Any) -> _Array:
    if kind == "numpy":
        return next(fields)
    if kind == "categories":
        return pd.Categorical.from_codes(next(fields), dtype=dtype)
    if kind == "zoned":
        naive = pd.DatetimeIndex(next(fields).view(f"M8[{dtype.unit}]"), copy=False)
        return naive.tz_localize("UTC").tz_convert(dtype.tz).array
    if kind == "periods":
        return pd.arrays.PeriodArray(next(fields), dtype=dtype)
    if kind == "masked":
        make: Any = dtype.construct_array_type()
        return make(next(fields), next(fields))
    if kind == "arrow":
        return dtype.__from_arrow__(next(arrow))
    some = list(next(rest))
    if isinstance(some[0], np.ndarray):
        return np.concatenate(some)
    concat: Any = type(some[0])._concat_same_type
    return concat(some)
