"""The web address of a cluster's pages, as people see it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from shoal import config
from shoal.comm.addressing import get_address_host, parse_address

__all__ = ["dashboard_link"]

_HERE = ("ipc", "inproc")
_LOCAL = "127.0.0.1"
_LOOPBACK = (_LOCAL, "localhost", "::1")


def dashboard_link(identity: Mapping[str, Any]) -> str:
    """Return where a scheduler's pages are, empty where it has none.

    `distributed.dashboard.link` is the template: it may name ``{scheme}``, ``{host}``, ``{port}``
    and variables of the environment.

    Parameters
    ----------
    identity : dict
        What the scheduler says of itself.
    """
    port = identity.get("services", {}).get("dashboard")
    if not port:
        return ""
    address = identity["address"]
    host = identity.get("dashboard_host", _LOCAL)
    # A scheduler that shows its pages to others shows them where it can be reached itself.
    if host not in _LOOPBACK and parse_address(address)[0] not in _HERE:
        host = get_address_host(address)
    template = config.get_str("distributed.dashboard.link")
    names = {**os.environ, "scheme": "http", "host": host, "port": port}
    try:
        return template.format(**names)
    except (KeyError, IndexError, ValueError) as error:
        return f"(distributed.dashboard.link is {template!r}: {error!r})"
