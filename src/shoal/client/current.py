"""Which client is meant where none is named: the one of the context, of the task, or the newest."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shoal.client.client import Client

__all__ = [
    "as_current",
    "current_client",
    "default_client",
    "forget_client",
    "forget_clients",
    "remember_client",
]

_newest = itertools.count()
_defaults: weakref.WeakValueDictionary[int, Client] = weakref.WeakValueDictionary()
_current: ContextVar[Client | None] = ContextVar("shoal-client", default=None)


def remember_client(client: Client) -> None:
    """A client was made that is the default from now on."""
    _defaults[next(_newest)] = client


def forget_client(client: Client) -> None:
    """A client was closed; the one made before it is the default again."""
    for number, known in list(_defaults.items()):
        if known is client:
            del _defaults[number]


def forget_clients() -> None:
    """This process was forked: its parent's clients are of no use here."""
    _defaults.clear()
    _current.set(None)


@contextmanager
def as_current(client: Client | None) -> Iterator[None]:
    """Make a client the current one of this thread and context."""
    token = _current.set(client)
    try:
        yield
    finally:
        _current.reset(token)


def current_client(allow_global: bool = True) -> Client:
    """Return the client of the context, else the newest.

    Raises
    ------
    ValueError
        When there is none.
    """
    client = _current.get()
    if client is not None:
        return client
    if allow_global:
        for number in sorted(_defaults.keys(), reverse=True):
            newest = _defaults.get(number)
            if newest is not None and newest.status not in ("closing", "closed"):
                return newest
        raise ValueError("no clients found: start one with `Client()` or `Client(address)`")
    raise ValueError("not running inside `with client.as_current():`")


def default_client(c: Client | None = None) -> Client:
    """Return a client: `c` when it is given, else the current one.

    Raises
    ------
    ValueError
        When there is none.
    """
    return current_client() if c is None else c
