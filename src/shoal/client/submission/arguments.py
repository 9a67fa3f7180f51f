"""Arguments of calls: futures out, placeholders in; then pickled.

Futures are found in lists, tuples, sets, frozensets and values of dicts, to any depth; a namedtuple
is a tuple. Futures in other objects travel as futures, and are kept alive as long as the task is
wanted.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from shoal._base.containers import PLAIN_CONTAINERS, is_namedtuple, rebuilt
from shoal.actors.actor import Actor
from shoal.client.core.state import LOST, Extras
from shoal.client.futures.claiming import check_usable, claimed
from shoal.client.futures.future import Future, collect_pickled
from shoal.client.submission.keys import SCALARS, arguments_token
from shoal.wire.pickling import dumps, whole
from shoal.wire.placeholder import Dependency
from shoal.wire.serialize.chosen import by_families

if TYPE_CHECKING:
    from shoal.client.session.session import Session

__all__ = ["Packed", "pack"]


# Not values of the user's: they stand for such, and no family need know them.
_AS_THEY_ARE = frozenset({Actor, Dependency})


class Packed:
    """Arguments ready to be sent."""

    __slots__ = ("data", "deps", "extras", "nbytes", "token")

    def __init__(
        self, data: bytes, deps: tuple[str, ...], extras: Extras | None, nbytes: int, token: bytes
    ) -> None:
        self.data = data
        self.deps = deps  # keys of the futures
        self.extras = extras
        self.nbytes = nbytes
        self.token = token  # equal for equal positional arguments; b"" when not asked for


def pack(
    session: Session, args: tuple[Any, ...], kwargs: dict[str, Any] | None, tokenize: bool
) -> Packed:
    """Take out the futures, pickle the rest, and name it.

    Raises
    ------
    TypeError
        When an argument cannot be pickled; the message names it.
    CancelledError, DataLostError
        When one of the futures was cancelled, or its data lost.
    ValueError
        When one of the futures belongs to a client of another scheduler.
    """
    finder = _Finder(session)
    plain_args: tuple[Any, ...] = finder.replace(args)
    plain_kwargs = finder.replace(kwargs) if kwargs else None
    with collect_pickled() as kept:
        try:
            if session.serializers is not None:
                plain_args = by_families(plain_args, session.serializers, _AS_THEY_ARE)
                plain_kwargs = by_families(plain_kwargs, session.serializers, _AS_THEY_ARE)
            blob = dumps(_with_buffers(plain_args, plain_kwargs))
        except Exception as error:
            raise TypeError(_culprit(plain_args, plain_kwargs, error)) from error
    deps = tuple(finder.deps)
    token = arguments_token(args, plain_args, deps) if tokenize else b""
    nbytes = blob.nbytes()
    extras = None
    kept += finder.claims
    if blob.buffers or kept:
        mentioned = tuple(future._record.key for future in kept)
        extras = Extras(buffers=blob.buffers, keep=tuple(kept), mentioned=mentioned)
    return Packed(bytes(blob.data), deps, extras, nbytes, token)


def _with_buffers(args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> Any:
    """Return arguments with what is long marked: pickle would copy it into the pickle."""
    marks: dict[int, Any] = {}  # a value that is given twice travels once

    def mark(value: Any) -> Any:
        marked = whole(value)
        return value if marked is value else marks.setdefault(id(value), marked)

    return (
        tuple([mark(value) for value in args]),
        kwargs and {name: mark(value) for name, value in kwargs.items()},
    )


class _Finder:
    """Finds futures, and remembers which dependency each of them is."""

    __slots__ = ("claims", "deps", "session")

    def __init__(self, session: Session) -> None:
        self.session = session
        self.deps: dict[str, Dependency] = {}
        self.claims: list[Future] = []  # this client's, for those of other clients

    def replace(self, value: Any) -> Any:
        """Return the value with placeholders for futures; itself when there are none."""
        kind = type(value)
        if kind in SCALARS:
            return value
        if kind is Future or isinstance(value, Future):
            return self._place(value)
        if kind is dict:
            new_values = [self.replace(item) for item in value.values()]
            if all(map(operator.is_, new_values, value.values())):
                return value
            return dict(zip(value, new_values, strict=True))
        if kind is Actor:
            return self._place_actor(value)
        if kind in PLAIN_CONTAINERS or is_namedtuple(kind):
            items = [self.replace(item) for item in value]
            return value if all(map(operator.is_, items, value)) else rebuilt(kind, items)
        return value

    def _place(self, future: Future) -> Dependency:
        record = future._record
        key = record.key
        known = self.deps.get(key)
        if known is not None:
            return known
        if record.status != LOST:  # its error is that of the task, as where this was not heard yet
            check_usable(future, "It was used as an argument.")
        if future._session is not self.session:
            self.claims.append(claimed(self.session, future))
        placed = self.deps[key] = Dependency(len(self.deps))
        return placed

    def _place_actor(self, actor: Actor) -> Actor | Dependency:
        """An actor's proxy is the result of the actor's task, and so an input."""
        hold = actor._hold
        if isinstance(hold, Future) and hold._session is self.session:
            return self._place(hold)
        return actor


def _culprit(args: tuple[Any, ...], kwargs: dict[str, Any] | None, error: Exception) -> str:
    """Say which argument it is that cannot be pickled."""
    named: list[tuple[str, Any]] = [(f"argument {i}", arg) for i, arg in enumerate(args)]
    named += [(f"argument {name!r}", value) for name, value in (kwargs or {}).items()]
    for name, value in named:
        try:
            dumps(value)
        except Exception as reason:
            return f"{name}, a {type(value).__name__}, cannot be sent: {reason}"
    return f"the arguments cannot be sent: {error}"
