"""The settings of the scheduler's core. Plain values; reading the configuration is the shell's
work.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Settings"]


@dataclass(frozen=True, slots=True)
class Settings:
    """Tunable values of the scheduler's core; times in seconds, sizes in bytes."""

    allowed_failures: int = 3
    bandwidth: float = 100e6  # bytes a second between workers
    latency: float = 1e-3  # of one fetch between workers
    unknown_task_duration: float = 0.5
    default_task_durations: dict[str, float] = field(default_factory=dict)
    task_timeouts: dict[str, float] = field(default_factory=dict)  # by prefix
    pipeline: float = 0.010  # estimated work that a worker's queue should cover, per thread
    pipeline_tasks: int = 1000  # at most so many tasks a thread, however short they are
    steal: bool = True
    steal_min: float = 0.010  # a worker's surplus below this is not worth a message
    worker_ttl: float | None = 300.0
    heartbeat_interval: float = 1.0
    idle_timeout: float | None = None
    no_client_timeout: float | None = None
    no_workers_timeout: float | None = None
    recovery_window: float = 3.0
    recovery_grace: float = 60.0
    retire_timeout: float = 300.0  # to end what runs and hand over what is held before leaving
    client_grace: float = 10.0  # results of a client that vanished are kept so long
    define_grace: float = 1.0  # a key that nobody defined may be wanted for so long
    retry_unreachable: float = (
        0.5  # pause before a task is sent again when its data was unreachable
    )
    holder_grace: float = 1.0  # locks of a client that vanished are kept so long
    lease_timeout: float = 30.0  # locks of a client that says nothing are free after this
    lease_validation: float = 10.0  # how often that is looked at
    free_delay: float = 0.05  # a busy worker is told within this to drop what nobody needs
    free_large: int = 2**16  # a result of so many bytes is dropped at once
    slice: int = 4000  # tasks that one turn may touch, about; the rest is done in later ones
    log_length: int = 100_000  # transitions remembered for `story`
    events_length: int = 10_000
    validate: bool = False
