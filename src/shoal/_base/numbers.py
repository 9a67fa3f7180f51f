"""Numbers from users: of Python, of numpy, or of whatever else can be an index."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from typing import Any

__all__ = ["amounts", "finite", "is_whole", "plain_scalar", "whole_number"]

# No amount that a message carries is larger, so that sums of them stay exact enough.
_LARGEST = 1e15

_SCALARS = (bool, int, float, str, bytes)


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number; truth values are none, also those of numpy."""
    if isinstance(value, bool):
        return False
    try:
        operator.index(value)
    except TypeError:
        return False
    return True


def whole_number(what: str, value: Any, minimum: int | None = None) -> int:
    """Return a whole number as an int of Python.

    Parameters
    ----------
    what : str
        The name of the number, for the message.
    value : object
        The user's value: anything that `operator.index` takes, but no truth value.
    minimum : int, optional
        The least that is allowed.

    Raises
    ------
    ValueError
        When it is no such number.

    Examples
    --------
    >>> whole_number("n_workers", 3, minimum=1)
    3
    """
    if is_whole(value) and (minimum is None or value >= minimum):
        return operator.index(value)
    least = "" if minimum is None else f" of at least {minimum}"
    raise ValueError(f"{what} must be a whole number{least}, got {value!r}")


def plain_scalar(value: Any) -> Any:
    """Return a single value of numpy and the like as Python's; anything else as it is.

    Examples
    --------
    >>> import numpy
    >>> plain_scalar(numpy.float32(0.5)), plain_scalar([1])
    (0.5, [1])
    """
    if type(value) in _SCALARS or getattr(value, "shape", None) != () or not hasattr(value, "item"):
        return value
    item = value.item()
    return item if isinstance(item, _SCALARS) else value


def finite(what: str, value: Any, minimum: float = -_LARGEST) -> float:
    """Return a number as a float of Python, no larger than a message may carry.

    Parameters
    ----------
    what : str
        The name of the number, for the message.
    value : object
        The user's value. Infinity is the largest number.
    minimum : float
        The least that is allowed.

    Raises
    ------
    ValueError
        When it is no number, or a smaller one.

    Examples
    --------
    >>> finite("priority=", 2), finite("priority=", float("inf"))
    (2.0, 1000000000000000.0)
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{what} must be a number, got {value!r}") from None
    number = max(number, -_LARGEST)
    if math.isnan(number) or number < minimum:
        least = "" if minimum <= -_LARGEST else f" of at least {minimum:g}"
        raise ValueError(f"{what} must be a number{least}, got {value!r}")
    return min(number, _LARGEST)


def amounts(what: str, given: Any) -> dict[str, float]:
    """Return how much there is of what, by name.

    Raises
    ------
    TypeError, ValueError
        When it is no dict of names and numbers.

    Examples
    --------
    >>> amounts("resources=", {"GPU": 2})
    {'GPU': 2.0}
    """
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise TypeError(f"{what} must be a dict such as {{'GPU': 1}}, got {given!r}")
    return {name: finite(f"{what[:-1]}[{name!r}]", n, 0.0) for name, n in given.items()}
