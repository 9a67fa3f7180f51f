"""The web address of a cluster's pages, as people see it."""

from __future__ import annotations

import ipaddress
import logging
import os
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from shoal import config
from shoal.comm.addressing import get_address_host, parse_address
from shoal.comm.page_tokens import LINK, PageTokens, with_token

if TYPE_CHECKING:
    from shoal.comm.secret import Secret

__all__ = [
    "DEFAULT_PLACE",
    "dashboard_link",
    "is_loopback",
    "member_link",
    "parse_place",
    "warn_of_taken_port",
]

logger = logging.getLogger("shoal.http")

DEFAULT_PLACE = ":8787"

_HERE = ("ipc", "inproc")
_LOCAL = "127.0.0.1"


def dashboard_link(identity: Mapping[str, Any]) -> str:
    """Return where a scheduler's pages are, empty where it has none.

    `distributed.dashboard.link` is the template: it may name ``{scheme}``, ``{host}``, ``{port}``
    and variables of the environment.

    Parameters
    ----------
    identity : dict
        The scheduler's description of itself.
    """
    port = identity.get("services", {}).get("dashboard")
    if not port:
        return ""
    address = identity["address"]
    host = identity.get("dashboard_host", _LOCAL)
    # A scheduler that shows its pages to others shows them where it can be reached itself.
    if not is_loopback(host) and parse_address(address)[0] not in _HERE:
        host = get_address_host(address)
    template = config.get_str("distributed.dashboard.link")
    scheme = identity.get("dashboard_scheme", "http")
    names = {**os.environ, "scheme": scheme, "host": host, "port": port}
    try:
        return template.format(**names)
    except (KeyError, IndexError, ValueError) as error:
        return f"(distributed.dashboard.link is {template!r}: {error!r})"


def member_link(identity: Mapping[str, Any], secret: Secret | str | None) -> str:
    """Return the same link for a member of the cluster, with a token where the pages want one.

    They do where others can reach them, and where they are called by a name that is not theirs, as
    behind a hub.

    Parameters
    ----------
    identity : dict
        The scheduler's description of itself.
    secret : Secret or str, optional
        The cluster's; by default this user's own.
    """
    link = dashboard_link(identity)
    if not link or link.startswith("("):
        return link
    renamed = is_loopback(identity.get("dashboard_host", _LOCAL)) and not is_loopback(
        urlsplit(link).hostname
    )
    if not identity.get("dashboard_login") and not renamed:
        return link
    try:
        return with_token(link, PageTokens.configured(secret).make(LINK))
    except (OSError, ValueError) as error:  # the secret is no good; whoever needs it says so
        logger.debug("no token for the link: %s", error)
        return link


def is_loopback(host: str | None) -> bool:
    """Whether only this machine can reach what listens at a host."""
    if not host or host == "localhost":
        return bool(host)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


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
    """Say that the pages are not where they were asked for, or where people look for them."""
    wanted = parse_place(place)[1]
    if not wanted or wanted == port:
        return
    warnings.warn(
        f"Port {wanted} is already in use, perhaps by another cluster; the dashboard is at port "
        f"{port}. Ask for any free one with dashboard_address=':0'",
        stacklevel=2,
    )
