"""What a worker reads from the configuration, once, when it is made."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from shoal import config
from shoal.worker.core import Settings

__all__ = ["Lifetime", "read_settings"]


def read_settings(
    *,
    resources: dict[str, float],
    memory_limit: int,
    validate: bool | None = None,
    **fractions: Any,
) -> Settings:
    """Return the settings of the worker's core.

    Parameters
    ----------
    resources : dict
        What tasks may ask for.
    memory_limit : int
        Bytes; 0 for none.
    **fractions
        ``memory_target_fraction``, ``memory_spill_fraction``, ``memory_pause_fraction``: instead of
        those configured.
    """
    transfer = config.get_fraction("distributed.worker.memory.transfer")
    return Settings(
        resources=resources,
        memory_limit=memory_limit,
        memory_target=_fraction("target", fractions),
        memory_spill=_fraction("spill", fractions),
        memory_pause=_fraction("pause", fractions),
        fetch_bytes=(
            max(int(memory_limit * transfer), 1_000_000)
            if transfer and memory_limit
            else Settings.__dataclass_fields__["fetch_bytes"].default
        ),
        fetch_message_bytes=config.get_bytes("distributed.worker.transfer.message-bytes-limit"),
        validate=config.get_bool("distributed.worker.validate", validate),
    )


def _fraction(name: str, given: dict[str, Any]) -> float | None:
    return config.get_fraction(
        f"distributed.worker.memory.{name}", given.get(f"memory_{name}_fraction")
    )


@dataclass
class Lifetime:
    """When a worker retires by itself.

    Attributes
    ----------
    seconds : float or None
        From its start; None: never.
    restart : bool
        Whether its nanny starts another worker then.
    """

    seconds: float | None
    restart: bool

    @classmethod
    def read(cls, lifetime: Any, stagger: Any, restart: bool | None) -> Lifetime:
        """Return it as given, or as configured; the stagger is drawn at random."""
        seconds = config.get_optional_seconds("distributed.worker.lifetime.duration", lifetime)
        spread = config.get_optional_seconds("distributed.worker.lifetime.stagger", stagger) or 0.0
        if seconds is not None:
            seconds = max(0.0, seconds + random.uniform(-spread, spread))
        return cls(seconds, config.get_bool("distributed.worker.lifetime.restart", restart))
