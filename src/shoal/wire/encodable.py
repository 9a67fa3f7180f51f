"""Messages that the encoder refuses, made such that it takes them.

File names that are no UTF-8, as `os.listdir` gives them, and numbers of more than 64 bits come in
names of functions and types, of resources and data sets, in sizes and texts of errors. Their
meaning is not lost: a text has its odd characters escaped, on every way alike, and a
number becomes the nearest that can be told. Keys need none of it, see `shoal._base.keys`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from shoal.wire.plain_values import LEAST, MOST

__all__ = ["encodable", "encodable_text"]


def encodable_text(text: str) -> str:
    r"""Return a text that is UTF-8: halves of surrogate pairs are escaped.

    Examples
    --------
    >>> encodable_text("caf\udce9.csv")
    'caf\\udce9.csv'
    """
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode()


def encodable(value: Any) -> Any:
    """Return a message, or a part of one, with texts and numbers that can be encoded."""
    kind = type(value)
    if kind is str:
        return encodable_text(value)
    if kind is int:
        return min(max(value, LEAST), MOST)
    if kind in (list, tuple, set, frozenset):
        return kind(map(encodable, value))
    if kind is dict:
        return {encodable(key): encodable(item) for key, item in value.items()}
    if isinstance(value, msgspec.Struct):
        return kind(**{name: encodable(getattr(value, name)) for name in value.__struct_fields__})
    return value
