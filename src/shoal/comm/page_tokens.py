"""Tokens that admit people and scrapers to the pages over HTTP: made and checked here, by anybody
who knows the cluster's secret, with nothing to remember but those that count once.

Which page asks for one, and how it travels, is in `shoal.http`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Iterable
from typing import Final

from shoal import config
from shoal.comm.keys import keys_of, pages_key
from shoal.comm.secret import Secret, check_strength, cluster_secret

__all__ = ["BEARER", "LINK", "ONCE", "SESSION", "PageTokens", "with_token", "without_token"]

# Kinds, the first letter of a token. A link's token may be used again, a printed one may not:
# logs are read by others. A session is what a browser is given for either.
LINK: Final = "l"
ONCE: Final = "o"
SESSION: Final = "s"
BEARER: Final = "b"

_SECONDS: Final = 12 * 3600.0
_MARK: Final = "token="


class PageTokens:
    """Makes tokens, and tells good ones.

    Parameters
    ----------
    keys : iterable of bytes
        Tokens are made under the first; those made under the others are good as well.
    given : str, optional
        A token that the configuration names, which is good for ever.
    clock : callable, optional
        Returns seconds since the epoch.

    Examples
    --------
    >>> tokens = PageTokens([b"key"])
    >>> tokens.check(tokens.make("l"))
    'l'
    >>> PageTokens([b"another"]).check(tokens.make("l")) is None
    True
    """

    def __init__(
        self,
        keys: Iterable[bytes],
        given: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys = tuple(keys)
        self._clock = clock
        self._used: dict[str, float] = {}  # tokens that counted once, until when they would
        self._bearers = [_signed(key, "bearer") for key in self._keys]
        if given is not None:
            self._bearers.insert(0, given)

    @classmethod
    def configured(cls, secret: Secret | str | None = None) -> PageTokens:
        """Return those of the cluster's secret, and of ``shoal.dashboard.token``.

        Raises
        ------
        ValueError
            When the configured token could be guessed.
        """
        given = config.get_optional_str("shoal.dashboard.token")
        if given is not None:
            try:
                check_strength(given)
            except ValueError:
                raise ValueError(
                    "'shoal.dashboard.token' is too weak: make one with 'shoal secret new'"
                ) from None
        known = keys_of(cluster_secret(secret))
        return cls([pages_key(keys) for keys in known], given)

    @property
    def bearer(self) -> str:
        """The token of scrapers and programs: ``Authorization: Bearer ...``."""
        return self._bearers[0]

    def make(self, kind: str, seconds: float = _SECONDS) -> str:
        """Return a new token of a kind that is good for so long."""
        head = f"{kind}-{int(self._clock() + seconds):x}-{secrets.token_hex(8)}"
        return f"{head}-{_signed(self._keys[0], head)}"

    def check(self, token: str) -> str | None:
        """Return the kind of a token that is good, else None."""
        known = token.encode("utf-8", "replace")
        # All are compared, so that the time says nothing.
        same = [hmac.compare_digest(known, each.encode()) for each in self._bearers]
        if any(same):
            return BEARER
        head, _, signature = token.rpartition("-")
        parts = head.split("-")
        found = signature.encode("utf-8", "replace")
        good = [hmac.compare_digest(found, _signed(key, head).encode()) for key in self._keys]
        if not any(good) or len(parts) != 3 or int(parts[1], 16) < self._clock():
            return None
        return parts[0] if parts[0] != ONCE or self._first_time(token, int(parts[1], 16)) else None

    def _first_time(self, token: str, until: float) -> bool:
        now = self._clock()
        self._used = {each: end for each, end in self._used.items() if end >= now}
        if token in self._used:
            return False
        self._used[token] = until
        return True


def _signed(key: bytes, text: str) -> str:
    # Without "-", by which a token's parts are told.
    digest = hmac.digest(key, text.encode("utf-8", "replace"), hashlib.sha256)
    return base64.b32encode(digest).decode().rstrip("=").lower()


def with_token(link: str, token: str) -> str:
    """Return a link with a token.

    Examples
    --------
    >>> with_token("http://lake:8787/status", "abc")
    'http://lake:8787/status?token=abc'
    """
    return f"{link}{'&' if '?' in link else '?'}{_MARK}{token}"


def without_token(link: str) -> str:
    """Return a link as it may be logged.

    Examples
    --------
    >>> without_token("http://lake:8787/status?token=abc")
    'http://lake:8787/status'
    """
    head, mark, _ = link.rpartition(_MARK)
    return head[:-1] if mark else link
