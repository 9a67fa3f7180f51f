"""The `Call`s of one simulated client's tasks: one for all tasks that are alike."""

from __future__ import annotations

from typing import Any

from shoal.client.core.state import Call, Function
from shoal.simulation.model import Spec, function_id
from shoal.wire.blob import Blob

__all__ = ["CallTable"]


class CallTable:
    """The functions and calls of one client, each made at its first use."""

    def __init__(self) -> None:
        self._functions: dict[str, Function] = {}
        self._calls: dict[tuple[Any, ...], Call] = {}

    def of(self, spec: Spec) -> Call:
        """Return what a task has in common with others like it."""
        function = self._functions.get(spec.function)
        if function is None:
            function = Function(function_id(spec.function), Blob(spec.function.encode()))
            self._functions[spec.function] = function
        name = (spec.function, spec.priority, id(spec.options) if spec.options else None)
        call = self._calls.get(name)
        if call is None:
            call = Call(function, spec.function, spec.priority, 0.1, spec.options)
            self._calls[name] = call
        return call
