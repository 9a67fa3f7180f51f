"""Keys of tasks: users write strings and tuples, the wire and the cores only know strings.

A user's key is a `str`, `bytes`, `int`, `float` or a (nested) tuple of these. Most are strings and
travel as they are. Everything else travels as its `repr`, and so does the rare string that could be
mistaken for one; `decode_key(encode_key(k)) == k` for every key.
"""

from __future__ import annotations

import ast
import math
import re
from functools import lru_cache
from typing import Any, TypeAlias

from shoal._base.numbers import plain_scalar

__all__ = ["Key", "decode_key", "encode_key", "set_aside_key", "without_life"]

Key: TypeAlias = "str | bytes | int | float | tuple[Any, ...]"

# The start of the repr of a non-string key, or of a quoted string.
_LITERAL = re.compile(r"""[('"]|b['"]|-?[0-9][0-9.e+-]*\Z""")

# Longer keys are decoded each time: many of them would fill the memory.
_LONG = 500

_SIMPLE = frozenset((str, int))

# Ends the key, before the number of its life, in names of lives that had to make way for others.
_LIFE = "\x1f"


def encode_key(key: Any) -> str:
    """Return the wire form of a user's key.

    Parameters
    ----------
    key : str, bytes, int, float or tuple of these
        The key as the user or a graph has it.

    Returns
    -------
    str
        The key itself when it is an ordinary string, otherwise its `repr`.

    Raises
    ------
    TypeError
        When `key`, or a part of it, has another type.

    Examples
    --------
    >>> encode_key("inc-1"), encode_key(("x", 0))
    ('inc-1', "('x', 0)")
    """
    if type(key) is str:
        if (_LITERAL.match(key) and _LIFE not in key) or not (key.isascii() or _is_utf8(key)):
            return repr(key)
        return key
    if type(key) is not tuple or not _SIMPLE.issuperset(map(type, key)):
        plain = _plain(key, key)
        return repr(plain) if type(plain) is not str else encode_key(plain)
    return repr(key)


def decode_key(text: str) -> Any:
    """Return the user's key of a wire key; the inverse of `encode_key`.

    A text that is no wire key, as a damaged peer may send, stands for itself: nobody who is told of
    it later shall fail for it.

    Examples
    --------
    >>> decode_key("('x', 0)"), decode_key("(x")
    (('x', 0), '(x')
    """
    if not _LITERAL.match(text) or _LIFE in text:
        return text
    return _decode_literal(text) if len(text) <= _LONG else _literal(text)


def set_aside_key(text: str, life: int) -> str:
    """Return the name under which a life of a wire key goes on when the key means another.

    To users and to graphs it is a key of its own, a text like any other.

    Examples
    --------
    >>> name = set_aside_key("('x', 0)", 17)
    >>> encode_key(decode_key(name)) == name
    True
    """
    return f"{without_life(text)}{_LIFE}{life}"


def without_life(text: str) -> str:
    """Return the wire key of which a wire key may be a life that made way.

    Examples
    --------
    >>> without_life(set_aside_key("x", 17)), without_life("x")
    ('x', 'x')
    """
    return text.partition(_LIFE)[0]


def _literal(text: str) -> Any:
    try:
        key = ast.literal_eval(text)
        return key if encode_key(key) == text else text
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text


_decode_literal = lru_cache(maxsize=100_000)(_literal)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # of a file's name, perhaps: half a surrogate pair
        return False
    return True


def _plain(part: Any, whole: Any) -> Any:
    """Return a key, or a part of one, of Python's own types."""
    kind = type(part)
    if kind is tuple:
        return tuple(_plain(item, whole) for item in part)
    if kind is float:
        if not math.isfinite(part):
            raise TypeError(f"key {whole!r} contains {part!r}; use finite numbers in keys")
    elif kind not in (str, bytes, int):
        scalar = plain_scalar(part)
        if type(scalar) in (str, bytes, int, float):
            return _plain(scalar, whole)
        raise TypeError(
            f"key {whole!r} contains a {kind.__name__} ({part!r}); "
            "keys are str, bytes, int, float or tuples of these"
        )
    return part
