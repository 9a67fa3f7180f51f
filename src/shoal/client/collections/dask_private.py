"""The parts of dask without annotations that this package uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from dask import _expr, base, core

__all__ = ["FinalizeCompute", "flatten", "unpack_collections"]

flatten: Callable[[Any], Iterator[Any]] = core.flatten
unpack_collections: Callable[..., tuple[list[Any], Any]] = base.unpack_collections
FinalizeCompute: Callable[[Any], Any] = _expr.FinalizeCompute
