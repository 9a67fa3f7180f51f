"""Arguments and results of plain types."""

from __future__ import annotations

import pickle
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.wire.messages import Finished
from shoal.wire.plain_values import is_plain_result, load_arguments, plain_arguments, plain_rows

plain = st.one_of(
    st.integers(), st.floats(allow_nan=False), st.booleans(), st.none(), st.text(), st.binary()
)


class Number(int):
    """No plain int."""


@given(st.lists(plain, max_size=20).map(tuple))
def test_arguments_come_back_as_they_were(args: tuple[Any, ...]) -> None:
    data = plain_arguments(args)
    if data is None:
        assert any(type(arg) is int and not -(2**63) <= arg < 2**64 for arg in args)
        data = pickle.dumps((args, None), 5)
    again, kwargs = load_arguments(data)
    assert (repr(again), kwargs) == (repr(args), None)  # the repr tells 1, 1.0 and True apart


@pytest.mark.parametrize("arg", [Number(1), [], (1,), 1j, 2**64, -(2**63) - 1, "\ud800", {}])
def test_what_msgpack_would_not_give_back_is_not_plain(arg: Any) -> None:
    assert plain_arguments((1, arg)) is None


@given(st.one_of(st.integers(), st.floats(allow_nan=False), st.booleans()))
def test_plain_results_travel_in_a_message(value: Any) -> None:
    if not is_plain_result(value):
        assert not -(2**63) <= value < 2**64
        return
    message = Finished(["x"], [1], [28], ["int"], [0.0], [1.0], [value])
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(message), type=Finished)
    assert repr(again.values) == repr([value])


@given(st.integers(0, 3).flatmap(lambda n: st.lists(st.tuples(*[plain] * n), max_size=5)))
def test_many_calls_are_plain_if_each_is(rows: list[tuple[Any, ...]]) -> None:
    each = [plain_arguments(row) for row in rows]
    assert plain_rows(rows) == (None if None in each else each)
    assert plain_rows([*rows, (Number(1),) * (len(rows[0]) if rows else 1)]) is None or not rows[0]
