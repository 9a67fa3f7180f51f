"""Which client is meant where none is named: the one of the context, of the task, or the newest."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shoal.client.session.context import ClientContext

__all__ = [
    "as_current",
    "current_client",
    "enter_client",
    "forget_client",
    "forget_clients",
    "given_or_current",
    "leave_client",
    "note_loss",
    "remember_client",
]

_newest = itertools.count()
_defaults: weakref.WeakValueDictionary[int, ClientContext] = weakref.WeakValueDictionary()
_loss = ""  # why the last client that lost its scheduler did
_current: ContextVar[ClientContext | None] = ContextVar("shoal-client", default=None)


def remember_client(client: ClientContext) -> None:
    """A client was made that is the default from now on."""
    _defaults[next(_newest)] = client


def note_loss(reason: str) -> None:
    """A client has no scheduler any more."""
    global _loss
    _loss = reason


def forget_client(client: ClientContext) -> None:
    """A client was closed; the one made before it is the default again."""
    for number, known in list(_defaults.items()):
        if known is client:
            del _defaults[number]


def forget_clients() -> None:
    """This process was forked: its parent's clients are of no use here."""
    _defaults.clear()
    _current.set(None)


def enter_client(client: ClientContext) -> Token[ClientContext | None]:
    """Make a client the current one of this context until `leave_client`."""
    return _current.set(client)


def leave_client(token: Token[ClientContext | None]) -> None:
    """Make the client before it the current one again."""
    with suppress(ValueError):  # entered in another context, which is over
        _current.reset(token)


@contextmanager
def as_current(client: ClientContext | None) -> Iterator[None]:
    """Make a client the current one of this thread and context."""
    token = _current.set(client)
    try:
        yield
    finally:
        _current.reset(token)


def current_client(allow_global: bool = True) -> ClientContext:
    """Return the client of the context, else the newest.

    Raises
    ------
    ValueError
        When there is none.
    """
    client = _current.get()
    # A client that was closed inside its own `with` is not meant by the code after it.
    if client is not None and (client.status not in ("closing", "closed") or client._is_left):
        return client
    if not allow_global:
        raise ValueError("not running inside `with client.as_current():`")
    left: ClientContext | None = None
    for _, client in sorted(_defaults.items(), reverse=True):
        if client.status not in ("closing", "closed"):
            return client
        if left is None and client._is_left:
            left = client
    if left is not None:
        return left  # its methods say what became of the cluster
    why = f"; the last one was left alone: {_loss}" if _loss else ""
    raise ValueError(f"no clients found: start one with `Client()` or `Client(address)`{why}")


def given_or_current(c: ClientContext | None = None) -> ClientContext:
    """Return a client: `c` when it is given, else the current one.

    Raises
    ------
    ValueError
        When there is none.
    """
    return current_client() if c is None else c
