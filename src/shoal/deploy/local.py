"""Clusters on this host: scheduler and workers in processes of their own, or all in this one."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import dask.config

from shoal import config
from shoal._base.named_class import class_of
from shoal._base.system import CPU_COUNT, parse_memory_limit
from shoal.core import Status
from shoal.deploy.folder import ClusterFolder
from shoal.deploy.keywords import refuse_unknown_keywords
from shoal.deploy.scheduler_process import SchedulerProcess
from shoal.deploy.sizing import worker_shape
from shoal.deploy.spec import SpecCluster
from shoal.diagnostics.links import warn_of_taken_port
from shoal.nanny.nanny import Nanny
from shoal.nanny.options import worker_environment
from shoal.nanny.templates import Template
from shoal.security import Security

__all__ = ["LocalCluster"]

# By name: a cluster of processes needs neither class in this process.
_SCHEDULER = "shoal.scheduler.scheduler.Scheduler"
_WORKER = "shoal.worker.worker.Worker"
_PLACES_FOR_FILES = ("distributed.worker.local-directory", "temporary-directory")


class LocalCluster(SpecCluster):
    """Start a scheduler and workers on this host.

    By default the scheduler has a process of its own, each worker too, and they talk over Unix
    sockets, so nothing is open to the network. All is ended and cleaned up when the cluster is
    closed or this process ends, whatever ends it.

    Parameters
    ----------
    name : str, optional
        Name of the cluster.
    n_workers : int, optional
        Number of workers; default by the number of cores.
    threads_per_worker : int, optional
        Threads of each worker.
    processes : bool, optional
        Whether to use processes (the default), or to run everything in this one.
    loop : event loop, optional
        Loop to live on.
    host : str, optional
        Address or name to listen on, over TCP; default Unix sockets.
    scheduler_port : int
        Port of the scheduler, over TCP.
    silence_logs : int, str or False
        Level below which nothing is logged; False for all.
    dashboard_address : str, optional
        Where the scheduler shows pages of numbers over HTTP: ``":8787"`` by default, at another
        port if that one is taken, to this machine only; None: nowhere.
    worker_dashboard_address : str, optional
        Where each worker shows `/health` and `/metrics` over HTTP, such as ``":0"``; nowhere by
        default.
    asynchronous : bool
        Whether the cluster is used from coroutines: ``async with LocalCluster(...)``.
    blocked_handlers : list of str, optional
        Operations that the scheduler refuses.
    security : Security or bool, optional
        Certificates; True makes temporary ones. Connections are then encrypted.
    protocol : str, optional
        ``"ipc"``, ``"tcp"``, ``"tls"`` or, with ``processes=False``, ``"inproc"``.
    interface : str, optional
        Network interface to listen on, over TCP.
    worker_class : type, optional
        A subclass of `Nanny` or `Worker` to use.
    journal : str, optional
        A folder in which the scheduler journals what no worker or client can repeat (queues,
        variables, datasets, ...), so that it is there again after the scheduler's death, or in the
        next cluster with this folder. By default there is none.
    scheduler_kwargs : dict, optional
        More arguments of the scheduler.
    scheduler_sync_interval : float
        Seconds between two looks at the scheduler's workers.
    **worker_kwargs
        More arguments of `Nanny` or `Worker`, such as ``memory_limit="4 GiB"``.

    Examples
    --------
    >>> cluster = LocalCluster(n_workers=2)  # doctest: +SKIP
    >>> cluster.scale(3)  # doctest: +SKIP
    >>> client = cluster.get_client()  # doctest: +SKIP
    """

    def __init__(
        self,
        name: str | None = None,
        n_workers: int | None = None,
        threads_per_worker: int | None = None,
        processes: bool | None = None,
        loop: Any = None,
        start: Any = None,
        host: str | None = None,
        ip: str | None = None,
        scheduler_port: int | None = 0,
        silence_logs: int | str | bool = logging.WARNING,
        dashboard_address: str | None = ":8787",
        worker_dashboard_address: str | None = None,
        diagnostics_port: Any = None,
        services: Any = None,
        worker_services: Any = None,
        service_kwargs: Any = None,
        asynchronous: bool = False,
        security: Security | Mapping[str, Any] | bool | None = None,
        protocol: str | None = None,
        blocked_handlers: Sequence[str] | None = None,
        interface: str | None = None,
        worker_class: type | str | None = None,
        journal: str | None = None,
        scheduler_kwargs: Mapping[str, Any] | None = None,
        scheduler_sync_interval: float | str = 1,
        **worker_kwargs: Any,
    ) -> None:
        if ip is not None:
            warnings.warn("ip= is deprecated; use host=", FutureWarning, stacklevel=2)
            host = host or ip
        if processes is None:
            processes = worker_class is None or _is_nanny(worker_class)
        self.processes = processes
        self._check_keywords(worker_class, worker_kwargs, scheduler_kwargs or {})
        certificates = _security_of(security)
        n_workers, threads = worker_shape(n_workers, threads_per_worker, processes)
        worker_kwargs["nthreads"] = threads
        worker_kwargs["memory_limit"] = _memory_of(
            worker_kwargs.get("memory_limit", "auto"), threads, n_workers
        )
        quiet = silence_logs or None
        where = self._place(protocol, host, interface, scheduler_port, certificates)
        scheduler = {
            **where,
            "port": scheduler_port or 0,
            "blocked_handlers": blocked_handlers,
            "dashboard_address": dashboard_address,
            "journal": journal or False,
            **(scheduler_kwargs or {}),
        }
        if worker_dashboard_address is not None:
            worker_kwargs.setdefault("dashboard_address", worker_dashboard_address)
        spec = self._worker_spec(worker_class, {**where, **worker_kwargs}, quiet)
        try:
            super().__init__(
                workers=dict.fromkeys(range(n_workers), spec),
                scheduler=self._scheduler_spec(scheduler, quiet),
                worker=spec,
                asynchronous=asynchronous,
                loop=loop,
                security=certificates,
                silence_logs=silence_logs,
                name=name,
                scheduler_sync_interval=scheduler_sync_interval,
            )
        except BaseException:
            self._remove_folder()
            raise

    def _check_keywords(
        self,
        worker_class: type | str | None,
        worker: Mapping[str, Any],
        scheduler: Mapping[str, Any],
    ) -> None:
        """Refuse what no server takes before anything is started."""
        workers = [lambda: class_of(worker_class or _WORKER)]
        if self.processes:
            workers.insert(0, lambda: Nanny)
        refuse_unknown_keywords(type(self), worker, workers)
        refuse_unknown_keywords(type(self), scheduler, [lambda: class_of(_SCHEDULER)])

    def _place(
        self,
        protocol: str | None,
        host: str | None,
        interface: str | None,
        port: int | None,
        security: Security | None,
    ) -> dict[str, Any]:
        """Decide where all of them listen, and return the arguments that say so."""
        if host and interface:
            raise ValueError(f"give host= or interface=, not both; got {host!r} and {interface!r}")
        if host and "://" in host:
            protocol, host = host.split("://", 1)
        if not 0 <= (port or 0) <= 65535:
            raise ValueError(f"scheduler_port must be a port, 0 to 65535; got {port!r}")
        on_network = bool(host or interface or port)
        self.protocol = _protocol_of(protocol, self.processes, on_network, security)
        self._lives = 0  # workers made so far
        self._folder: ClusterFolder | None = None
        self._template: Template | None = None
        if self.processes and Template.supported():
            self._template = Template(worker_environment(None))
        if self.protocol == "ipc":
            self._folder = _folder_or_none()
            if self._folder is None:
                if protocol:
                    raise OSError("this system has no Unix sockets; use protocol='tcp'")
                self.protocol = "tcp"
        if self.protocol in ("tcp", "tls") and not (host or interface):
            host = "127.0.0.1"
        where = {"host": host, "interface": interface, "security": security}
        where = {key: value for key, value in where.items() if value is not None}
        return {**where, "protocol": self.protocol}

    def _worker_spec(
        self, cls: type | str | None, options: dict[str, Any], quiet: Any
    ) -> dict[str, Any]:
        if not self.processes:
            return {"cls": cls or _WORKER, "options": options}
        options |= {"silence_logs": quiet, "template": self._template}
        if cls is not None and not _is_nanny(cls):
            options["worker_class"], cls = cls, Nanny
        return {"cls": cls or Nanny, "options": options}

    def _scheduler_spec(self, options: dict[str, Any], quiet: Any) -> dict[str, Any]:
        if not self.processes:
            if self._folder is not None:
                options["host"] = self._folder.socket_path("scheduler")
            return {"cls": _SCHEDULER, "options": options}
        options |= {"silence_logs": quiet, "template": self._template}
        if self._folder is not None:
            options["host"] = self._folder.socket_path("scheduler")
            options["orphan_folders"] = [self._folder.path]
        return {"cls": SchedulerProcess, "options": options}

    def _worker_options(self, name: Any, options: dict[str, Any]) -> dict[str, Any]:
        if self._folder is None:
            return options
        self._lives += 1
        options["host"] = self._folder.socket_path(f"w{self._lives}")
        if self.processes:
            if not any(map(dask.config.get, _PLACES_FOR_FILES)):
                # Here it goes with the folder, even when all processes were killed.
                options.setdefault("local_directory", self._folder.path)
            options["listen_address"] = f"ipc://{self._folder.socket_path(f'n{self._lives}')}"
            options["orphan_folders"] = [self._folder.path]
        return options

    async def _start(self) -> None:
        if self._template is not None and self.status == Status.created:
            self._template.start()
        await super()._start()
        if self.processes:
            self._warn_of_taken_port()

    def _warn_of_taken_port(self) -> None:
        """Say in this process what the scheduler's would have said: its pages are elsewhere."""
        place = (self.scheduler_spec or {}).get("options", {}).get("dashboard_address")
        port = self.scheduler_info.get("services", {}).get("dashboard")
        if place is None or not port:
            return
        warn_of_taken_port(place, port)

    async def _close(self) -> None:
        await super()._close()
        if self._template is not None:
            await self._template.close()
        self._remove_folder()

    def _abandon(self) -> None:
        # The processes ended with the loop, and cannot do it.
        self._remove_folder()

    def _remove_folder(self) -> None:
        if self._folder is not None:
            self._folder.remove()


