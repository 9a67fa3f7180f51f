"""Datasets: named values, opaque here, whose keys are kept as long as the name is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.scheduler.core.coordination.desk import Operation, Parcel

if TYPE_CHECKING:
    from shoal.scheduler.core.coordination.desk import Asked, Desk, Token

__all__ = ["OPERATIONS", "Dataset"]


class Dataset:
    """What was published under a name."""

    __slots__ = ("keys", "value")

    def __init__(self, value: bytes, keys: list[str]) -> None:
        self.value = value
        self.keys = keys

    def withdraw(self, desk: Desk, asked: Asked) -> None:
        """Nobody waits for a dataset."""

    def release(self, desk: Desk, token: Token) -> None:
        """Nobody holds a dataset."""

    def put_back(self, desk: Desk, items: Any) -> None:
        """Nothing is taken out of a dataset."""


def _publish(desk: Desk, asked: Asked) -> None:
    """Args: value, whether it may replace another."""
    place = ("dataset", asked.name)
    value, override = asked.args
    old: Dataset | None = desk.places.get(place)
    if old is not None and not override:
        desk.answer(asked, False)
        return
    desk.keep(asked.keys)
    desk.places[place] = Dataset(value, asked.keys)
    if old is not None:
        desk.unkeep(old.keys)
    desk.answer(asked, True)


def _get(desk: Desk, asked: Asked) -> None:
    found: Dataset | None = desk.places.get(("dataset", asked.name))
    if found is None:
        desk.answer(asked)
    elif found.keys:
        # They stay until the client wants them, whoever takes the name away meanwhile.
        desk.keep(found.keys)
        desk.send(asked, found.value, Parcel(None, None, found.keys))
    else:
        desk.answer(asked, found.value)


def _list(desk: Desk, asked: Asked) -> None:
    desk.answer(asked, [name for kind, name in desk.places if kind == "dataset"])


def _unpublish(desk: Desk, asked: Asked) -> None:
    found: Dataset | None = desk.places.pop(("dataset", asked.name), None)
    if found is not None:
        desk.unkeep(found.keys)
    desk.answer(asked, found is not None)


OPERATIONS = {
    "publish": Operation(_publish, bytes, bool),
    "get": Operation(_get),
    "list": Operation(_list),
    "unpublish": Operation(_unpublish),
}
