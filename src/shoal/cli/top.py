"""`shoal top`: a cluster in the terminal, once a second."""

from __future__ import annotations

import asyncio
import importlib
import time
from typing import TYPE_CHECKING, Any

import click

from shoal._base.within import within
from shoal.cli.scheduler_rpc import scheduler_rpc
from shoal.cli.top_view import Summary, view

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["top"]

_TIMEOUT = 10.0  # seconds that the scheduler may take to answer


@click.command()
@click.argument("address", required=False)
@click.option("--scheduler-file", type=click.Path(), help="The file that names the scheduler.")
@click.option("--interval", default=1.0, show_default=True, help="Seconds between two looks.")
@click.option("--once", is_flag=True, help="Print it once and end.")
def top(address: str | None, scheduler_file: str | None, interval: float, once: bool) -> None:
    """Watch the cluster of the scheduler at ADDRESS: progress, workers, memory, faults."""
    if (address is None) == (scheduler_file is None):
        raise click.UsageError("say where the scheduler is: ADDRESS or --scheduler-file")
    if interval <= 0:
        raise click.UsageError("--interval must be more than 0 seconds")
    try:
        console = importlib.import_module("rich.console").Console()
    except ImportError:
        raise click.ClickException(
            "`shoal top` draws with rich: pip install 'shoal[terminal]'"
        ) from None
    try:
        asyncio.run(_watch(console, address, scheduler_file, interval, once))
    except TimeoutError:
        raise click.ClickException(
            f"{address or scheduler_file}: the scheduler did not answer within {_TIMEOUT:.0f} s"
        ) from None
    except (OSError, ValueError) as error:
        raise click.ClickException(f"the scheduler cannot be asked: {error}") from None
    except KeyboardInterrupt:
        pass


async def _watch(
    console: Console, address: str | None, file: str | None, interval: float, once: bool
) -> None:
    scheduler, address, _ = scheduler_rpc(address, file)
    before: tuple[float, Summary] | None = None
    screen: Any = None
    try:
        while True:
            told = await within(scheduler.cluster_summary(), _TIMEOUT)
            now = time.monotonic()
            rate = 0.0
            if before is not None and now > before[0]:
                rate = (told["finished"] - before[1]["finished"]) / (now - before[0])
            before = (now, told)
            picture = view(told, address, max(0.0, rate), console.height)
            if once:
                console.print(picture)
                return
            if screen is None:
                live = importlib.import_module("rich.live").Live
                screen = live(picture, console=console, screen=True, auto_refresh=False)
                screen.start()
            screen.update(picture, refresh=True)
            await asyncio.sleep(interval)
    finally:
        if screen is not None:
            screen.stop()
        await scheduler.close_rpc()
