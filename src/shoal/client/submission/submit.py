"""`submit` and `map`: calls to records, records to futures."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice, repeat
from typing import TYPE_CHECKING, Any

import msgspec
from dask.base import get_annotations
from dask.utils import format_bytes, parse_timedelta

from shoal._base.collector import CollectorPaused
from shoal._base.keys import encode_key
from shoal._base.numbers import finite, is_whole, whole_number
from shoal._base.resources import requested_amounts
from shoal.client.core.state import Call, Extras, Record
from shoal.client.futures.future import Future, make_future, make_futures
from shoal.client.submission.arguments import pack
from shoal.client.submission.keys import CallDigest, group_of_key, unique
from shoal.client.submission.limits import Retry, checked_retries, checked_timeout
from shoal.client.submission.users_code import users_code
from shoal.task_context import nearness
from shoal.telemetry import submit_context
from shoal.wire.encodable import encodable_text
from shoal.wire.messages import TaskOptions
from shoal.wire.plain_values import plain_arguments, plain_rows

if TYPE_CHECKING:
    from shoal.client.session.session import Session
    from shoal.client.submission.functions import Pickled

__all__ = [
    "SubmitOptions",
    "as_workers",
    "checked_executor",
    "map_calls",
    "sendable",
    "submit_call",
]

_FIRST = 500  # tasks of a `map` that are told at once, so that work begins before all are pickled
_BATCH = 2000  # and of those after the first
_DEFAULT_FIFO = "100 ms"


class SubmitOptions:
    """A user's options for calls, beside function and arguments."""

    __slots__ = ("cache", "fifo_timeout", "options", "priority", "pure")

    def __init__(
        self,
        *,
        workers: Any = None,
        resources: Mapping[str, float | str] | None = None,
        retries: int | Retry | None = None,
        timeout: float | str | None = None,
        priority: float = 0,
        fifo_timeout: float | str = _DEFAULT_FIFO,
        allow_other_workers: bool = False,
        actor: bool = False,
        pure: bool | None = None,
    ) -> None:
        # `dask.annotate` around the call says what the call itself leaves open.
        extra = dict(get_annotations())
        workers = _first(workers, extra.pop("workers", None))
        allow_other_workers = allow_other_workers or extra.pop("allow_other_workers", False)
        resources = resources or extra.pop("resources", None)
        retries = _first(retries, extra.pop("retries", None))
        limit = checked_timeout(_first(timeout, extra.pop("timeout", None)))
        priority = priority or extra.pop("priority", 0)
        executor = extra.pop("executor", None)
        self.cache = extra.pop("cache", None)  # of the annotations: an argument is seen to before
        extra |= users_code() | submit_context("calls")
        if allow_other_workers not in (True, False, None):
            raise TypeError(f"allow_other_workers= must be True or False: {allow_other_workers!r}")
        if allow_other_workers and workers is None:
            raise ValueError("allow_other_workers=True only makes sense together with workers=")
        # Every actor is an object of its own, whatever it is made from.
        self.pure = (pure is None or pure) and not actor
        self.priority = finite("priority=", priority)
        if fifo_timeout == _DEFAULT_FIFO:
            self.fifo_timeout = 0.1
        else:
            seconds = parse_timedelta(fifo_timeout, default="s")
            self.fifo_timeout = finite("fifo_timeout=", seconds, 0.0)
        self.options: TaskOptions | None = None
        if workers is not None or resources or retries or executor or extra or actor or limit:
            times, policy = checked_retries(retries)
            self.options = TaskOptions(
                workers=None if workers is None else as_workers(workers),
                allow_other_workers=bool(allow_other_workers),
                resources=requested_amounts(resources),
                retries=times,
                actor=bool(actor),
                executor=checked_executor(executor),
                annotations=sendable(extra) or None,
                timeout=limit,
                retry=policy,
            )

    def call(self, pickled: Pickled, group: str) -> Call:
        """Return what all tasks of one function and group share."""
        priority = self.priority + nearness()
        return Call(pickled.function, group, priority, self.fifo_timeout, self.options)


