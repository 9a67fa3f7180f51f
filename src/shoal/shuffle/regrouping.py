"""Some parts of several inputs as one value, so that who reads them has fewer to read from.

Bytes are moved as they are: what they mean is not looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shoal.shuffle.partitioned import Chunk, Partitioned
from shoal.shuffle.reading import own_pool, read_parts
from shoal.wire.stateless import register_parts

if TYPE_CHECKING:
    from shoal.worker.sources import Source

__all__ = ["Regrouping"]


class Regrouping:
    """Puts some parts of several inputs together, each part of all inputs in a row."""

    __slots__ = ()

    def __call__(
        self, first: int, last: int, sources: Sequence[Source | Partitioned]
    ) -> Partitioned:
        """Return the parts from `first` up to, and without, `last` of all sources."""
        parts: list[list[Chunk]] = [[] for _ in range(first, last)]
        data: list[list[bytearray]] = [[] for _ in range(first, last)]
        heads: dict[bytes, int] = {}
        for piece in read_parts(sources, [(first, last)] * len(sources)):
            nbytes, _, *rest = piece.chunk
            piece_bytes = bytearray(nbytes)
            piece.read_into([memoryview(piece_bytes)])
            head = heads.setdefault(piece.head, len(heads))
            parts[piece.part].append((nbytes, head, *rest))
            data[piece.part].append(piece_bytes)
        pieces = [piece_bytes for some in data for piece_bytes in some]
        return Partitioned.write(list(heads), parts, pieces, own_pool())

    def __reduce__(self) -> tuple[type[Regrouping], tuple[()]]:
        return Regrouping, ()


def _no_parts(regrouping: Regrouping) -> tuple[()]:
    return ()  # nothing in it is changed by a call


register_parts(Regrouping, _no_parts)
