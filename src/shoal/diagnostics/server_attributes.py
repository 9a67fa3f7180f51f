"""The attributes that scheduler, worker and nanny share, by the documented names."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import psutil

from shoal._base.logs import LogBuffer
from shoal._base.versions import own_versions
from shoal.comm.addressing import get_address_host
from shoal.comm.server import Server
from shoal.diagnostics.monitor import SystemMonitor

__all__ = ["ServerAttributes"]


class ServerAttributes(Server):
    """Where a server is, what it logs, and what it counts.

    Attributes
    ----------
    digests : None
        Distributions of what `digest_metric` was told: not kept.
    digests_total, digests_max : dict
        Sum and largest of what `digest_metric` was told, by name.
    digests_total_since_heartbeat : dict
        The same sum, since it was last sent to the scheduler.
    counters : dict
        For plugins to count in.
    """

    digests: None = None
    log_buffer: LogBuffer
    _contact_address: str | None = None
    _monitor: SystemMonitor | None = None

    def _make_counters(self) -> None:
        """Set up what is counted; called when the server is made."""
        self.counters: defaultdict[Any, Any] = defaultdict(int)
        self.digests_total: defaultdict[Any, float] = defaultdict(float)
        self.digests_max: defaultdict[Any, float] = defaultdict(float)
        self.digests_total_since_heartbeat: defaultdict[Any, float] = defaultdict(float)
        self.thread_id = threading.get_ident()

    # -- where it is ---------------------------------------------------------------------------

    @property
    def contact_address(self) -> str | None:
        """The address that others are told, where it is not the one listened on."""
        return self._contact_address

    @property
    def host(self) -> str:
        """The host of its address."""
        return get_address_host(self.address)

    @property
    def ip(self) -> str:
        """The host of the address that it listens on."""
        listener = self.listener
        return get_address_host(listener.contact_address if listener else self.address)

    @property
    def services(self) -> dict[str, Any]:
        """The other servers in its process, by name: objects with a `port`."""
        return {}

    @property
    def service_ports(self) -> dict[str, int]:
        """The ports of what else it serves, by name."""
        return {name: service.port for name, service in self.services.items()}

    @property
    def proc(self) -> psutil.Process:
        """Its process."""
        return self.monitor.proc

    # -- topics and measurements ----------------------------------------------------------------

    @property
    def monitor(self) -> SystemMonitor:
        """The use of the machine by its process, measured now and then from the first look on."""
        if self._monitor is None:
            monitor = self._monitor = SystemMonitor()
            monitor.update()
            self.loop.call_soon_threadsafe(self._keep_measuring)
        return self._monitor

    def _keep_measuring(self) -> None:
        if self._monitor is not None and not self._finished.is_set():
            self._monitor.start()

    def _stop_monitor(self) -> None:
        if self._monitor is not None:
            self._monitor.close()

    def digest_metric(self, name: Any, value: float) -> None:
        """Count a number under a name: text, or a tuple of texts."""
        self.digests_total[name] += value
        self.digests_total_since_heartbeat[name] += value
        self.digests_max[name] = max(self.digests_max[name], value)

    def get_logs(
        self, start: float = 0, n: int | None = None, timestamps: bool = False
    ) -> list[tuple[Any, ...]]:
        """Return the last log records of this process, (level, text), newest first.

        Parameters
        ----------
        start : float
            None before that time, in seconds since the epoch.
        n : int, optional
            At most so many.
        timestamps : bool
            (time, level, text).
        """
        return self.log_buffer.records(start, n, timestamps)

    def versions(self, packages: Iterable[str] = ()) -> dict[str, Any]:
        """Return the versions of Python and of packages in this process.

        Parameters
        ----------
        packages : iterable of str
            More packages.
        """
        return own_versions(packages)
