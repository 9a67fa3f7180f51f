"""From a client's arguments to a scheduler to connect to, and what is needed to do so."""

from __future__ import annotations

import asyncio
import importlib
from typing import TYPE_CHECKING, Any

import dask.config

from shoal import config
from shoal.comm.addressing import normalize_address
from shoal.comm.endpoints import read_scheduler_file
from shoal.preloading import Preloads
from shoal.security import Security

if TYPE_CHECKING:
    from shoal.client.session.context import ClientContext

__all__ = ["Target", "load_security", "make_local_cluster", "shares_loop", "start_preloads"]


class Target:
    """The server that a client is to connect to: an address, a scheduler file, or a cluster.

    Raises
    ------
    TypeError
        When the arguments contradict each other.
    """

    def __init__(self, address: Any, scheduler_file: str | None, kwargs: dict[str, Any]) -> None:
        if address is not None and scheduler_file is not None:
            raise TypeError("give an address or scheduler_file=, not both")
        if address is None and scheduler_file is None:
            address = dask.config.get("scheduler-address", default=None)
            scheduler_file = dask.config.get("scheduler-file", default=None)
        self.file = scheduler_file if address is None else None
        self.address: str | None = None
        self.cluster: Any = None
        if isinstance(address, tuple) and len(address) == 2:
            address = f"{address[0]}:{address[1]}"
        if isinstance(address, str):
            self.address = normalize_address(address)
        elif hasattr(address, "scheduler_address"):
            self.cluster = address
        elif address is not None:
            raise TypeError(
                "a client connects to an address such as 'tcp://127.0.0.1:8786' or a cluster "
                f"object, got the {type(address).__name__} {address!r}"
            )
        self.is_own = self.address is None and self.cluster is None and self.file is None
        if kwargs and not self.is_own:
            names = ", ".join(sorted(kwargs))
            raise TypeError(
                f"Client does not know {names}; further keywords are those of LocalCluster and "
                "only go with a client that starts one, without an address"
            )

    async def find(self, timeout: float) -> tuple[str, str | None]:
        """Return the scheduler's address, and a secret that came with it."""
        if self.cluster is not None:
            if getattr(self.cluster, "_asynchronous", False) and hasattr(self.cluster, "__await__"):
                await self.cluster
            return normalize_address(str(self.cluster.scheduler_address)), None
        if self.file is not None:
            # It waits for the file, so it blocks.
            return await asyncio.to_thread(read_scheduler_file, self.file, timeout)
        assert self.address is not None
        return self.address, None

    def __str__(self) -> str:
        if self.cluster is not None:
            return str(getattr(self.cluster, "name", self.cluster))
        return str(self.address or self.file or "a local cluster")


def make_local_cluster(**kwargs: Any) -> Any:
    """Start a `LocalCluster`."""
    # Clusters are built upon clients. That a client without an address makes a cluster is the one
    # step up, so it is made when asked for, by name.
    return importlib.import_module("shoal.deploy.local").LocalCluster(**kwargs)


def shares_loop(cluster: Any, asynchronous: bool) -> bool:
    """Whether a client lives on the loop of the cluster that it was given.

    A client that is used from coroutines lives on their loop, which for a cluster that is used
    from ordinary code is another.
    """
    return not asynchronous or bool(getattr(cluster, "_asynchronous", True))


def load_security(given: Any, target: Target, cluster: Any) -> Security:
    """Return the `Security` of a client's arguments.

    `given` is a `Security`, a dict of its arguments, or `None`: then it is the cluster's, or what
    ``distributed.client.security-loader`` returns, or that of the configuration.
    """
    if given is True or given is None or given is False:
        of_cluster = getattr(cluster, "security", None)
        if isinstance(of_cluster, Security):
            return of_cluster
        if given is True:
            raise TypeError("security=True makes certificates for a new cluster; here is none")
        loader = config.get_optional_str("distributed.client.security-loader")
        if loader is None:
            return Security()
        module, _, name = loader.rpartition(".")
        given = getattr(importlib.import_module(module), name)({"address": target.address})
        return Security() if given is None else load_security(given, target, cluster)
    if isinstance(given, dict):
        return Security(**given)
    if hasattr(given, "get_connection_args"):
        security: Security = given
        return security
    raise TypeError(f"security= takes a Security, got the {type(given).__name__} {given!r}")


async def start_preloads(client: ClientContext) -> Preloads | None:
    """Run the preloads of clients, where the configuration has some."""
    names = config.get_list("distributed.client.preload")
    if not names:
        return None
    preloads = Preloads(client, names, config.get_list("distributed.client.preload-argv"))
    await preloads.start()
    return preloads