def _is_nanny(cls: Any) -> bool:
    return isinstance(cls, type) and issubclass(cls, Nanny)


def _security_of(security: Any) -> Security | None:
    if security is True:
        return Security.temporary()
    if isinstance(security, Mapping):
        return Security(**security)
    return security or None


def _protocol_of(
    protocol: str | None, processes: bool, on_network: bool, security: Security | None
) -> str:
    """Return the scheme to use: what was asked for, else the most private one that will do."""
    if protocol is None and processes and not (security and security.require_encryption):
        protocol = config.get_optional_str("shoal.local-protocol")
    if protocol is not None:
        scheme = protocol.removesuffix("://")
        if processes and scheme == "inproc":
            raise ValueError(
                "protocol='inproc' is for processes=False: other processes cannot connect to it"
            )
        return scheme
    if security is not None and security.require_encryption:
        return "tls"
    if on_network:
        return "tcp"
    return "ipc" if processes else "inproc"


def _folder_or_none() -> ClusterFolder | None:
    try:
        return ClusterFolder()
    except OSError:
        return None


def _memory_of(limit: Any, threads: int, workers: int) -> int:
    """Return the memory limit of one worker in bytes, 0 for none.

    All workers together never have more than there is, also with more threads than cores.
    """
    return parse_memory_limit(limit, threads, max(CPU_COUNT, threads * workers)) or 0
