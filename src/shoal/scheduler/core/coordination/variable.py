"""Variables: one value that any client may set, and the requests that wait for the first one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.scheduler.core.coordination.state import Operation, UnackedDelivery
from shoal.scheduler.core.journal import recorder as r

if TYPE_CHECKING:
    from shoal.scheduler.core.coordination.state import CoordinationState, PendingRequest, Token

__all__ = ["OPERATIONS", "Variable"]


class Variable:
    """One variable; it is forgotten when it is deleted, or not set and nobody waits."""

    __slots__ = ("getters", "keys", "name", "value")

    def __init__(self, name: str) -> None:
        self.name = name
        self.value: bytes | None = None  # None: not set
        self.keys: list[str] = []
        self.getters: dict[PendingRequest, None] = {}

    def give(self, coordination: CoordinationState, getter: PendingRequest) -> None:
        """Answer with the value. Its keys stay until they arrived, whatever is set meanwhile."""
        if self.keys:
            coordination.keep(self.keys)
            coordination.send(getter, self.value, UnackedDelivery(None, None, self.keys))
        else:
            coordination.answer(getter, self.value)

    def withdraw(self, coordination: CoordinationState, request: PendingRequest) -> None:
        """Forget a request whose caller waits no more."""
        del self.getters[request]
        if self.value is None and not self.getters:
            del coordination.places["variable", self.name]

    def release(self, coordination: CoordinationState, token: Token) -> None:
        """Do nothing: no client holds a variable."""

    def put_back(self, coordination: CoordinationState, items: Any) -> None:
        """Nothing is taken out of a variable."""


def _set(coordination: CoordinationState, request: PendingRequest) -> None:
    """Args: value."""
    if coordination.retired and coordination.is_retired(request, "variable"):
        return
    place = ("variable", request.name)
    variable: Variable | None = coordination.places.get(place)
    if variable is None:
        variable = coordination.places[place] = Variable(request.name)
    coordination.keep(request.keys)
    old, variable.keys = variable.keys, request.keys
    variable.value = request.args[0]
    if coordination.recorder is not None:
        coordination.recorder.put(r.VARIABLE, request.name, (variable.value, variable.keys))
    coordination.unkeep(old)
    getters, variable.getters = variable.getters, {}
    for getter in getters:
        variable.give(coordination, getter)
    coordination.answer(request)


def _get(coordination: CoordinationState, request: PendingRequest) -> None:
    place = ("variable", request.name)
    variable: Variable | None = coordination.places.get(place)
    if variable is None:
        variable = coordination.places[place] = Variable(request.name)
    if variable.value is None:
        coordination.wait(request, variable)
        variable.getters[request] = None
    else:
        variable.give(coordination, request)


def _delete(coordination: CoordinationState, request: PendingRequest) -> None:
    variable: Variable | None = coordination.places.get(("variable", request.name))
    if variable is not None and variable.value is not None:
        coordination.unkeep(variable.keys)
        del coordination.places["variable", request.name]
        if coordination.recorder is not None:
            coordination.recorder.drop(r.VARIABLE, request.name)
    coordination.answer(request)


def _retire(coordination: CoordinationState, request: PendingRequest) -> None:
    """Delete a variable whose name is not used again."""
    coordination.retire("variable", request.name)
    _delete(coordination, request)


OPERATIONS = {
    "set": Operation(_set, bytes, lasting=True),
    "get": Operation(_get),
    "delete": Operation(_delete, lasting=True),
    "retire": Operation(_retire, lasting=True),
}
