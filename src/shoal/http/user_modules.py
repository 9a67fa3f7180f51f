"""Which modules of users have routes: those of the configuration, ``distributed.*.http.routes``."""

from __future__ import annotations

import importlib
from typing import Any

from shoal import config

__all__ = ["load_user_modules"]

# Modules of the incumbent's that its users name along with their own: shoal shows what they show.
_KNOWN = "distributed.http."

_KEYS = {
    "scheduler": "distributed.scheduler.http.routes",
    "worker": "distributed.worker.http.routes",
}


def load_user_modules(role: str) -> list[Any]:
    """Return the routes of all modules that the configuration names: (path, handler, arguments).

    Parameters
    ----------
    role : {"scheduler", "worker"}
        Which list is meant.

    Raises
    ------
    ImportError
        When a module is not there, or has no list of routes; it names the setting.
    """
    key = _KEYS[role]
    found: list[Any] = []
    for name in map(str, config.get_list(key)):
        if name.startswith(_KNOWN):
            continue
        try:
            found += importlib.import_module(name).routes
        except (ImportError, AttributeError) as error:
            raise ImportError(f"the module {name!r}, which {key!r} names: {error}") from error
    return found
