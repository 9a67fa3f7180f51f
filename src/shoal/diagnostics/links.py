"""The web address of a cluster's pages, as people see it."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Mapping
from typing import Any

from shoal import config
from shoal.comm.addressing import get_address_host, parse_address

__all__ = ["DEFAULT_PLACE", "dashboard_link", "parse_place", "warn_of_taken_port"]

logger = logging.getLogger("shoal.http")

DEFAULT_PLACE = ":8787"

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


def parse_place(place: str | int) -> tuple[str, int]:
    """Return host and port of ``8787``, ``":8787"`` or ``"host:8787"``.

    Without a host it is this machine's own address, which others cannot reach.
    """
    host, _, port = str(place).strip().removeprefix("http://").rpartition(":")
    try:
        number = int(port or 0)
        if not 0 <= number <= 65535:
            raise ValueError
    except ValueError:
        raise ValueError(
            f"dashboard_address must be 'host:port', ':port' or a port (0 to 65535), got {place!r}"
        ) from None
    return host.removeprefix("[").removesuffix("]") or _LOCAL, number


def warn_of_taken_port(place: str | int, port: int) -> None:
    """Say that the pages are not where they were asked for.

    Who did not ask for a place gets no warning: a second cluster on a machine is nothing odd.
    """
    wanted = parse_place(place)[1]
    if not wanted or wanted == port:
        return
    said = f"Port {wanted} is already in use, perhaps by another cluster; the dashboard is at"
    if place == DEFAULT_PLACE:
        logger.info("%s port %d", said, port)
    else:
        hint = "Ask for any free one with dashboard_address=':0'"
        warnings.warn(f"{said} port {port}. {hint}", stacklevel=2)
