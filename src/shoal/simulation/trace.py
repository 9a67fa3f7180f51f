"""The events of a life as lines of text: the same seed gives the same lines, on any machine.

Only the last lines are kept unless all are asked for; the digest always covers all of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any
from zlib import crc32

__all__ = ["Trace", "describe"]

_KEPT = 400
_KEYS = 4


class Trace:
    """The lines of one cluster's life.

    Parameters
    ----------
    show : callable, optional
        Called with every line as it is written.
    detailed : bool
        Whether lines say what messages contain, not only of which types they are.
    """

    def __init__(self, show: Callable[[str], None] | None = None, detailed: bool = False) -> None:
        self.lines: deque[str] = deque(maxlen=_KEPT)
        self.count = 0
        self.digest = 0
        self.detailed = detailed
        self._show = show

    def write(self, now: float, text: str) -> None:
        """Add a line."""
        line = f"{now:.6f} {text}"
        self.count += 1
        self.digest = crc32(line.encode(), self.digest)
        if not text.endswith("Heartbeat"):  # a client that hangs says nothing else for long
            self.lines.append(line)
        if self._show is not None:
            self._show(line)

    def messages(self, now: float, source: str, target: str, messages: Sequence[Any]) -> None:
        """Add a line about messages that arrive."""
        if self.detailed:
            text = ", ".join(describe(message) for message in messages)
        else:
            text = " ".join([type(message).__name__ for message in messages])
        self.write(now, f"{source} -> {target}: {text}")


def describe(message: Any) -> str:
    """Return a message's type and the fields that a reader of a trace looks for."""
    found = []
    for name in ("keys", "key", "runs", "run", "deps", "dep_holders", "held", "running"):
        value = getattr(message, name, None)
        if value:
            found.append(f"{name}={_short(value)}")
    for name in ("kept", "absent", "unreachable", "holders", "wanted", "forget", "stop", "reason"):
        value = getattr(message, name, None)
        if value or (name == "wanted" and value is not None):
            found.append(f"{name}={_short(value)}")
    return f"{type(message).__name__}({', '.join(found)})"


def _short(value: Any) -> str:
    if isinstance(value, list) and len(value) > _KEYS:
        return f"{value[:_KEYS]!r}+{len(value) - _KEYS}"
    return repr(value)
