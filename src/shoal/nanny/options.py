"""A nanny's arguments, turned into environment and modules of the process."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

import dask.config

from shoal import config
from shoal.comm.secret import VARIABLE

__all__ = ["modules_of", "worker_config", "worker_environment"]

# Texts hash alike on all workers, so that what is grouped by hash comes together.
_HASH_SEED = "6640"

_SETTING = "shoal.secret"


def worker_environment(env: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the environment of a worker's process.

    The user's own environment wins over the configuration, `env` over both. The cluster's
    secret is not in it: tasks would see it. It travels with the worker's arguments.
    """
    configured = {
        **config.get_dict("distributed.nanny.pre-spawn-environ"),
        **config.get_dict("distributed.nanny.environ"),
    }
    chosen = {name: str(value) for name, value in configured.items() if value is not None}
    chosen.setdefault("PYTHONHASHSEED", _HASH_SEED)
    given = {str(name): str(value) for name, value in (env or {}).items()}
    found = {**chosen, **os.environ, **given}
    return {name: value for name, value in found.items() if not _is_secret(name)}


def _is_secret(name: str) -> bool:
    """Whether a variable holds the secret, or a setting that dask takes from it."""
    if name.upper().startswith("DASK_"):
        return name[5:].lower().replace("__", ".") == _SETTING
    return name == VARIABLE


def modules_of(named: type | str) -> list[str]:
    """Return the modules of ours that a process needs which runs a class given by its name.

    Others are not for a template to import: they may start threads, which a fork does not have.
    """
    ours = isinstance(named, str) and named.startswith("shoal.")
    modules = [str(named).rpartition(".")[0]] if ours else []
    # Where this process has it, the others use it too.
    return [*modules, "uvloop"] if "uvloop" in sys.modules else modules


def worker_config(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the configuration of a worker's process: `given`, or this process's.

    Without the secret, which tasks would see: it travels with the worker's arguments.
    """
    found = dict(dask.config.config if given is None else given)
    ours = found.get("shoal")
    if isinstance(ours, dict) and ours.get("secret"):
        found["shoal"] = {**ours, "secret": None}
    return found
