"""The main function in the process of a local cluster's scheduler."""

from __future__ import annotations

import warnings
from typing import Any

from shoal._base.logs import quieten
from shoal._base.named_class import class_of
from shoal.nanny.child import Parent
from shoal.nanny.serving import run, serve
from shoal.scheduler.collecting import collect_for

__all__ = ["main"]


def main(parent: Parent, body: dict[str, Any]) -> int:
    """Run a scheduler until it closes.

    Parameters
    ----------
    parent : Parent
        The line to the cluster; it handed down the socket to listen on.
    body : dict
        ``scheduler_class`` (a class, or its ``module.name``), ``options`` (its keywords),
        ``silence_logs`` (a log level, or None).
    """
    if body["silence_logs"]:
        quieten(body["silence_logs"])

    # The cluster, in the user's process, warns of that.
    warnings.filterwarnings("ignore", message=r"Port \d+ is already in use")

    def make() -> Any:
        scheduler = class_of(body["scheduler_class"])(sockets=parent.sockets, **body["options"])
        collect_for(scheduler)
        return scheduler

    return run(serve(parent, make, describe))


def describe(scheduler: Any) -> dict[str, Any]:
    """Return what the cluster wants to know of a scheduler that is up."""
    return {"address": scheduler.address, "id": scheduler.id}
