"""The command `shoal scheduler`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

import click

from shoal import config
from shoal.cli.parsing import Duration, Ports, PreloadCommand, pages_place
from shoal.cli.serving import pid_file, run_servers, security_for, tls_options
from shoal.comm.addressing import (
    get_address_host,
    parse_address,
    resolve_address,
    unparse_host_port,
)
from shoal.preloading import validate_preload_argv
from shoal.scheduler.collecting import collect_for
from shoal.scheduler.core.journal.writer import POLICIES
from shoal.scheduler.scheduler import Scheduler

__all__ = ["scheduler"]

logger = logging.getLogger("shoal.cli")

_PORT = 8786


@click.command(cls=PreloadCommand)
@click.option("--host", default=None, help="Name or address to listen on; default all.")
@click.option("--port", type=Ports(), default=None, help=f"Port, or a range; default {_PORT}.")
@click.option("--interface", default=None, help="Network interface to listen on, such as eth0.")
@click.option("--protocol", default=None, help="tcp, tls or ipc; default tcp, or tls with --tls-*.")
@tls_options("scheduler")
@click.option(
    "--dashboard-address",
    default=None,
    help="Where to show pages, such as ':8787', to members that log in; default 127.0.0.1:8787.",
)
@click.option("--dashboard/--no-dashboard", default=True, help="Whether to show them.")
@click.option("--dashboard-prefix", default="", help="What the paths of the pages begin with.")
@click.option("--show/--no-show", default=False, help="Accepted for compatibility.")
@click.option(
    "--use-xheaders",
    type=bool,
    default=False,
    show_default=True,
    help="Whether a proxy in front of the pages says in headers (X-Forwarded-...) who asks.",
)
@click.option("--pid-file", type=click.Path(), default=None, help="File for the process id.")
@click.option(
    "--scheduler-file",
    type=click.Path(),
    default=None,
    help="File to write address and secret to, for workers and clients that share a disk.",
)
@click.option(
    "--preload",
    multiple=True,
    help="Module, file or text to run at the start; its dask_setup(scheduler) is called.",
)
@click.option(
    "--journal",
    type=click.Path(),
    default=None,
    help="Folder to journal in what no worker or client can repeat, for a scheduler that starts "
    "anew; beside the scheduler file by default, if there is one.",
)
@click.option("--no-journal", is_flag=True, help="Journal nothing.")
@click.option(
    "--journal-sync",
    type=click.Choice(POLICIES),
    default=None,
    help="When the journal must be on disk: before anybody is answered, soon (default), or never.",
)
@click.option(
    "--standby",
    is_flag=True,
    help="Wait until no other scheduler writes the journal, then go on in its place.",
)
@click.option("--idle-timeout", type=Duration(), default=None, help="Close when idle for so long.")
@click.option(
    "--no-client-timeout",
    type=Duration(),
    default=None,
    help="Close when no client was there for so long, and there is nothing to do.",
)
@click.argument("preload_argv", nargs=-1, type=click.UNPROCESSED, callback=validate_preload_argv)
def scheduler(
    host: str | None,
    port: list[int | None] | None,
    interface: str | None,
    protocol: str | None,
    tls_ca_file: str | None,
    tls_cert: str | None,
    tls_key: str | None,
    pid_file: str | None,
    scheduler_file: str | None,
    preload: Sequence[str],
    idle_timeout: float | None,
    no_client_timeout: float | None,
    journal: str | None,
    no_journal: bool,
    journal_sync: str | None,
    standby: bool,
    preload_argv: Sequence[str],
    dashboard_address: str | None,
    dashboard: bool,
    dashboard_prefix: str,
    use_xheaders: bool,
    **unused: Any,
) -> None:
    """Start a scheduler, and print its address.

    Workers join with `shoal worker ADDRESS`, clients with `Client("ADDRESS")`.
    """

    made: list[Scheduler] = []
    place = pages_place(dashboard_address, host) if dashboard_address else None

    def make() -> list[Scheduler]:
        made.append(
            Scheduler(
                host=host,
                port=_ports(port),
                interface=interface,
                protocol=protocol,
                security=security_for("scheduler", tls_ca_file, tls_cert, tls_key),
                scheduler_file=scheduler_file,
                idle_timeout=idle_timeout,
                no_client_timeout=no_client_timeout,
                dashboard=dashboard,
                dashboard_address=place,
                http_prefix=dashboard_prefix,
                service_kwargs={"dashboard": {"use_xheaders": use_xheaders}},
                preload=list(preload) or None,
                preload_argv=list(preload_argv),
                journal=_place_of_journal(journal, no_journal, scheduler_file),
                journal_sync=journal_sync,
                standby=standby,
            )
        )
        collect_for(made[0])
        return made

    with _written(pid_file):
        run_servers(make, on_up=lambda: warn_if_readable(made[0].address))


_written = pid_file


def warn_if_readable(address: str) -> None:
    """Say once, when others can listen in on a scheduler's traffic, how to keep them from it."""
    scheme, _ = parse_address(address)
    if config.get_bool("shoal.comm.encryption"):
        return  # tcp is encrypted under the secret
    host = get_address_host(address)
    if scheme == "tcp" and host != "localhost" and not ip_address(resolved(host)).is_loopback:
        logger.warning(
            "Traffic of %s is not encrypted, as 'shoal.comm.encryption' is off: whoever controls "
            "the network can read it and change it. Switch that on everywhere, or listen on "
            "--host 127.0.0.1",
            address,
        )


def resolved(host: str) -> str:
    """Return the IP address of a host."""
    return get_address_host(resolve_address(f"tcp://{unparse_host_port(host, 0)}"))


def _place_of_journal(
    journal: str | None, no_journal: bool, scheduler_file: str | None
) -> str | bool | None:
    """Return where to journal; False: nowhere, None: where the configuration says."""
    if no_journal:
        if journal:
            raise click.UsageError("give --journal or --no-journal, not both")
        return False
    if journal or config.get_optional_str("shoal.journal.path"):
        return journal
    return scheduler_file is not None


def _ports(given: list[int | None] | None) -> list[int]:
    """Return the ports to try: those asked for, else the usual one and then any."""
    if given is None:
        return [_PORT, 0]
    return [0 if port is None else port for port in given]
