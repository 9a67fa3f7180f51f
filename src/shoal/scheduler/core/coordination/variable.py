"""Variables: one value that anybody may set, and those who wait for the first one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.scheduler.core.coordination.desk import Operation, Parcel

if TYPE_CHECKING:
    from shoal.scheduler.core.coordination.desk import Asked, Desk, Token

__all__ = ["OPERATIONS", "Variable"]


class Variable:
    """One variable; it is forgotten when it is deleted, or not set and nobody waits."""

    __slots__ = ("getters", "keys", "name", "value")

    def __init__(self, name: str) -> None:
        self.name = name
        self.value: bytes | None = None  # None: not set
        self.keys: list[str] = []
        self.getters: dict[Asked, None] = {}

    def give(self, desk: Desk, getter: Asked) -> None:
        """Answer with the value. Its keys stay until they arrived, whatever is set meanwhile."""
        if self.keys:
            desk.keep(self.keys)
            desk.send(getter, self.value, Parcel(None, None, self.keys))
        else:
            desk.answer(getter, self.value)

    def withdraw(self, desk: Desk, asked: Asked) -> None:
        """Nobody waits for this any more."""
        del self.getters[asked]
        if self.value is None and not self.getters:
            del desk.places["variable", self.name]

    def release(self, desk: Desk, token: Token) -> None:
        """Nobody holds a variable."""

    def put_back(self, desk: Desk, items: Any) -> None:
        """Nothing is taken out of a variable."""


def _set(desk: Desk, asked: Asked) -> None:
    """Args: value."""
    place = ("variable", asked.name)
    variable: Variable | None = desk.places.get(place)
    if variable is None:
        variable = desk.places[place] = Variable(asked.name)
    desk.keep(asked.keys)
    old, variable.keys = variable.keys, asked.keys
    variable.value = asked.args[0]
    desk.unkeep(old)
    getters, variable.getters = variable.getters, {}
    for getter in getters:
        variable.give(desk, getter)
    desk.answer(asked)


def _get(desk: Desk, asked: Asked) -> None:
    place = ("variable", asked.name)
    variable: Variable | None = desk.places.get(place)
    if variable is None:
        variable = desk.places[place] = Variable(asked.name)
    if variable.value is None:
        desk.wait(asked, variable)
        variable.getters[asked] = None
    else:
        variable.give(desk, asked)


def _delete(desk: Desk, asked: Asked) -> None:
    variable: Variable | None = desk.places.get(("variable", asked.name))
    if variable is not None and variable.value is not None:
        desk.unkeep(variable.keys)
        del desk.places["variable", asked.name]
    desk.answer(asked)


OPERATIONS = {
    "set": Operation(_set, bytes),
    "get": Operation(_get),
    "delete": Operation(_delete),
}
