"""Valid messages, changed a little: by field, by entry of a column, by index, order, duplicates.

What is changed is the structure that msgpack carries, so that nearly all that comes out is decoded
again, and much of it passes the checks: then a core has to deal with it.
"""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec

__all__ = ["Mutator"]

_TEXTS = [
    "",
    "(x",
    "('x', 0)",
    "b'",
    "-1",
    "x\x1f5",
    "\x00",
    "é" * 300,
    "\x1b[31m\n",
    "((((((((",
    "'",
]
_NUMBERS = [
    -(2**63),
    -(2**31),
    -2,
    -1,
    0,
    1,
    2,
    3,
    7,
    100,
    2**31,
    2**53,
    2**62,
    2**63 - 1,
    2**64 - 1,
]
_FLOATS = [float("nan"), float("inf"), float("-inf"), -1.0, 0.0, 1e-300, 0.5, 1e9, 1e12, 1e300]
_MOST = 200  # texts and messages that are remembered


class Mutator:
    """Changes messages; remembers what it has seen, to put that elsewhere."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self._texts: list[str] = []
        self._messages: list[list[Any]] = []

    def batch(self, data: bytes) -> bytes:
        """Return a msgpack batch that is nearly the same as one."""
        rng = self.rng
        messages: list[Any] = msgspec.msgpack.decode(data)
        for message in messages:
            self._remember(message)
        for _ in range(rng.choice((1, 1, 1, 1, 2, 2, 4))):
            kind = rng.randrange(12)
            if not messages or kind == 0:
                messages.insert(rng.randint(0, len(messages)), rng.choice(self._messages))
            elif kind == 1:
                messages.insert(rng.randint(0, len(messages)), rng.choice(messages))
            elif kind == 2:
                rng.shuffle(messages)
            elif kind == 3:
                del messages[rng.randrange(len(messages))]
            else:
                at = rng.randrange(len(messages))
                messages[at] = self._message(messages[at])
        return msgspec.msgpack.encode(messages)

    def request(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return a request that is nearly the same as one; its operation is nearly always."""
        rng = self.rng
        self._remember(["request", *request.values()])
        changed = dict(request)
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            op = changed.pop("op", "")
            changed = self._table(changed)
            changed = {key if type(key) is str else str(key): v for key, v in changed.items()}
            changed["op"] = self._value(op) if rng.random() < 0.02 else op
        return changed

    def _remember(self, message: list[Any]) -> None:
        rng = self.rng
        if len(self._messages) < _MOST:
            self._messages.append(message)
        else:
            self._messages[rng.randrange(_MOST)] = message
        for text in _texts_in(message, 5):
            if len(self._texts) < _MOST:
                self._texts.append(text)
            else:
                self._texts[rng.randrange(_MOST)] = text

    def _message(self, message: list[Any]) -> list[Any]:
        rng = self.rng
        changed = list(message)
        if len(changed) < 2:
            return changed
        at = rng.randrange(1, len(changed))
        kind = rng.randrange(16)
        if kind == 0:
            del changed[at:]  # the last fields have defaults
        elif kind == 1:
            other = rng.choice(self._messages)
            changed[at] = other[rng.randrange(len(other))]
        elif kind == 2:
            alike = [each for each in self._messages if each[0] == message[0]]
            if alike:
                other = rng.choice(alike)
                changed[at] = other[at] if at < len(other) else other[-1]
        elif kind == 3:
            changed[at] = self._any()
        else:
            changed[at] = self._value(changed[at])
        return changed

    def _value(self, value: Any) -> Any:
        rng = self.rng
        kind = type(value)
        if kind is list:
            return self._column(value)
        if kind is dict:
            return self._table(value)
        if kind is str:
            return rng.choice(self._texts) if self._texts and rng.random() < 0.7 else self._text()
        if kind is bool:
            return not value
        if kind is int:
            near = [value - 1, value + 1, -value, value]
            changed = rng.choice(near if rng.random() < 0.4 else _NUMBERS)
            return min(max(changed, _NUMBERS[0]), _NUMBERS[-1])
        if kind is float:
            return rng.choice(_FLOATS)
        if kind is bytes:
            return rng.choice((b"", value[:-1], value * 2, rng.randbytes(16)))
        return self._any() if value is None or rng.random() < 0.2 else value

    def _column(self, column: list[Any]) -> list[Any]:
        rng = self.rng
        changed = list(column)
        n = len(changed)
        kind = rng.randrange(10)
        if not n or kind == 0:
            like = changed[0] if n else self._any()
            changed.insert(rng.randint(0, n), self._value(like))
        elif kind == 1:
            del changed[rng.randrange(n)]
        elif kind == 2:
            changed.append(rng.choice(changed))
        elif kind == 3:
            a, b = rng.randrange(n), rng.randrange(n)
            changed[a], changed[b] = changed[b], changed[a]
        elif kind == 4:
            changed[rng.randrange(n)] = rng.choice(changed)
        elif kind == 5:
            changed = rng.choice(([], changed[: n // 2], changed * 2, changed[::-1]))
        else:
            at = rng.randrange(n)
            changed[at] = self._value(changed[at])
        return changed

    def _table(self, table: dict[Any, Any]) -> dict[Any, Any]:
        rng = self.rng
        changed = dict(table)
        if not changed or rng.random() < 0.2:
            changed[rng.choice((self._text(), rng.choice(_NUMBERS)))] = self._any()
            return changed
        key = rng.choice(list(changed))
        if rng.random() < 0.3:
            del changed[key]
        elif rng.random() < 0.5:
            changed[key] = self._value(changed[key])
        else:
            changed[self._value(key) if type(key) in (str, int) else key] = changed.pop(key)
        return changed

    def _text(self) -> str:
        return self.rng.choice(_TEXTS)

    def _any(self) -> Any:
        rng = self.rng
        return rng.choice(
            (
                None,
                True,
                rng.choice(_NUMBERS),
                rng.choice(_FLOATS),
                self._text(),
                [],
                [self._text()],
                [rng.choice(_NUMBERS)] * 3,
                {},
                {"a": 1},
                b"bytes",
                [[[]]],
            )
        )


def _texts_in(value: Any, depth: int) -> list[str]:
    if type(value) is str:
        return [value]
    if type(value) is list and depth:
        return [text for each in value[:5] for text in _texts_in(each, depth - 1)]
    return []
