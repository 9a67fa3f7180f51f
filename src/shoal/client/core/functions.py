"""Which functions the scheduler was told on this connection, and when it may forget them.

A function that no record needs stays known for a while: it is likely to be submitted again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from shoal.wire.messages import DefineFunctions, ForgetFunctions

if TYPE_CHECKING:
    from shoal.client.core.state import ClientState, Function

__all__ = [
    "forget_functions",
    "idle_function",
    "tell_functions",
    "untell_function",
    "untell_functions",
]

MAX_IDLE = 200
MAX_IDLE_BYTES = 32 * 2**20


def tell_functions(s: ClientState, functions: Iterable[Function]) -> list[DefineFunctions]:
    """Return the definitions of those functions that the scheduler does not know yet."""
    fresh: list[Function] = []
    for function in functions:
        known = s.functions.get(function.id)
        if known is None:
            s.functions[function.id] = function
            fresh.append(function)
        elif function.id in s.idle_functions:
            _busy(s, function.id)
    if not fresh:
        return []
    return [DefineFunctions([f.id for f in fresh], [f.blob for f in fresh])]


def idle_function(s: ClientState, function: Function) -> None:
    """No record needs the function any more."""
    if function.id in s.functions and function.id not in s.idle_functions:
        s.idle_functions[function.id] = function
        s.idle_functions_bytes += _size(function)


def forget_functions(s: ClientState) -> list[ForgetFunctions]:
    """Make the scheduler forget the functions that were idle longest, when too many are."""
    gone: list[bytes] = []
    idle = s.idle_functions
    while len(idle) > MAX_IDLE or s.idle_functions_bytes > MAX_IDLE_BYTES:
        id = next(iter(idle))
        _busy(s, id)
        del s.functions[id]
        gone.append(id)
    return [ForgetFunctions(gone)] if gone else []


def untell_function(s: ClientState, function: Function) -> None:
    """It is not certain that the scheduler was told this function."""
    if s.functions.pop(function.id, None) is not None and function.id in s.idle_functions:
        _busy(s, function.id)


def untell_functions(s: ClientState) -> None:
    """Another connection begins: the scheduler knows no function."""
    s.functions.clear()
    s.idle_functions.clear()
    s.idle_functions_bytes = 0


def _busy(s: ClientState, id: bytes) -> None:
    s.idle_functions_bytes -= _size(s.idle_functions.pop(id))


def _size(function: Function) -> int:
    blob = function.blob
    size = len(blob.data)
    for buffer in blob.buffers:
        size += memoryview(buffer.data).nbytes
    return size