def as_workers(workers: Any) -> list[str]:
    """Return addresses, names or hosts of workers as texts; ``(host, port)`` is an address."""
    if isinstance(workers, str) or is_whole(workers) or _is_place(workers):
        workers = [workers]
    texts: list[str] = []
    for worker in workers:
        if isinstance(worker, tuple):
            host, port = worker
            texts.append(f"tcp://{host}:{port}")
        elif isinstance(worker, (str, int)) or is_whole(worker):
            texts.append(str(worker))
        else:
            raise TypeError(
                f"workers= takes addresses, names and host names, not the "
                f"{type(worker).__name__} {worker!r}"
            )
    return texts


def _is_place(workers: Any) -> bool:
    """Whether it is the host and the port of one worker."""
    return (
        isinstance(workers, tuple)
        and len(workers) == 2
        and isinstance(workers[0], str)
        and is_whole(workers[1])
    )


def _first(given: Any, annotated: Any) -> Any:
    return annotated if given is None else given


def sendable(annotations: dict[str, Any]) -> dict[str, Any]:
    """Return annotations as they are.

    Raises
    ------
    TypeError
        When one of them cannot be put into a message; it is named.
    """
    for name, value in annotations.items():
        try:
            msgspec.msgpack.encode(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise TypeError(f"the annotation {name}={value!r} cannot be sent: {error}") from None
    return annotations


def checked_executor(executor: Any) -> str | None:
    """Return the name of the executor that a task is for."""
    if executor is not None and not isinstance(executor, str):
        raise TypeError(f"executor= must be the name of one, got {executor!r}")
    return executor


def submit_call(
    session: Session,
    func: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any] | None,
    key: Any,
    options: SubmitOptions | None,
) -> Future:
    """Return the future of one call."""
    pickled = session.functions.get(func)
    pure = options is None or options.pure
    data = None if kwargs else plain_arguments(args)
    deps: tuple[str, ...] = ()
    extras: Extras | None = None
    if data is not None and len(data) <= session.large:
        token = data
    else:  # large ones too: they travel as buffers, and are not copied at each hop
        packed = pack(session, args, kwargs, tokenize=pure and key is None)
        data, deps, extras, token = packed.data, packed.deps, packed.extras, packed.token
        _warn_if_large(session, packed.nbytes - _PLACE * len(deps))
    if key is not None:
        wire = encode_key(key)
        group = group_of_key(wire)
    else:
        group = pickled.call.group
        if pure:
            digest = CallDigest(pickled.token, kwargs) if kwargs else pickled.digest
            wire = f"{pickled.name}-{digest.of(token)}"
        else:
            wire = f"{pickled.name}-{unique()}"
    if options is None and group == pickled.call.group and not nearness():
        call = pickled.call
    else:
        call = (options or SubmitOptions()).call(pickled, group)
    record = Record(wire, call, data, deps, extras)
    return make_future(session, session.share(record))


def map_calls(
    session: Session,
    func: Callable[..., Any],
    iterables: Sequence[Iterable[Any]],
    kwargs: dict[str, Any],
    key: Any,
    batch_size: int | None,
    options: SubmitOptions,
) -> list[Future]:
    """Return the futures of many calls, told to the scheduler batch by batch."""
    if batch_size is not None:
        batch_size = whole_number("batch_size=", batch_size, 1)
    calls = _rows(iterables)
    keys: list[Any] | None = None
    if key is not None and not isinstance(key, str):
        keys, rows = list(key), list(calls)
        if len(keys) != len(rows):
            raise ValueError(f"key= has {len(keys)} keys for {len(rows)} calls")
        calls = iter(rows)
    plan = _Plan(session, func, kwargs, key if keys is None else None, keys, options)
    futures: list[Future] = []
    most = min(batch_size or _BATCH, _BATCH)
    size = min(most, _FIRST)
    while batch := list(islice(calls, size)):
        with CollectorPaused():  # all objects made here stay
            futures += make_futures(session, session.share_all(plan.records(batch)))
        size = most
    _warn_if_large(session, plan.largest)
    return futures


