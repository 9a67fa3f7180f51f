"""Effects that note which of their fields a test looked at; the harnesses of the cores use them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

__all__ = ["Unlooked"]


class _Effects:
    """Passes for the effects of one event."""

    def __init__(self, effects: Any, unseen: set[str]) -> None:
        self.itself = effects
        self._unseen = unseen

    def __getattr__(self, name: str) -> Any:
        self._unseen.discard(name)
        return getattr(self.itself, name)


class Unlooked:
    """Fields of effects that ask for something and that the test did not look at.

    Parameters
    ----------
    strict : iterable of str
        The fields that a test has to look at where they ask for something.
    """

    def __init__(self, strict: Iterable[str]) -> None:
        self._strict = tuple(strict)
        self._left: list[tuple[Any, set[str]]] = []

    def watch(self, effects: Any) -> Any:
        """Return the effects of an event for the test."""
        unseen = {name for name in self._strict if getattr(effects, name)}
        if unseen:
            self._left.append((effects, unseen))
        return cast("Any", _Effects(effects, unseen))

    def ignore(self, *names: str, why: str) -> None:
        """Take all of some fields, which must ask for something, without a look at them."""
        assert why
        for name in names:
            holders = [unseen for _, unseen in self._left if name in unseen]
            assert holders, f"nothing is left to ignore in {name!r}"
            for unseen in holders:
                unseen.discard(name)

    def check(self) -> None:
        """Fail if a field asked for something, and the test did not look at it."""
        left = [f"{name}: {getattr(effects, name)}" for effects, s in self._left for name in s]
        assert not left, f"nobody looked at {'; '.join(sorted(left))}"
