"""What a nanny makes of its arguments: the environment of the process, and the secret to use."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from typing import Any

from shoal import config
from shoal.security import Security

__all__ = ["with_secret", "worker_environment"]


def with_secret(security: Security, secret: str | None) -> Security:
    """Return `security` with the secret of a scheduler file, unless it has one already."""
    if not secret or security.secret is not None:
        return security
    found = copy.copy(security)
    found.secret = secret
    return found


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
