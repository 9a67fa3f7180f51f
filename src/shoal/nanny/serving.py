"""A server in a process of ours: starts it, closes it when the parent asks or is gone."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
from collections.abc import Callable, Coroutine
from typing import Any

from shoal._base.loop import new_event_loop
from shoal._base.signals import on_first_signal
from shoal._base.within import within
from shoal.nanny.child import Parent

__all__ = ["run", "serve"]

logger = logging.getLogger("shoal.nanny")


def run(main: Coroutine[Any, Any, int]) -> int:
    """Run a coroutine on the kind of loop that is configured, and return its exit code."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(main)


async def serve(
    parent: Parent, make: Callable[[], Any], describe: Callable[[Any], dict[str, Any]]
) -> int:
    """Run a server until it is closed; return the exit code of the process.

    Parameters
    ----------
    parent : Parent
        Gets ``started`` with what `describe` says, ``failed`` with a text, or ``closing`` with
        the server's ``close_reason`` and whether it wants a successor.
    make : callable
        Makes the server; called on the loop.
    """
    loop = asyncio.get_running_loop()
    asked: asyncio.Future[str] = loop.create_future()

    def receive(message: dict[str, Any]) -> None:
        reasons = {"gone": "the parent process ended", "close": message.get("reason") or "asked to"}
        if message["op"] in reasons:
            with contextlib.suppress(RuntimeError):  # the loop is closed: this process ends already
                loop.call_soon_threadsafe(ask, reasons[message["op"]])

    def ask(reason: str) -> None:
        if not asked.done():
            asked.set_result(reason)

    parent.listen(receive)
    server = make()
    starting = asyncio.ensure_future(_start(server))
    await _first(starting, asked)
    if not starting.done():
        starting.cancel()
        await asyncio.wait([starting])
    if asked.done() or starting.exception() is not None:
        return await _give_up(parent, server, asked, starting)
    # Modules imported so far live as long as the process: the collector need not look at them. It
    # is off in a new interpreter (see `spawn`), as imports would run it in vain.
    gc.freeze()
    gc.enable()
    parent.tell(op="started", **describe(server))
    _leave_at_sigterm(server)
    finished = asyncio.ensure_future(server.finished())
    await _first(finished, asked)
    if not finished.done():
        parent.tell(op="closing", reason=asked.result(), restart=False)
        await server.close(reason=asked.result())
        await finished
    else:
        parent.tell(
            op="closing",
            reason=getattr(server, "close_reason", ""),
            restart=getattr(server, "close_restart", False),
        )
    return 0


def _leave_at_sigterm(server: Any) -> None:
    """Have a worker hand over its data when somebody ends its process, not that of the nanny.

    The nanny starts another then, as for one that died.
    """
    if not hasattr(server, "leave"):
        return
    leaving: list[asyncio.Future[None]] = []  # the loop itself holds tasks only weakly

    def leave(found: signal.Signals) -> None:
        reason = f"the worker's process received {found.name}"
        leaving.append(asyncio.ensure_future(server.leave(reason=reason, restart=True)))

    on_first_signal([signal.SIGTERM], leave)


async def _start(server: Any) -> None:
    await server


async def _first(*futures: asyncio.Future[Any]) -> None:
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)


async def _give_up(
    parent: Parent, server: Any, asked: asyncio.Future[str], starting: asyncio.Future[None]
) -> int:
    """Close a server that did not come up, and say why it did not."""
    error = None if starting.cancelled() else starting.exception()
    if error is not None:
        logger.debug("the start failed", exc_info=error)
        parent.tell(op="failed", text=f"{type(error).__name__}: {error}")
    else:
        parent.tell(op="closing", reason=asked.result(), restart=False)
    try:
        await within(server.close(), 5)
    except Exception:
        logger.debug("closing after a failed start failed too", exc_info=True)
    return 1 if error is not None else 0
