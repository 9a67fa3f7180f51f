"""Configuration, environment and modules as a block needs them, and what this host can do."""

from __future__ import annotations

import copy
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import dask.config
import pytest
import yaml

from shoal.testing.leaks import reset_config

__all__ = [
    "config_for_cluster_tests",
    "has_ipv6",
    "new_config",
    "new_config_file",
    "new_environment",
    "requires_ipv6",
    "save_sys_modules",
]

_QUICK = {
    "distributed.admin.tick.interval": "500 ms",
    "distributed.comm.timeouts.connect": "5s",
    "distributed.scheduler.validate": True,
    "distributed.worker.validate": True,
    "distributed.worker.profile.enabled": False,
}


@contextmanager
def config_for_cluster_tests(**extra_config: Any) -> Iterator[None]:
    """Run a block with the configuration of tests: short times, checked states, no profiles.

    Parameters
    ----------
    **extra_config
        More of it.
    """
    reset_config()
    with dask.config.set({**_QUICK, **extra_config}):
        yield


@contextmanager
def new_config(new_config: dict[str, Any]) -> Iterator[None]:
    """Run a block with more configuration, and bring back what was there before."""
    before = copy.deepcopy(dask.config.config)
    try:
        dask.config.set(new_config)
        yield
    finally:
        dask.config.config.clear()
        dask.config.config.update(before)


@contextmanager
def new_environment(changes: dict[str, Any]) -> Iterator[None]:
    """Run a block with other variables of the environment; `None` takes one away."""
    before = dict(os.environ)
    try:
        for name, value in changes.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = str(value)
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def new_config_file(c: dict[str, Any]) -> Iterator[str]:
    """Run a block with a configuration file, which child processes read too.

    Yields
    ------
    str
        The folder of the file.
    """
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "new.yaml"), "w") as file:
            yaml.dump(c, file)
        with new_environment({"DASK_CONFIG": folder}), new_config({}):
            dask.config.refresh(paths=[folder])
            yield folder


@contextmanager
def save_sys_modules() -> Iterator[None]:
    """Run a block, and have `sys.modules` and `sys.path` be as before."""
    modules, path = sys.modules.copy(), sys.path[:]
    try:
        yield
    finally:
        sys.path[:] = path
        for name in [name for name in sys.modules if name not in modules]:
            del sys.modules[name]
        sys.modules.update(modules)


@cache
def has_ipv6() -> bool:
    """Return whether this host can listen on its own address of IPv6."""
    if not socket.has_ipv6:
        return False
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


def requires_ipv6(test_func: Callable[..., Any]) -> Callable[..., Any]:
    """Skip a test where there is no IPv6."""
    marked: Callable[..., Any] = pytest.mark.skipif(not has_ipv6(), reason="needs IPv6")(test_func)
    return marked
