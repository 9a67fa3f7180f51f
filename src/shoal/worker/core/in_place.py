"""Which inputs of a run are brought to the worker, and which the task reads where they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shoal.wire.messages import Compute

__all__ = ["bytes_read_in_place", "inputs_brought", "places_in_place"]


def places_in_place(in_place: tuple[int, ...]) -> frozenset[int]:
    """Return the numbers of the dependencies that are read in place, from their ranges.

    Examples
    --------
    >>> sorted(places_in_place((0, 2, 5, 6)))
    [0, 1, 5]
    """
    return frozenset(
        i
        for start, stop in zip(in_place[::2], in_place[1::2], strict=True)
        for i in range(start, stop)
    )


def inputs_brought(compute: Compute) -> Sequence[str]:
    """Return the keys of the dependencies whose values are here when the run begins."""
    options = compute.options
    if options is None or not options.in_place:
        return compute.deps
    places = places_in_place(options.in_place)
    return [dep for i, dep in enumerate(compute.deps) if i not in places]


def bytes_read_in_place(compute: Compute) -> int:
    """Return about how much a run reads: of each input a part, all together about one of them."""
    options = compute.options
    if options is None or not options.in_place or not compute.dep_nbytes:
        return 0
    places = places_in_place(options.in_place)
    return sum(compute.dep_nbytes[i] for i in places) // max(1, len(places))
