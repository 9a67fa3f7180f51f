"""Whole numbers of users."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from shoal._base.keys import decode_key, encode_key
from shoal._base.numbers import plain_scalar, whole_number
from shoal._base.worker_names import shown_name


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3)])
def test_whatever_is_an_index_is_a_whole_number(value):
    found = whole_number("n", value, 3)
    assert found == 3 and type(found) is int


@pytest.mark.parametrize("value", [True, np.bool_(True), 3.0, "3", None, Fraction(3)])
def test_what_is_none_is_named(value):
    with pytest.raises(ValueError, match="n must be a whole number, got"):
        whole_number("n", value)


def test_the_least():
    with pytest.raises(ValueError, match="n must be a whole number of at least 1, got 0"):
        whole_number("n", 0, 1)


def test_names_of_workers_are_shown_as_given():
    shown = [shown_name(name) for name in (0, np.int64(1), "0", True, ("gpu", 1))]
    assert shown == [0, 1, "0", "True", "('gpu', 1)"]
    assert type(shown[1]) is int


def test_single_values_of_numpy():
    given = [np.int64(3), np.float32(0.5), np.bool_(True), np.str_("a"), np.array(4)]
    found = [plain_scalar(value) for value in given]
    assert found == [3, 0.5, True, "a", 4]
    assert [type(value) for value in found] == [int, float, bool, str, int]
    for other in (np.array([1]), np.datetime64("2020-01-01"), None, [1]):
        assert plain_scalar(other) is other


def test_single_values_of_numpy_in_keys():
    assert encode_key(("x", np.int64(1), np.float64(0.5))) == encode_key(("x", 1, 0.5))
    assert encode_key(np.str_("abc")) == "abc"
    assert decode_key(encode_key(("x", (np.int8(3),)))) == ("x", (3,))
    with pytest.raises(TypeError, match="datetime64"):
        encode_key(("x", np.datetime64("2020-01-01")))
