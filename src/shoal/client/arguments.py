"""Arguments of calls: futures out, placeholders in; then pickled.

Futures are found in lists, tuples, sets, frozensets and values of dicts, to any depth. Futures inside
other objects travel as futures, and are kept alive as long as the task is wanted.
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

from shoal.client.core.state import CANCELLED, LOST, Extras
from shoal.client.future import Future, collect_pickled
from shoal.client.keys import SCALARS, arguments_token, is_canonical
from shoal.errors import FutureCancelledError
from shoal.wire.blob import Blob
from shoal.wire.pickling import dumps, dumps_bytes
from shoal.wire.placeholder import Dependency

if TYPE_CHECKING:
    from shoal.client.session import Session

__all__ = ["Packed", "pack", "pack_scalars"]

_CONTAINERS = frozenset((list, tuple, set, frozenset, dict))


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


def pack_scalars(args: tuple[Any, ...]) -> bytes | None:
    """Return the pickle of a call without keywords, when that is also what to hash; else `None`."""
    return pickle.dumps((args, None), 5) if is_canonical(args) else None


def pack(
    session: Session, args: tuple[Any, ...], kwargs: dict[str, Any] | None, tokenize: bool
) -> Packed:
    """Take out the futures, pickle the rest, and name it.

    Raises
    ------
    TypeError
        When an argument cannot be pickled; the message names it.
    FutureCancelledError
        When one of the futures was cancelled or lost.
    ValueError
        When one of the futures belongs to another client.
    """
    finder = _Finder(session)
    plain_args = finder.members(args)
    plain_kwargs = finder.mapping(kwargs) if kwargs else None
    token = b""
    if tokenize:
        token = arguments_token(args)
    with collect_pickled() as kept:
        try:
            blob = dumps((plain_args, plain_kwargs))
        except Exception as error:
            raise TypeError(_culprit(plain_args, plain_kwargs, error)) from error
    nbytes = blob.nbytes()
    extras = None
    if blob.buffers or kept:
        extras = Extras(buffers=blob.buffers, keep=tuple(kept))
    return Packed(bytes(blob.data), tuple(finder.deps), extras, nbytes, token)
