"""The settings of the scheduler's core, read from the configuration once, when a scheduler is
made.
"""

from __future__ import annotations

from typing import Any

from dask.utils import parse_timedelta

from shoal import config
from shoal.scheduler.core import Settings

__all__ = ["read_settings"]


def read_settings(
    idle_timeout: Any = None,
    worker_ttl: Any = None,
    validate: bool | None = None,
    allowed_failures: int | None = None,
    no_client_timeout: Any = None,
) -> Settings:
    """Return the settings; arguments that are given win over the configuration."""
    durations = config.get_dict("distributed.scheduler.default-task-durations")
    return Settings(
        allowed_failures=config.get_int(
            "distributed.scheduler.allowed-failures", allowed_failures, minimum=0
        ),
        bandwidth=float(config.get_bytes("distributed.scheduler.bandwidth")),
        unknown_task_duration=config.get_seconds("distributed.scheduler.unknown-task-duration"),
        default_task_durations={
            name: float(parse_timedelta(value)) for name, value in durations.items()
        },
        task_timeouts={
            name: float(parse_timedelta(value))
            for name, value in config.get_dict("shoal.timeouts.default").items()
        },
        pipeline=config.get_seconds("shoal.pipeline"),
        steal=config.get_bool("distributed.scheduler.work-stealing"),
        worker_ttl=config.get_optional_seconds("distributed.scheduler.worker-ttl", worker_ttl),
        idle_timeout=config.get_optional_seconds(
            "distributed.scheduler.idle-timeout", idle_timeout
        ),
        no_client_timeout=config.get_optional_seconds("shoal.no-client-timeout", no_client_timeout),
        no_workers_timeout=config.get_optional_seconds("distributed.scheduler.no-workers-timeout"),
        retire_timeout=config.get_seconds("shoal.retire.timeout"),
        recovery_window=config.get_seconds("shoal.recovery.window"),
        recovery_grace=config.get_seconds("shoal.recovery.grace"),
        lease_timeout=config.get_seconds("distributed.scheduler.locks.lease-timeout"),
        lease_validation=config.get_seconds(
            "distributed.scheduler.locks.lease-validation-interval"
        ),
        events_length=config.get_int("distributed.scheduler.events-log-length", minimum=0),
        log_length=config.get_int("distributed.scheduler.transition-log-length", minimum=0),
        validate=config.get_bool("distributed.scheduler.validate", validate),
    )
