"""Calls of functions that a peer sends to be run in a server's process."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from shoal.wire.blob import Blob
from shoal.wire.failures import pack_failure
from shoal.wire.pickling import dumps, loads

__all__ = ["run_on"]

logger = logging.getLogger("shoal.comm")

_detached: set[asyncio.Future[Any]] = set()


async def run_on(
    server: Any,
    keyword: str,
    function: Blob,
    args: Blob | None = None,
    kwargs: Blob | None = None,
    wait: bool = True,
) -> dict[str, Any]:
    """Call a pickled function here, and return its result or error, pickled.

    Parameters
    ----------
    server : object
        Passed to the function as `keyword` where it takes that.
    wait : bool
        False: a coroutine function is started only.
    """
    try:
        call: Callable[..., Any] = loads(function)
        positional = loads(args) if args is not None else ()
        keywords = dict(loads(kwargs)) if kwargs is not None else {}
        if keyword not in keywords and _takes(call, keyword):
            keywords[keyword] = server
        result = call(*positional, **keywords)
        if inspect.isawaitable(result):
            if not wait:
                task = asyncio.ensure_future(_end_quietly(result))
                _detached.add(task)
                task.add_done_callback(_detached.discard)
                return {"status": "OK", "result": dumps(None)}
            result = await result
        return {"status": "OK", "result": dumps(result)}
    except BaseException as error:  # users' `sys.exit()` is no reason to end the server
        this = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and this is not None and this.cancelling():
            raise  # it is the server that ends
        failure = pack_failure(error)
        return {
            "status": "error",
            "exception": failure.exception,
            "traceback": failure.traceback,
            "text": failure.exception_text,
        }


async def _end_quietly(awaitable: Awaitable[Any]) -> None:
    """Await what nobody waits for; what it raises is logged."""
    try:
        await awaitable
    except asyncio.CancelledError:
        pass
    except BaseException as error:  # a loop ends with SystemExit or KeyboardInterrupt of a task
        logger.warning("a function that was run without waiting failed", exc_info=error)


def _takes(function: Callable[..., Any], keyword: str) -> bool:
    try:
        return keyword in inspect.signature(function).parameters
    except (TypeError, ValueError):  # builtins without one
        return False
