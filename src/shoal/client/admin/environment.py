"""`Client.upload_environment`: the local project on workers, and what differs there, said first."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from importlib import metadata
from typing import TYPE_CHECKING, Any

from shoal.client.admin.plugins import register_any
from shoal.client.admin.project import find_project
from shoal.client.admin.requests import run_on_workers
from shoal.plugins.builtin.environment import differing

if TYPE_CHECKING:
    from shoal.client.session.context import ClientContext

__all__ = ["upload_environment"]

logger = logging.getLogger("shoal.client")

_TOLD = 8  # packages that one warning names


async def upload_environment(
    client: ClientContext, folder: str | os.PathLike[str] | None, locked: bool
) -> dict[str, Any]:
    """Bring the local project to all workers; see `Client.upload_environment`."""
    plugin = await asyncio.to_thread(find_project, folder, locked)
    await register_any(client, plugin, idempotent=False)
    used = await asyncio.to_thread(imported_packages)
    versions = {name: each for name, each in plugin.versions.items() if name in used}
    found = await run_on_workers(client, differing, (versions,), {}) or {}
    differ = {address: packages for address, packages in found.items() if packages}
    if differ:
        address, packages = next(iter(differ.items()))
        told = [
            f"{name} {here} here, {there or 'missing'} there"
            for name, (here, there) in list(packages.items())[:_TOLD]
        ]
        more = len(packages) - len(told)
        logger.warning(
            "packages that this process has imported differ on %d of %d workers, such as %s: %s%s",
            len(differ),
            len(found),
            address,
            "; ".join(told),
            f"; and {more} more" if more > 0 else "",
        )
    return {"modules": plugin.modules, "digest": plugin.digest, "differ": differ}


def imported_packages() -> set[str]:
    """Return the names of installed packages of which this process has imported something."""
    packages = metadata.packages_distributions()
    return {each for name in list(sys.modules) for each in packages.get(name, ())}
