"""Run servers until they close or somebody wants the process to end."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from shoal import config
from shoal._base.logs import start_logging
from shoal._base.loop import new_event_loop
from shoal._base.together import run_together
from shoal.cli.preemption import Notice
from shoal.cli.signals import ENDING, wait_for_signals
from shoal.core import Server, Status
from shoal.security import Security

__all__ = ["pid_file", "run_servers", "security_for", "tls_options"]

logger = logging.getLogger("shoal.cli")


def run_servers(
    make: Callable[[], Sequence[Server]],
    on_up: Callable[[], None] = lambda: None,
    notice: Notice | None = None,
) -> None:
    """Start servers and run until all have closed, or a signal comes; then close them.

    Parameters
    ----------
    make : callable
        Makes the servers; called on the loop.
    on_up : callable
        Called when all are up.
    notice : Notice, optional
        The event that ends them as a signal does.

    Raises
    ------
    click.ClickException
        When one cannot start; in one line.
    """
    start_logging(*config.get_logging())
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_run(make, on_up, notice))


async def _told(notice: Notice | None) -> str:
    """Wait for a signal or a notice; return what came."""
    if notice is None:
        return f"this process received {(await wait_for_signals()).name}"
    signals = asyncio.ensure_future(wait_for_signals((*ENDING, *notice.signals)))
    noticed = asyncio.ensure_future(notice.wait())
    try:
        await asyncio.wait([signals, noticed], return_when=asyncio.FIRST_COMPLETED)
        if signals.done():
            return f"this process received {signals.result().name}"
        logger.warning("This host is about to be taken away: %s; leaving", noticed.result())
        return f"the host is about to be taken away: {noticed.result()}"
    finally:
        signals.cancel()
        noticed.cancel()


async def _run(
    make: Callable[[], Sequence[Server]], on_up: Callable[[], None], notice: Notice | None
) -> None:
    signalled = asyncio.ensure_future(_told(notice))
    await asyncio.sleep(0)  # the handlers are set before anything is started
    try:
        servers = make()
    except (ImportError, OSError, TypeError, ValueError) as error:
        signalled.cancel()
        raise click.ClickException(str(error)) from error
    try:
        if await _unless(signalled, run_together(server.start() for server in servers)):
            on_up()
            await _unless(signalled, run_together(server.finished() for server in servers))
    except click.ClickException:
        raise
    except Exception as error:
        raise click.ClickException(_in_one_line(error)) from error
    finally:
        reason = signalled.result() if signalled.done() else ""
        signalled.cancel()
        over = (Status.closed, Status.failed)
        left = [server for server in servers if server.status not in over]
        await asyncio.gather(*(_close(server, reason) for server in left), return_exceptions=True)


async def _close(server: Server, reason: str) -> None:
    """Close a server; a worker that ends by a signal or notice hands over its data."""
    if not reason:
        await server.close(reason="it closes")
        return
    leave = getattr(server, "leave", None)
    await (server.close(reason=reason) if leave is None else leave(reason=reason))


async def _unless(signalled: asyncio.Future[Any], work: Coroutine[Any, Any, None]) -> bool:
    """Do `work` until a signal comes; whether it was done."""
    task = asyncio.ensure_future(work)
    await asyncio.wait([task, signalled], return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
        return True
    task.cancel()
    await asyncio.wait([task])
    return False


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def tls_options(role: str) -> Callable[[Any], Any]:
    """Add the options for certificates of a role."""

    def add(command: Any) -> Any:
        for name, text in reversed(
            [
                ("--tls-ca-file", "Certificates of the authorities to trust (PEM)."),
                ("--tls-cert", f"Certificate of the {role} (PEM)."),
                ("--tls-key", f"Private key of the {role} (PEM)."),
            ]
        ):
            kind = click.Path(exists=True, dir_okay=False, resolve_path=True)
            command = click.option(name, type=kind, default=None, help=text)(command)
        return command

    return add


def security_for(
    role: str, tls_ca_file: str | None, tls_cert: str | None, tls_key: str | None
) -> Security:
    """Return the certificates of options and configuration."""
    given: dict[str, Any] = {
        "tls_ca_file": tls_ca_file,
        f"tls_{role}_cert": tls_cert,
        f"tls_{role}_key": tls_key,
    }
    return Security(**{name: value for name, value in given.items() if value is not None})


@contextmanager
def pid_file(path: str | None) -> Iterator[None]:
    """Keep the process id in a file as long as the process runs."""
    if not path:
        yield
        return
    with open(path, "w", encoding="ascii") as file:
        file.write(str(os.getpid()))
    try:
        yield
    finally:
        try:
            os.remove(path)
        except FileNotFoundError:
            pass
