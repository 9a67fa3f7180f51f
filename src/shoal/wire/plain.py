"""Plain data: what everybody can read, people and other programs too."""

from __future__ import annotations

from typing import Any

import msgspec

from shoal._base.numbers import plain_scalar

__all__ = ["plain"]


def plain(value: Any) -> Any:
    """Return a value as texts, numbers, bytes, lists and dicts, which travel as msgpack.

    Raises
    ------
    TypeError
        When there is something else in it; the message names its type.
    """
    try:
        return msgspec.to_builtins(value, builtin_types=(bytes,), str_keys=False, enc_hook=_scalar)
    except TypeError as error:
        raise TypeError(
            f"only plain data (texts, numbers, lists, dicts) can be logged or stored here: {error}"
        ) from None


def _scalar(value: Any) -> Any:
    plain_value = plain_scalar(value)
    if plain_value is value:
        raise TypeError(f"it holds a {type(value).__module__}.{type(value).__qualname__}")
    return plain_value
