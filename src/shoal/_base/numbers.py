"""Numbers from users: of Python, of numpy, or of whatever else can be an index."""

from __future__ import annotations

import operator
from typing import Any

__all__ = ["is_whole", "plain_scalar", "whole_number"]

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
        What the number is, for the message.
    value : object
        What a user gave: anything that `operator.index` takes, but no truth value.
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
