"""The command `shoal worker`."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import click

from shoal._base.allocation import note_allocation_end
from shoal._base.stand_in import stand_in
from shoal._base.system import CPU_COUNT
from shoal.cli.parsing import (
    Duration,
    MemoryLimitType,
    Ports,
    PreloadCommand,
    Resources,
    pages_place,
)
from shoal.cli.preemption import Notice
from shoal.cli.serving import pid_file, run_servers, security_for, tls_options
from shoal.comm.addressing import (
    numbered,
    parse_address,
    parse_host_port,
    unparse_host_port,
)
from shoal.comm.secret import hide_environment_secret
from shoal.core import Server
from shoal.deploy.sizing import nprocesses_nthreads
from shoal.nanny.nanny import Nanny
from shoal.nanny.options import worker_environment
from shoal.nanny.templates import Template
from shoal.preloading import validate_preload_argv

__all__ = ["worker"]

_written = pid_file
_WORKER = "shoal.worker.worker.Worker"


def _address_and_argv(
    context: click.Context, param: click.Parameter, value: Sequence[str]
) -> Sequence[str]:
    """Take the scheduler's address off the front; the rest is the preload's."""
    if value and not value[0].startswith("-"):
        context.params["scheduler"], value = value[0], value[1:]
    return validate_preload_argv(context, param, value)


@click.command(cls=PreloadCommand)
@tls_options("worker")
@click.option("--worker-port", type=Ports(), default=None, help="Port of the worker, or a range.")
@click.option("--nanny-port", type=Ports(), default=None, help="Port of the nanny, or a range.")
@click.option(
    "--dashboard-address",
    default=None,
    help="Where to show /health, /metrics and /status, such as ':8788'; default any local port.",
)
@click.option(
    "--dashboard/--no-dashboard",
    default=True,
    help="Whether to show them; where an address is given they are shown in any case.",
)
@click.option("--dashboard-prefix", default=None, help="What the paths of these begin with.")
@click.option(
    "--listen-address",
    default=None,
    help="Address to listen on, tcp://0.0.0.0:9000; of several workers the first one's.",
)
@click.option(
    "--contact-address",
    default=None,
    help="Address that others are told; of several workers the first one's.",
)
@click.option("--host", default=None, help="Name or address of this host to listen on.")
@click.option("--interface", default=None, help="Network interface to listen on, such as ib0.")
@click.option("--protocol", default=None, help="tcp, tls or ipc; default the scheduler's.")
@click.option("--nthreads", type=click.IntRange(min=1), default=None, help="Threads per worker.")
@click.option(
    "--nworkers",
    default="1",
    show_default=True,
    help="Number of workers; 'auto' by the number of cores; -1 one for each core, -2 one less ...",
)
@click.option("--name", default=None, help="Name of the worker; with several, name-0 and so on.")
@click.option(
    "--memory-limit",
    type=MemoryLimitType(),
    default="auto",
    show_default=True,
    help="Of each worker: 'auto', '4 GiB', bytes, a fraction of the memory, or 0 for none.",
)
@click.option("--nanny/--no-nanny", default=True, help="Start workers in watched processes.")
@click.option("--pid-file", type=click.Path(), default=None, help="File for the process id.")
@click.option("--resources", type=Resources(), default=None, help='Such as "GPU=2 mem=1e9".')
@click.option("--scheduler-file", type=click.Path(), default=None, help="File of the scheduler.")
@click.option("--death-timeout", type=Duration(), default=None, help="Wait so long for it.")
@click.option(
    "--local-directory", type=click.Path(file_okay=False), default=None, help="For files."
)
@click.option("--lifetime", type=Duration(), default=None, help="Retire after so long.")
@click.option("--lifetime-stagger", type=Duration(), default=None, help="Give or take up to this.")
@click.option("--lifetime-restart/--no-lifetime-restart", default=None, help="Then start another.")
@click.option("--worker-class", default=None, help="Class to use, as module.name.")
@click.option("--preload", multiple=True, help="Module, file or text to run in each worker.")
@click.option("--preload-nanny", multiple=True, help="The same in the nannies' process.")
@click.argument(
    "preload_argv",
    metavar="[SCHEDULER] [PRELOAD_ARGV]...",
    nargs=-1,
    type=click.UNPROCESSED,
    callback=_address_and_argv,
)
def worker(
    tls_ca_file: str | None,
    tls_cert: str | None,
    tls_key: str | None,
    nworkers: str,
    nthreads: int | None,
    name: str | None,
    nanny: bool,
    pid_file: str | None,
    scheduler_file: str | None,
    listen_address: str | None,
    contact_address: str | None,
    preload: Sequence[str],
    preload_nanny: Sequence[str],
    preload_argv: Sequence[str],
    worker_class: str | None,
    worker_port: list[int | None] | None,
    nanny_port: list[int | None] | None,
    dashboard_address: str | None = None,
    dashboard: bool = True,
    dashboard_prefix: str | None = None,
    scheduler: str | None = None,
    **options: Any,
) -> None:
    """Start workers that join the scheduler at the address SCHEDULER.

    Instead of an address, --scheduler-file names a file that the scheduler wrote.
    """
    hide_environment_secret()  # tasks need not see it
    notice = noticed()
    note_allocation_end()
    count, threads = shape(nworkers, nthreads)
    if count > 1 and not nanny:
        raise click.UsageError(f"--nworkers {count} needs nannies; drop --no-nanny")
    if scheduler and scheduler_file:
        raise click.UsageError("give the address of a scheduler or --scheduler-file, not both")
    if dashboard_address:
        host = listen_address or options.get("host")
        options["dashboard_address"] = pages_place(dashboard_address, host)
    elif dashboard:
        options["dashboard_address"] = ":0"
    options["http_prefix"] = dashboard_prefix
    options = {key: value for key, value in options.items() if value is not None}
    if preload:
        options |= {"preload": list(preload), "preload_argv": list(preload_argv)}

    port = "worker_port" if nanny else "port"
    placed = [places(listen_address, contact_address, i, port) for i in range(count)]

    def make() -> list[Server]:
        common = {
            **options,
            "scheduler_file": scheduler_file,
            "nthreads": threads,
            "security": security_for("worker", tls_ca_file, tls_cert, tls_key),
        }
        names = [name] if count == 1 else [f"{name}-{i}" if name else None for i in range(count)]
        if not nanny:
            stand_in()  # as in the processes of nannies
            cls = _class_named(worker_class or _WORKER)
            return [cls(scheduler, name=name, **common | {"port": _ports(worker_port)} | placed[0])]
        common |= {"port": _ports(nanny_port), "worker_port": _ports(worker_port)}
        if count > 1 and Template.supported():
            # It ends with this process, of which it reads.
            common["template"] = template = Template(worker_environment(None))
            template.start()
        common |= {"preload_nanny": list(preload_nanny) or None, "worker_class": worker_class}
        return [
            Nanny(scheduler, name=each, **common | place)
            for each, place in zip(names, placed, strict=True)
        ]

    with _written(pid_file):
        run_servers(make, notice=notice)


def places(listen: str | None, contact: str | None, number: int, port: str) -> dict[str, Any]:
    """Return the options of one of several workers: ports are counted from the first one's on.

    Parameters
    ----------
    listen, contact : str or None
        As they were given.
    number : int
        Of the worker, from 0 on.
    port : str
        The name of the option for the port that the worker listens on.

    Raises
    ------
    click.UsageError
        When one of the two is no address.
    """
    found: dict[str, Any] = {}
    flag, given = "--contact-address", contact
    try:
        if contact:
            found["contact_address"] = numbered(contact, number)
        flag, given = "--listen-address", listen
        if listen:
            scheme, location = parse_address(numbered(listen, number))
            if scheme in ("tcp", "tls"):
                host, chosen = parse_host_port(location, default_port=0)
                found["host"] = f"{scheme}://{unparse_host_port(host)}"
                found |= {port: [chosen]} if chosen else {}
            else:
                found["host"] = listen
    except ValueError as error:
        raise click.UsageError(f"{flag} {given}: {error}") from error
    return found


def noticed() -> Notice:
    """Return what tells that this host is taken away, as it is configured."""
    try:
        return Notice.configured()
    except (TypeError, ValueError) as error:
        raise click.UsageError(str(error)) from error


def shape(nworkers: str, nthreads: int | None) -> tuple[int, int]:
    """Return the number of workers and of threads in each.

    Raises
    ------
    click.UsageError
        When `nworkers` is no number of workers.
    """
    if nworkers == "auto":
        count, threads = nprocesses_nthreads()
        return count, nthreads or threads
    try:
        count = int(nworkers)
    except ValueError:
        count = 0
    if count < 0:
        count = CPU_COUNT + 1 + count
    if count <= 0:
        raise click.UsageError(
            f"--nworkers {nworkers}: give a number of workers, 'auto', or -1 for one per core"
        )
    return count, nthreads or max(1, CPU_COUNT // count)


def _ports(given: list[int | None] | None) -> list[int] | None:
    return None if given is None else [0 if port is None else port for port in given]


def _class_named(named: str) -> Any:
    module, _, attribute = named.rpartition(".")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise click.UsageError(f"--worker-class {named}: {error}") from error
