"""Makers of clusters and executors under names that have others in shoal."""

from __future__ import annotations

import logging
from typing import Any, NoReturn

from shoal.deploy.local import LocalCluster

__all__ = ["CompatibleExecutor", "SubprocessCluster"]


def SubprocessCluster(
    host: str | None = None,
    scheduler_port: int = 0,
    scheduler_kwargs: dict[str, Any] | None = None,
    dashboard_address: str | None = ":8787",
    worker_class: type | str | None = None,
    n_workers: int | None = None,
    threads_per_worker: int | None = None,
    worker_kwargs: dict[str, Any] | None = None,
    silence_logs: int | str | bool = logging.WARN,
    **kwargs: Any,
) -> LocalCluster:
    """Start a scheduler and workers in processes of this host.

    `shoal.LocalCluster` does that by default; this is the same with other arguments.
    """
    return LocalCluster(
        host=host,
        scheduler_port=scheduler_port,
        scheduler_kwargs=scheduler_kwargs,
        dashboard_address=dashboard_address,
        worker_class=None if isinstance(worker_class, str) else worker_class,
        n_workers=n_workers,
        threads_per_worker=threads_per_worker,
        silence_logs=silence_logs,
        processes=True,
        **kwargs,
        **(worker_kwargs or {}),
    )


def CompatibleExecutor(*args: Any, **kwargs: Any) -> NoReturn:
    """Say where the executor is: `Client.get_executor`."""
    raise TypeError("CompatibleExecutor has been moved to the Client.get_executor() method")
