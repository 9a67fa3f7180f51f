"""Which visitors may see the pages: on this machine all, elsewhere those who logged in.

Decisions only; what a visitor is answered is in `handler`.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Callable
from functools import cached_property
from urllib.parse import urlsplit

from shoal import config
from shoal.comm.page_tokens import BEARER, PageTokens
from shoal.diagnostics.links import is_loopback

__all__ = ["Admission", "is_called_rightly"]


class Admission:
    """The rules by which a server of pages admits visitors.

    Parameters
    ----------
    host : str
        Where the pages listen.
    make_tokens : callable
        Returns the tokens; called when somebody shows one first.

    Attributes
    ----------
    needs_login : bool
        Whether pages are for those who logged in only.
    open : frozenset of str
        Paths, without the prefix, that are for everybody all the same.
    """

    def __init__(self, host: str, make_tokens: Callable[[], PageTokens]) -> None:
        self._make_tokens = make_tokens
        self._local = is_loopback(host)
        self.needs_login = _login_wanted(host)
        self.open = frozenset(
            "/" + str(path).strip("/") for path in config.get_list("shoal.dashboard.open")
        )
        self._trusted = _networks(config.get_list("shoal.dashboard.trusted"))
        more = config.get_list("shoal.dashboard.hosts")
        if os.environ.get("JUPYTERHUB_SERVICE_PREFIX"):
            # Its own login is in front, its proxy hands on its name, and browsers are elsewhere.
            more = [*more, "*"]
        self._names = {str(name).lower() for name in (host, socket.gethostname(), *more)}

    @cached_property
    def tokens(self) -> PageTokens:
        """The tokens that are good for a login."""
        return self._make_tokens()

    def check(self, token: str | None) -> str | None:
        """Return the kind of a token that a visitor showed, None where it is not good."""
        return self.tokens.check(token) if token else None

    def is_trusted_program(self, path: str, address: str | None, origin: str | None) -> bool:
        """Whether a request is one of a program of a network that may call the API as it is.

        Kubernetes' operator for dask has no way to send a token. Browsers name where a request
        that changes something comes from, and are no programs.

        Parameters
        ----------
        path : str
            Without the prefix.
        address : str or None
            Where the connection comes from.
        origin : str or None
            The page that it comes from.
        """
        if not self._trusted or origin is not None or not path.startswith("/api/v1"):
            return False
        try:
            found = ipaddress.ip_address((address or "").removeprefix("::ffff:"))
        except ValueError:
            return False
        return any(found in network for network in self._trusted)

    def is_called_rightly(self, name: str) -> bool:
        """Whether pages may answer who calls them by a name and did not log in."""
        return not self._local or is_called_rightly(name, self._names)

    def may_change(self, origin: str | None, host: str, kind: str | None) -> bool:
        """Whether a request that changes something comes from pages of this server, or a program.

        Browsers name the page that a request comes from, and send along what they were given.
        """
        return kind == BEARER or origin is None or urlsplit(origin).netloc == host


def _networks(given: list[object]) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    try:
        return [ipaddress.ip_network(str(each)) for each in given]
    except ValueError as error:
        raise ValueError(
            f"'shoal.dashboard.trusted' has networks such as 10.0.0.0/8: {error}"
        ) from None


def _login_wanted(host: str) -> bool:
    """Whether pages that listen at a host are for those who logged in only."""
    login = config.get("shoal.dashboard.login")
    if login != "auto":
        return config.get_bool("shoal.dashboard.login")
    return not is_loopback(host)


def is_called_rightly(name: str, names: set[str]) -> bool:
    """Whether the ``Host`` of a request is a name of ours.

    A page of elsewhere can have its own name lead here and read what is answered (DNS rebinding);
    the browser then still says that name. Numbers cannot be made to lead elsewhere.
    """
    name = name.lower().rstrip(".")
    if name in names or name == "localhost" or name.endswith(".localhost") or "*" in names:
        return True
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True
