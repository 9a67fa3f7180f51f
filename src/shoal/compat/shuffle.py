"""Names of another layer for arrays that programs import: they can be imported, not called."""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = ["partial_concatenate", "partial_rechunk"]


def _refuse(name: str) -> NoReturn:
    raise RuntimeError(f"{name} is a part of another layer: rechunk_p2p makes all of its own")


def partial_concatenate(*args: Any, **kwargs: Any) -> NoReturn:
    """Raise: `rechunk_p2p` makes a layer of its own."""
    _refuse("partial_concatenate")


def partial_rechunk(*args: Any, **kwargs: Any) -> NoReturn:
    """Raise: `rechunk_p2p` makes a layer of its own."""
    _refuse("partial_rechunk")


def _calculate_prechunking(*args: Any, **kwargs: Any) -> NoReturn:
    _refuse("_calculate_prechunking")


def _split_partials(*args: Any, **kwargs: Any) -> NoReturn:
    _refuse("_split_partials")
