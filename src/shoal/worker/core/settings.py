"""The settings of the worker's core. Plain values; the shell reads the configuration."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Settings"]


@dataclass(frozen=True, slots=True)
class Settings:
    """Tunable values of the worker's core; times in seconds, sizes in bytes.

    A fraction of the memory limit that is ``None`` turns its threshold off; a limit of 0 turns off
    all of them.
    """

    resources: dict[str, float] = field(default_factory=dict)
    nthreads: int = 1
    memory_limit: int = 0
    memory_target: float | None = 0.6  # managed data above this goes to disk
    memory_spill: float | None = 0.7  # a process above this writes data to disk until below target
    memory_pause: float | None = 0.8  # a process above this starts nothing new
    resume_margin: float = 0.05  # a paused worker resumes this far below the pause threshold
    stuck_after: float | None = 10.0  # paused so long with nothing to run or spill: it is replaced
    fetch_bytes: int = 256_000_000  # from all peers together, in flight
    fetch_message_bytes: int = 50_000_000  # in one request
    fetch_message_keys: int = 2_000  # in one request
    fetches_per_peer: int = 2  # requests to one peer at a time
    fetch_retries: int = 1  # a last holder that cannot be reached is tried again so often
    fetch_retry_delay: float = 0.1
    interrupt_grace: float = 5.0  # code that was to stop, and goes on for so long, is given up
    validate: bool = False
