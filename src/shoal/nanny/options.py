"""What a nanny makes of its arguments: the environment of the process."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from shoal import config

__all__ = ["worker_environment"]


def worker_environment(env: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the environment of a worker's process.

    What the user's own environment says wins over the configuration, `env` over both.
    """
    configured = {
        **config.get_dict("distributed.nanny.pre-spawn-environ"),
        **config.get_dict("distributed.nanny.environ"),
    }
    chosen = {name: str(value) for name, value in configured.items() if value is not None}
    given = {str(name): str(value) for name, value in (env or {}).items()}
    return {**chosen, **os.environ, **given}
