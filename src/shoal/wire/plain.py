"""Plain data: what everybody can read, people and other programs too."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["plain"]


def plain(value: Any) -> Any:
    """Return a value as texts, numbers, bytes, lists and dicts, which travel as msgpack.

    Raises
    ------
    TypeError
        When there is something else in it; the message names its type.
    """
    try:
        return msgspec.to_builtins(value, builtin_types=(bytes,), str_keys=False)
    except TypeError as error:
        raise TypeError(
            f"only plain data (texts, numbers, lists, dicts) can be logged or stored here: {error}"
        ) from None
