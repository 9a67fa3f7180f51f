"""Datasets: named values, opaque here, whose keys are kept as long as the name is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.scheduler.core.coordination.state import Operation, UnackedDelivery
from shoal.scheduler.core.journal import recorder as r

if TYPE_CHECKING:
    from shoal.scheduler.core.coordination.state import CoordinationState, PendingRequest, Token

__all__ = ["OPERATIONS", "Dataset"]


class Dataset:
    """The value that was published under a name."""

    __slots__ = ("keys", "value")

    def __init__(self, value: bytes, keys: list[str]) -> None:
        self.value = value
        self.keys = keys

    def withdraw(self, coordination: CoordinationState, request: PendingRequest) -> None:
        """Do nothing: no request waits for a dataset."""

    def release(self, coordination: CoordinationState, token: Token) -> None:
        """Do nothing: no client holds a dataset."""

    def put_back(self, coordination: CoordinationState, items: Any) -> None:
        """Nothing is taken out of a dataset."""


def _publish(coordination: CoordinationState, request: PendingRequest) -> None:
    """Args: value, whether it may replace another."""
    place = ("dataset", request.name)
    value, override = request.args
    old: Dataset | None = coordination.places.get(place)
    if old is not None and not override:
        coordination.answer(request, False)
        return
    coordination.keep(request.keys)
    coordination.places[place] = Dataset(value, request.keys)
    if coordination.recorder is not None:
        coordination.recorder.put(r.DATASET, request.name, (value, request.keys))
    if old is not None:
        coordination.unkeep(old.keys)
    coordination.answer(request, True)


def _get(coordination: CoordinationState, request: PendingRequest) -> None:
    found: Dataset | None = coordination.places.get(("dataset", request.name))
    if found is None:
        coordination.answer(request)
    elif found.keys:
        # They stay until the client wants them, whoever takes the name away meanwhile.
        coordination.keep(found.keys)
        coordination.send(request, found.value, UnackedDelivery(None, None, found.keys))
    else:
        coordination.answer(request, found.value)


def _list(coordination: CoordinationState, request: PendingRequest) -> None:
    coordination.answer(request, [name for kind, name in coordination.places if kind == "dataset"])


def _unpublish(coordination: CoordinationState, request: PendingRequest) -> None:
    found: Dataset | None = coordination.places.pop(("dataset", request.name), None)
    if found is not None:
        coordination.unkeep(found.keys)
        if coordination.recorder is not None:
            coordination.recorder.drop(r.DATASET, request.name)
    coordination.answer(request, found is not None)


OPERATIONS = {
    "publish": Operation(_publish, bytes, bool, lasting=True),
    "get": Operation(_get),
    "list": Operation(_list),
    "unpublish": Operation(_unpublish, lasting=True),
}
