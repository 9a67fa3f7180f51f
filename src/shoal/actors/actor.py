"""`Actor`: what stands for an object on a worker, everywhere."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from dask.utils import parse_timedelta

from shoal.actors.client_hooks import client_hooks
from shoal.actors.future import ActorFuture, BaseActorFuture, EagerActorFuture
from shoal.task_context import current, current_actor, in_actor
from shoal.wire.pickling import dumps

if TYPE_CHECKING:
    from shoal.actors.connections import ActorConnections

__all__ = ["Actor"]


class Actor:
    """Stands for an object that lives on a worker.

    Methods return an `ActorFuture` at once; they run on the worker, one at a time, in the order in
    which this caller called them. Coroutine methods begin in that order, on the worker's event
    loop, and may overlap. Attributes are fetched when they are read; in asynchronous code they are
    to be awaited.

    The object lives as long as there is a future of its key, or an `Actor` at a client or in
    another actor, and as long as its worker does.

    See Also
    --------
    Client.submit : makes actors, with ``actor=True``

    Examples
    --------
    >>> class Counter:
    ...     def __init__(self):
    ...         self.n = 0
    ...
    ...     def increment(self):
    ...         self.n += 1
    ...         return self.n
    >>> counter = client.submit(Counter, actor=True).result()  # doctest: +SKIP
    >>> counter.increment().result()  # doctest: +SKIP
    1
    >>> counter.n  # doctest: +SKIP
    1
    """

    __slots__ = (
        "__weakref__",
        "_address",
        "_cls",
        "_connections",
        "_hold",
        "_hosted",
        "_key",
        "_names",
    )

    _address: str
    _cls: type
    _hold: Any
    _hosted: Any
    _key: str
    _names: tuple[str, ...]
    _connections: ActorConnections | None

    def __init__(
        self,
        cls: type,
        address: str,
        key: str,
        hosted: Any = None,
        names: tuple[str, ...] = (),
    ) -> None:
        # `__setattr__` is for users.
        put = functools.partial(object.__setattr__, self)
        put("_cls", cls)
        put("_address", address)
        put("_key", key)
        put("_hosted", hosted)  # keeps the object itself alive, where it lives
        put("_names", names)  # of the object's own attributes, as it was when the proxy left it
        put("_connections", None)
        put("_hold", None)

    @property
    def key(self) -> str:
        """The key of the actor."""
        return self._key

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("__", "_repr_", "_ipython")):  # Python and libraries look for these
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        found = getattr(self._cls, name, None)
        if callable(found):
            return _method(self, name, found)
        if self._is_self():
            return getattr(_running(), name)
        connections = self._find_connections()
        is_async = connections.is_asynchronous()
        if is_async and found is None and not self._may_have(name):
            raise AttributeError(
                f"the actor {self._key!r} ({self._cls.__name__}) has no attribute {name!r}; one "
                "that it got later is returned by a method"
            )
        future: ActorFuture[Any] = connections.call(self._address, self._key, name, None, None)
        return future if is_async else future.result()

    def _may_have(self, name: str) -> bool:
        """Whether the object may have an attribute, as far as that is known without asking it."""
        cls = self._cls
        return name in self._own_names() or hasattr(cls, name) or hasattr(cls, "__getattr__")

    def _own_names(self) -> tuple[str, ...]:
        hosted = self._hosted
        return self._names if hosted is None else tuple(getattr(hosted.instance, "__dict__", ()))

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(
            f"attributes of the actor {self._key!r} cannot be set from here: call a method that "
            f"sets {name!r}"
        )

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *dir(self._cls)})

    def __repr__(self) -> str:
        return f"<Actor: {self._cls.__name__}, key={self._key}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Actor):
            return NotImplemented
        return (self._key, self._address) == (other._key, other._address)

    def __hash__(self) -> int:
        return hash((self._key, self._address))

    def __dask_tokenize__(self) -> tuple[str, str, str]:
        return "shoal-actor", self._key, self._address

    def __reduce__(self) -> tuple[Callable[..., Actor], tuple[Any, ...]]:
        if self._hold is not None:
            self._hold.__reduce__()  # it tells the pickler what to keep alive meanwhile
        return load_actor, (self._cls, self._address, self._key, self._own_names())

    # ------------------------------------------------------------------ calls

    def _call(
        self, name: str, args: tuple[Any, ...], kwargs: Any, on_loop: bool
    ) -> BaseActorFuture[Any]:
        if self._is_self():
            return _call_self(name, args, kwargs)
        with client_hooks().collecting() as kept:
            blob = dumps((args, kwargs))
        # Without a client's hold of its own the proxy itself must live until it is answered.
        call = self._find_connections().call
        return call(self._address, self._key, name, blob, (self, kept), on_loop)

    def _is_self(self) -> bool:
        """Whether this is code of the actor itself, which waiting for would never end."""
        here = current_actor.get()
        return here is not None and here[0] == self._key and here[1] == self._address

    def _find_connections(self) -> ActorConnections:
        if self._connections is not None:
            return self._connections
        found = _connections_of_worker() or client_hooks().connections(allow_global=True)
        if found is None:
            raise ValueError(
                f"the actor {self._key!r} cannot be called here: this is no task, and there is no "
                "client in this process"
            )
        return found

    def bind(self) -> Actor:
        """Return a proxy that belongs to the client or the actor of this context and holds the
        object.
        """
        bound = Actor(self._cls, self._address, self._key, names=self._own_names())
        put = functools.partial(object.__setattr__, bound)
        connections = client_hooks().connections(allow_global=False)
        if _connections_of_worker() is None:
            put("_connections", connections)
        # A proxy that a client got is its own. Tasks need not care for inputs; actors may keep one.
        if connections is not None or in_actor():
            put("_hold", client_hooks().hold(self._key))
        return bound


def load_actor(cls: type, address: str, key: str, names: tuple[str, ...] = ()) -> Actor:
    """Unpickle a proxy."""
    return Actor(cls, address, key, names=names).bind()


def _connections_of_worker() -> ActorConnections | None:
    context = current.get()
    if context is None:
        return None
    connections: ActorConnections = context.worker.actors.connections
    return connections


def _method(actor: Actor, name: str, function: Any) -> Callable[..., BaseActorFuture[Any]]:
    def call(*args: Any, **kwargs: Any) -> BaseActorFuture[Any]:
        on_loop = kwargs.pop("separate_thread", True) is False
        return actor._call(name, args, kwargs, on_loop)

    call.__name__ = name
    call.__qualname__ = f"{actor._cls.__qualname__}.{name}"
    call.__doc__ = getattr(function, "__doc__", None)
    return call


def _running() -> Any:
    here = current_actor.get()
    assert here is not None
    return here[2]


def _call_self(name: str, args: tuple[Any, ...], kwargs: Any) -> BaseActorFuture[Any]:
    try:
        result = getattr(_running(), name)(*args, **kwargs)
    except Exception as error:
        return EagerActorFuture(None, error)
    if not asyncio.iscoroutine(result):
        return EagerActorFuture(result)
    context = current.get()
    assert context is not None
    loop: asyncio.AbstractEventLoop = context.worker.loop.asyncio_loop
    return _Coroutine(asyncio.run_coroutine_threadsafe(result, loop), loop)


class _Coroutine(BaseActorFuture[Any]):
    """A coroutine of an actor that called itself."""

    __slots__ = ("_future", "_loop")

    def __init__(self, future: Future[Any], loop: asyncio.AbstractEventLoop) -> None:
        self._future = future
        self._loop = loop

    def result(self, timeout: float | str | None = None) -> Any:
        if asyncio._get_running_loop() is self._loop and not self._future.done():
            raise RuntimeError("an actor's coroutine must await what it calls of its own actor")
        return self._future.result(
            None if timeout is None else float(parse_timedelta(timeout, default="s"))
        )

    def done(self) -> bool:
        return self._future.done()

    def __await__(self) -> Any:
        return asyncio.wrap_future(self._future).__await__()
