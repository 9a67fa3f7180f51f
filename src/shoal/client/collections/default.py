"""How dask finds the client: a scheduler in dask's configuration that stands for the current one.

It is there while somebody is to be found by it, and gives its place back to what was there before.
The user's own settings made meanwhile win, as with all of dask's configuration.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from importlib.machinery import PathFinder
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import dask.config

from shoal._base.stand_in import is_given_the_name, stand_in, step_back
from shoal.client.current import as_current, current_client
from shoal.client.in_task.task_client import client_of_task, worker_here

if TYPE_CHECKING:
    from shoal.client.session.context import ClientContext

__all__ = ["CurrentClient", "client_as_current", "hand_back", "take_over"]

_SHUFFLE = "dataframe.shuffle.method"


class CurrentClient:
    """Whichever client is meant where dask computes: that of the context, of the task, the newest.

    dask knows clients by a part of the type's name.
    """

    @property
    def client(self) -> ClientContext:
        """The client.

        Raises
        ------
        ValueError
            When there is none.
        """
        try:
            return current_client(allow_global=False)
        except ValueError:
            of_task = client_of_task()
            return current_client() if of_task is None else of_task

    @property
    def asynchronous(self) -> bool:
        """Whether dask has to do without this client, as the user told it what to do then.

        dask refuses asynchronous ones for everything, even to persist, which does not block.
        """
        told = dask.config.get("admin.async-client-fallback", None)
        return bool(told) and self.client.asynchronous

    @property
    def get(self) -> Callable[..., Any]:
        """`Client.get` of that client: whose method it is tells xarray which locks to use."""
        client = self.client
        return _NoBlocking(client) if client.asynchronous else client.get

    def persist(self, collections: Any, **kwargs: Any) -> Any:
        """Begin to compute collections (see `Client.persist`)."""
        return self.client.persist(collections, **kwargs)

    def __bool__(self) -> bool:
        """False when there is no client: dask then does as if this was not there."""
        if worker_here() is not None:
            return True
        try:
            return current_client() is not None
        except ValueError:
            return False

    def __repr__(self) -> str:
        return "<the current client of shoal>"


class _NoBlocking:
    """`Client.get` where nobody may wait for what it would give; dask can persist with it."""

    __slots__ = ("__self__",)

    def __init__(self, client: ClientContext) -> None:
        self.__self__ = client

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(
            "dask.compute() and x.compute() would block this event loop, and the client "
            f"{self.__self__!r} is asynchronous here: use `await client.compute(x)` instead"
        )

    def __eq__(self, other: object) -> bool:
        return bool(other == self.__self__.get)

    def __hash__(self) -> int:
        return hash(self.__self__.get)


_scheduler = CurrentClient()
_lock = threading.Lock()
_owners: weakref.WeakSet[Any] = weakref.WeakSet()  # for whom it is there
_before: dict[str, Any] = {}
_ours: dict[str, Any] = {}


def take_over(owner: Any) -> None:
    """Have dask compute with the current client, until `hand_back` of all owners."""
    with _lock:
        _owners.add(owner)
        if _before:
            return
        _ours.clear()
        _ours["scheduler"] = _scheduler
        stand_in()
        if dask.config.get(_SHUFFLE, None) is None:
            # dask looks for a default client, and this one may be none.
            _ours[_SHUFFLE] = _shuffle_method()
        _before.update((name, dask.config.get(name, None)) for name in _ours)
        dask.config.set(_ours)


def hand_back(owner: Any) -> None:
    """Undo `take_over`; nothing happens when it was undone already."""
    with _lock:
        _owners.discard(owner)
        if _owners or not _before:
            return
        before = dict(_before)
        _before.clear()
        step_back()
        if dask.config.get("scheduler", None) is not _scheduler:
            before.pop("scheduler", None)  # the user has set another one
        if _SHUFFLE in before and dask.config.get(_SHUFFLE, None) != _ours.get(_SHUFFLE):
            del before[_SHUFFLE]  # and another method
        dask.config.set(before)


def _shuffle_method() -> str:
    """Return how dask is to shuffle: by what is here, or by tasks where another has that name."""
    foreign = not is_given_the_name() and PathFinder.find_spec("distributed") is not None
    return "tasks" if foreign or find_spec("pyarrow") is None else "p2p"


class _Context:
    """A use of `client_as_current`."""


@contextmanager
def client_as_current(client: ClientContext) -> Iterator[None]:
    """Make a client the current one of this context, for dask's collections, too."""
    context = _Context()
    take_over(context)
    try:
        # The user may have set another scheduler since the client was made: here it is this.
        other = dask.config.get("scheduler", None) is not _scheduler
        found = dask.config.set(scheduler=_scheduler) if other else nullcontext()
        with as_current(client), found:
            yield
    finally:
        hand_back(context)