def _rows(iterables: Sequence[Iterable[Any]]) -> Iterator[tuple[Any, ...]]:
    if not iterables:
        raise TypeError("map() needs at least one iterable to map over")
    for iterable in iterables:
        if not isinstance(iterable, Iterable):
            raise TypeError(
                f"map() maps over iterables, got the {type(iterable).__name__} {iterable!r}; "
                "pass what is the same for all calls as a keyword argument"
            )
    return zip(*iterables)


class _Plan:
    """Makes the records of one `map`."""

    def __init__(
        self,
        session: Session,
        func: Callable[..., Any],
        kwargs: dict[str, Any],
        prefix: str | None,
        keys: list[Any] | None,
        options: SubmitOptions,
    ) -> None:
        self._session = session
        self._kwargs: dict[str, Any] | None = None
        self._pickled = pickled = session.functions.get(func)
        digest = pickled.digest
        if kwargs:
            # Shared arguments travel once, with the function, unless they are futures.
            if pack(session, (), kwargs, tokenize=False).deps:
                self._kwargs = kwargs
                digest = CallDigest(pickled.token, kwargs)
            else:
                self._pickled = pickled = session.functions.bind(func, kwargs)
                digest = pickled.digest
        self._digest = digest.of
        self._keys_of = digest.keys_of
        self._pure = options.pure
        self._options = options
        self._name = encodable_text(prefix) if prefix else pickled.name
        self._keys = None if keys is None else iter(keys)
        group = pickled.call.group
        if prefix:
            group = group_of_key(f"{prefix}-{'0' * 32}")
        self._call = options.call(pickled, group)
        self._calls: dict[str, Call] = {}
        self.largest = 0  # bytes of the arguments of one call

    def records(self, batch: list[tuple[Any, ...]]) -> list[Record]:
        """Return the records of the next calls."""
        data = None
        if self._pure and self._keys is None and self._kwargs is None:
            data = plain_rows(batch)
        if data is None:
            return [self.record(args) for args in batch]
        self.largest = max(self.largest, *map(len, data))
        return list(map(Record, self._keys_of(self._name, data), repeat(self._call), data))

    def record(self, args: tuple[Any, ...]) -> Record:
        """Return the record of the next call."""
        data = None if self._kwargs else plain_arguments(args)
        if data is None or len(data) > self._session.large:
            return self._packed(args)
        if self._keys is not None:
            return self._keyed(data, (), None)
        return Record(self._key_of(data), self._call, data)

    def _packed(self, args: tuple[Any, ...]) -> Record:
        tokenize = self._pure and self._keys is None
        packed = pack(self._session, args, self._kwargs, tokenize)
        self.largest = max(self.largest, packed.nbytes)
        if self._keys is not None:
            return self._keyed(packed.data, packed.deps, packed.extras)
        key = self._key_of(packed.token)
        return Record(key, self._call, packed.data, packed.deps, packed.extras)

    def _key_of(self, token: bytes) -> str:
        if not self._pure:
            return f"{self._name}-{unique()}"
        return f"{self._name}-{self._digest(token)}"

    def _keyed(self, data: bytes, deps: tuple[str, ...], extras: Extras | None) -> Record:
        assert self._keys is not None
        wire = encode_key(next(self._keys))
        group = group_of_key(wire)
        call = self._calls.get(group)
        if call is None:
            call = self._calls[group] = self._options.call(self._pickled, group)
        return Record(wire, call, data, deps, extras)


_PLACE = 12  # bytes that a future takes among the arguments


def _warn_if_large(session: Session, nbytes: int) -> None:
    limit = session.large
    if nbytes > limit:
        warnings.warn(
            f"Sending large graph of size {format_bytes(nbytes)}: so much are the arguments of one "
            "task. Put large data on workers once with `client.scatter(data)` and pass the future, "
            "or load it in the task",
            UserWarning,
            stacklevel=4,
        )
