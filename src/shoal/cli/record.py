"""`shoal record`: a cluster at work, or a scheduler's journal, as one file to open in a browser."""

from __future__ import annotations

import asyncio
import signal

import click
from dask.utils import format_bytes, parse_bytes

from shoal.cli.scheduler_rpc import scheduler_rpc
from shoal.dashboard.journal_page import journal_page
from shoal.dashboard.recorder import record as record_frames
from shoal.diagnostics.links import member_link
from shoal.diagnostics.recording import RecordedPage
from shoal.errors import JournalError

__all__ = ["record"]

_TIMEOUT = 10.0  # seconds that the scheduler may take to answer


@click.command()
@click.argument("address", required=False)
@click.option("--scheduler-file", type=click.Path(), help="The file that names the scheduler.")
@click.option("--journal", type=click.Path(exists=True), help="The folder of a journal instead.")
@click.option("--output", default="shoal-recording.html", show_default=True, help="The file.")
@click.option("--seconds", default=3600.0, show_default=True, help="The longest time to look.")
@click.option("--most", default="256 MiB", show_default=True, help="The most data to keep.")
def record(
    address: str | None,
    scheduler_file: str | None,
    journal: str | None,
    output: str,
    seconds: float,
    most: str,
) -> None:
    """Record what the dashboard of the scheduler at ADDRESS shows, until Ctrl-C.

    The file opens in a browser, without a network: each moment can be gone back to.
    """
    if sum(each is not None for each in (address, scheduler_file, journal)) != 1:
        raise click.UsageError("say what to record: ADDRESS, --scheduler-file or --journal")
    try:
        if journal is not None:
            page = journal_page(journal)
        else:
            page = asyncio.run(_record(address, scheduler_file, seconds, int(parse_bytes(most))))
        path = page.save(output)
    except TimeoutError:
        raise click.ClickException("the scheduler did not answer") from None
    except (OSError, ValueError, JournalError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{path} ({format_bytes(len(page.html))})")


async def _record(address: str | None, file: str | None, seconds: float, most: int) -> RecordedPage:
    scheduler, address, secret = scheduler_rpc(address, file)
    try:
        async with asyncio.timeout(_TIMEOUT):
            identity = await scheduler.identity()
    finally:
        await scheduler.close_rpc()
    link = member_link(identity, secret)
    if not link:
        raise ValueError("this scheduler has no dashboard (dashboard_address=None)")
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
    return await record_frames(link, stop, seconds, most)
