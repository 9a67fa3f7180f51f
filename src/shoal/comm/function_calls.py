"""Calls of functions that a peer sends to be run in a server's process."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from shoal.wire.blob import Blob
from shoal.wire.failures import pack_failure
from shoal.wire.pickling import dumps, loads

__all__ = ["run_on"]

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
            task = asyncio.ensure_future(result)
            if not wait:
                _detached.add(task)
                task.add_done_callback(_detached.discard)
                return {"status": "OK", "result": dumps(None)}
            result = await task
        return {"status": "OK", "result": dumps(result)}
    except Exception as error:
        failure = pack_failure(error)
        return {
            "status": "error",
            "exception": failure.exception,
            "traceback": failure.traceback,
            "text": failure.exception_text,
        }


def _takes(function: Callable[..., Any], keyword: str) -> bool:
    try:
        return keyword in inspect.signature(function).parameters
    except (TypeError, ValueError):  # builtins without one
        return False
