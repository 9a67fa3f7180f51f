"""What functions of tests note: their names do not change with it."""

from __future__ import annotations

from typing import Any


class Calls:
    """What was noted; it counts as nothing where a function refers to it."""

    def __init__(self) -> None:
        self.made: list[Any] = []

    def __dask_tokenize__(self) -> str:
        return "calls"

    def append(self, value: Any) -> None:
        self.made.append(value)

    def clear(self) -> None:
        self.made.clear()

    def __len__(self) -> int:
        return len(self.made)

    def __eq__(self, other: object) -> bool:
        return self.made == other

    __hash__ = None  # type: ignore[assignment]
