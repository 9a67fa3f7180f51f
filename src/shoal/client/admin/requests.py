"""Requests of a client to the cluster besides tasks; the coroutines behind methods of `Client`."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dask.base import is_dask_collection
from dask.utils import key_split

from shoal._base.keys import decode_key, encode_key
from shoal._base.numbers import whole_number
from shoal.client.futures.future import Future, find_futures
from shoal.client.futures.outcome import load, load_error
from shoal.client.submission.submit import as_workers
from shoal.comm.requests import raise_error
from shoal.comm.secret import cluster_secret
from shoal.errors import RemoteError, WorkerStartTimeoutError
from shoal.wire.pickling import dumps

if TYPE_CHECKING:
    from shoal.client.session.context import ClientContext, SchedulerAccess

__all__ = [
    "ask_by_key",
    "ask_by_worker",
    "ask_workers",
    "keys_in",
    "run_on_scheduler",
    "run_on_workers",
    "sizes",
    "wait_for_workers",
    "write_scheduler_file",
]

logger = logging.getLogger("shoal.client")


def keys_in(items: Any) -> list[str] | None:
    """Return the wire keys of futures, collections and keys; `None` for `None`."""
    if items is None:
        return None
    keys: dict[str, None] = {}
    # Collections may be iterable: a data frame gives its columns.
    one = isinstance(items, (Future, str, tuple)) or is_dask_collection(items)
    for item in [items] if one else items:
        if isinstance(item, Future):
            keys[item._record.key] = None
        elif isinstance(item, (str, bytes, int, float, tuple)):
            keys[encode_key(item)] = None
        else:
            keys.update((future._record.key, None) for future in find_futures(item))
    return list(keys)


async def ask_by_key(client: SchedulerAccess, op: str, items: Any) -> dict[Any, Any]:
    """Ask the scheduler something about keys; return the answers by the users' keys."""
    answer = await getattr(client.scheduler, op)(keys=keys_in(items))
    return {decode_key(key): _plain(value) for key, value in answer.items()}


async def ask_by_worker(client: SchedulerAccess, op: str, workers: Any) -> dict[str, Any]:
    """Ask the scheduler something about workers; keys in the answers are the users'."""
    names = None if workers is None else as_workers(workers)
    answer = await getattr(client.scheduler, op)(workers=names)
    return {
        address: [decode_key(key) for key in value] if isinstance(value, (list, tuple)) else value
        for address, value in answer.items()
    }


async def ask_workers(
    client: ClientContext, msg: dict[str, Any], workers: Any = None, nanny: bool = False
) -> dict[str, Any]:
    """Ask workers, or their nannies, for what they tell; those that go meanwhile are left out."""
    await client
    names = None if workers is None else as_workers(workers)
    answers: dict[str, Any] = await client.scheduler.broadcast(
        msg=msg, workers=names, nanny=nanny, on_error="return"
    )
    for address, answer in list(answers.items()):
        if not (isinstance(answer, dict) and answer.get("status") == "error"):
            continue
        try:
            raise_error({**answer, "status": None})
        except OSError as error:
            logger.warning("no answer of the worker %s to %r: %s", address, msg["op"], error)
            del answers[address]
    return answers


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


async def sizes(client: SchedulerAccess, items: Any, summary: bool) -> dict[Any, int]:
    """Return the bytes of each key, or of all keys with the same name together."""
    by_key = await ask_by_key(client, "nbytes", items)
    if not summary:
        return by_key
    by_name: dict[Any, int] = {}
    for key, nbytes in by_key.items():
        name = key_split(key)
        by_name[name] = by_name.get(name, 0) + nbytes
    return by_name


# ---------------------------------------------------------------------- users' functions


async def run_on_workers(
    client: ClientContext,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    workers: Any = None,
    wait: bool = True,
    nanny: bool = False,
    on_error: str = "raise",
) -> dict[str, Any] | None:
    """Call a function on workers or nannies; return what it returned, by address."""
    if on_error not in ("raise", "return", "ignore"):
        raise ValueError(f"on_error= is 'raise', 'return' or 'ignore', got {on_error!r}")
    request = {
        "op": "run",
        "function": dumps(function),
        "args": dumps(args),
        "kwargs": dumps(kwargs),
        "wait": wait,
    }
    replies = await client.scheduler.broadcast(
        msg=request,
        workers=None if workers is None else as_workers(workers),
        nanny=nanny,
        on_error=on_error,
    )
    results: dict[str, Any] = {}
    for address, reply in replies.items():
        try:
            results[address] = _open(client, reply)
        except Exception as error:
            if on_error == "raise":
                raise
            if on_error == "return":
                results[address] = error
    return results if wait else None


async def run_on_scheduler(
    client: ClientContext,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    wait: bool = True,
) -> Any:
    """Call a function in the scheduler's process."""
    reply = await client.scheduler.run_function(
        function=dumps(function), args=dumps(args), kwargs=dumps(kwargs), wait=wait
    )
    return _open(client, reply)


def _open(client: ClientContext, reply: dict[str, Any]) -> Any:
    """Return the result in an answer, or raise the error in it."""
    if reply["status"] == "OK":
        return load(client, reply["result"])
    if "traceback" not in reply or isinstance(reply["exception"], str):
        raise RemoteError(str(reply.get("text") or reply.get("exception")))
    error = load_error(client, reply["exception"], reply["traceback"])
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        raise error
    # Raised here as it is it would end the event loop, or be an error of a coroutine.
    raise RemoteError(f"the function raised {error!r}") from error


# ---------------------------------------------------------------------- workers


async def wait_for_workers(client: ClientContext, n_workers: int, timeout: float | None) -> None:
    """Wait until there are so many workers.

    Raises
    ------
    TimeoutError
        When they did not come in time; it says how many there are.
    """
    n_workers = whole_number("n_workers=", n_workers, 1)
    deadline = None if timeout is None else client.loop.time() + timeout
    while True:
        there = len(client._session.machine.state.workers)
        if there >= n_workers:
            await client._know_workers(there)
            return
        if client._session.ended is not None:
            raise RuntimeError(f"waiting for workers is of no use: {client._session.ended}")
        left = None if deadline is None else deadline - client.loop.time()
        if left is not None and left <= 0:
            raise WorkerStartTimeoutError(there, n_workers, timeout or 0.0)
        await client._workers_changed(left)


# ---------------------------------------------------------------------- scheduler files


async def write_scheduler_file(client: ClientContext, path: str) -> None:
    """Write a scheduler file: whole or not at all, and readable by this user only."""
    identity = await client.scheduler.identity()
    content = {**identity, "address": client.scheduler.address}
    content["secret"] = cluster_secret(client.connection_args.get("secret")).reveal()
    target = Path(path).absolute()
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=".scheduler-")  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=2, default=str)
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise
