"""Running a task of the cluster here, where a debugger can look at it."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

from shoal._base.keys import decode_key
from shoal.client.current import as_current
from shoal.client.futures.future import Future, find_futures
from shoal.client.futures.gather import gather_async
from shoal.wire.blob import Blob
from shoal.wire.placeholder import dependency_values
from shoal.wire.plain_values import PICKLE, load_plain
from shoal.wire.sealed import loads_received

if TYPE_CHECKING:
    from shoal.client.session.context import ClientContext

__all__ = ["Recipe", "call_here", "fetch_recipe"]


class Recipe:
    """Function and arguments of a task, with the values of its inputs."""

    def __init__(self, answer: dict[str, Any], values: list[Any]) -> None:
        self.key = answer["key"]
        self._function = answer["function"]
        self._args = answer["args"]
        self._buffers = answer["buffers"]
        self._values = values

    def load(self) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
        """Return function, positional and keyword arguments."""
        function = loads_received(self._function)
        if not self._buffers and self._args[0] != PICKLE:
            return function, load_plain(self._args), {}
        with dependency_values(self._values):
            args, kwargs = loads_received(Blob(self._args, list(self._buffers)))
        return function, tuple(args), dict(kwargs or {})


async def fetch_recipe(client: ClientContext, what: Any, *, failed: bool) -> Recipe:
    """Ask for a task, and gather its inputs, which are computed again where they are gone.

    Parameters
    ----------
    what : Future, collection or key
        The task; of several the first one, or the first that failed.
    failed : bool
        Whether the task is meant that is to blame for a failure.

    Raises
    ------
    ValueError
        When none failed, or the scheduler does not know how the task is run.
    """
    await client
    futures = find_futures(what)
    for future in futures:
        await future._until_done()
    if failed:
        futures = [future for future in futures if future.status == "error"]
        if not futures:
            raise ValueError("No errored futures passed: there is no error to make again")
    if not futures:
        futures = [Future(what, client)]
    key = futures[0]._record.key
    answer = await client.scheduler.task_recipe(key=key, blamed=failed)
    if answer is None:
        raise ValueError(
            f"the scheduler does not know how {decode_key(key)!r} is run: it was scattered, or is "
            "forgotten"
        )
    inputs = [Future(decode_key(dep), client) for dep in answer["deps"]]
    values: list[Any] = await gather_async(client, inputs, "raise", None)
    return Recipe(answer, values)


def call_here(client: ClientContext, recipe: Recipe) -> Any:
    """Run a task in this thread, and return what it returns."""
    with as_current(client):
        function, args, kwargs = recipe.load()
        result = function(*args, **kwargs)
    if inspect.iscoroutine(result) and asyncio._get_running_loop() is None:
        return asyncio.run(result)
    return result
