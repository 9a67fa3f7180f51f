"""The common part of all owners of plugins: names, and calling a hook without harm."""

from __future__ import annotations

import asyncio
import inspect
import logging
import uuid
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = [
    "accepting",
    "call_hook",
    "defaults",
    "name_of",
    "overrides",
    "run_hook",
    "wait_for_hook",
]

C = TypeVar("C", bound=type)


def name_of(plugin: Any, name: str | None = None) -> str:
    """Return the name of a plugin: the given one, its own, or a random one."""
    own = getattr(plugin, "name", None)
    return name or (str(own) if own else f"{type(plugin).__name__}-{uuid.uuid4().hex}")


def defaults(base: C) -> C:
    """Mark the hooks of a base class of plugins as those that do nothing (see `overrides`)."""
    for value in vars(base).values():
        if inspect.isfunction(value):
            value.does_nothing = True  # type: ignore[attr-defined]
    return base


def overrides(plugin: Any, hook: str) -> Callable[..., Any] | None:
    """Return a hook of a plugin, or None where it is the one of the base class, or none."""
    method = getattr(plugin, hook, None)
    if method is None or getattr(method, "does_nothing", False):
        return None
    found: Callable[..., Any] = method
    return found


def accepting(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that is called with those keywords only that it takes.

    Plugins that are older than a keyword do not name it.
    """
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return function
    if any(each.kind is each.VAR_KEYWORD for each in parameters.values()):
        return function

    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **{k: v for k, v in kwargs.items() if k in parameters})

    return call


def call_hook(
    logger: logging.Logger,
    name: str,
    hook: str,
    function: Callable[..., Any],
    *args: Any,
    **kw: Any,
) -> Any:
    """Call a hook; an error is logged with the plugin's name, and the result is then None.

    Also one that would end a program, or a task of the loop: it is not the caller's.
    """
    try:
        return function(*args, **kw)
    except BaseException:
        logger.exception("Plugin %r failed in %s()", name, hook)
        return None


async def run_hook(function: Callable[..., Any], *args: Any) -> Any:
    """Call a hook, wait for it where it is a coroutine function, and return what it returned.

    Raises
    ------
    Exception
        Its exception. One to end the program, or a task of the loop, becomes a RuntimeError.
    """
    try:
        result = function(*args)
        return await result if inspect.isawaitable(result) else result
    except (SystemExit, KeyboardInterrupt, asyncio.CancelledError) as error:
        if _is_callers(error):
            raise
        raise RuntimeError(f"{type(error).__name__} in a plugin: {error}") from error


async def wait_for_hook(logger: logging.Logger, name: str, hook: str, result: Any) -> None:
    """Wait for what a hook that is a coroutine function returned; an error is logged."""
    try:
        if inspect.isawaitable(result):
            await result
    except BaseException as error:
        if _is_callers(error):
            raise
        logger.exception("Plugin %r failed in %s()", name, hook)


def _is_callers(error: BaseException) -> bool:
    """Whether it means the task that waits for a plugin: somebody cancels that."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0
