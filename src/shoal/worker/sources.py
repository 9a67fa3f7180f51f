"""Dependencies that a task reads where they are: what it is given instead of their values.

Nothing of them is brought to the worker before the task begins. Reading is in `shoal.shuffle`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shoal.wire.messages import Compute

__all__ = ["Source", "UnreadSources", "put_sources"]


class Source:
    """A dependency that stays where it is.

    Attributes
    ----------
    key : str
        Its key.
    life : int
        The life of the key that is meant.
    holders : sequence of str
        Addresses of workers that have it, as far as the scheduler knew.
    """

    __slots__ = ("holders", "key", "life")

    def __init__(self, key: str, life: int, holders: Sequence[str]) -> None:
        self.key = key
        self.life = life
        self.holders = holders

    def __repr__(self) -> str:
        return f"<Source {self.key!r} on {', '.join(self.holders)}>"


class UnreadSources(Exception):
    """Raised in a task that could not read what it needs; the scheduler finds other ways to it.

    Parameters
    ----------
    absent, unreachable : mapping
        Addresses by key: of workers that do not have it, and of those that did not answer.
    """

    def __init__(
        self, absent: Mapping[str, list[str]], unreachable: Mapping[str, list[str]]
    ) -> None:
        super().__init__(f"cannot read {', '.join({**absent, **unreachable})}")
        self.absent = absent
        self.unreachable = unreachable

    def rows(self) -> tuple[tuple[str, list[str], list[str]], ...]:
        """Return for each key who does not have it, and who could not be reached."""
        keys = {**self.absent, **self.unreachable}
        return tuple((k, self.absent.get(k, []), self.unreachable.get(k, [])) for k in keys)


def put_sources(compute: Compute, in_place: tuple[int, ...], values: list[Any]) -> None:
    """Put sources into those places of the values of a task's dependencies."""
    for start, stop in zip(in_place[::2], in_place[1::2], strict=True):
        for i in range(start, stop):
            life = compute.dep_lives[i] if compute.dep_lives else compute.life
            values[i] = Source(compute.deps[i], life, compute.dep_holders[i])
