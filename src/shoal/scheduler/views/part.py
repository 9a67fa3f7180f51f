"""`SchedulerPart`: the base of the parts that `Scheduler` is made of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

from shoal._base.keys import encode_key

if TYPE_CHECKING:
    from shoal.scheduler.scheduler import Scheduler

__all__ = ["Names", "SchedulerPart", "addresses", "wire_keys", "wire_keys_or_all"]

Names: TypeAlias = Iterable[Any] | None
"""Workers by address, name or host, or as `WorkerState`; None: all."""


class SchedulerPart:
    """A part of `Scheduler`."""

    @property
    def _this(self) -> Scheduler:
        return self  # type: ignore[return-value]


def addresses(names: Names) -> list[Any] | None:
    """Return workers as operations take them."""
    if names is None:
        return None
    if isinstance(names, (str, int)):
        return [names]
    return [getattr(name, "address", name) for name in names]


def wire_keys(keys: Iterable[Any]) -> list[str]:
    """Return keys, or those of tasks, as they are on the wire."""
    return [encode_key(getattr(key, "key", key)) for key in keys]


def wire_keys_or_all(keys: Iterable[Any] | None) -> list[str] | None:
    """Return the same; None for None."""
    return None if keys is None else wire_keys(keys)
