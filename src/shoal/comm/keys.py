"""Keys made of the cluster's secret, one way: none of them leads back to it (HKDF, RFC 5869).

Each role has a certificate authority of its own, whose private key is derived from the secret: who
holds the secret can be anything, who holds one role's key can be that role only, and knows of the
others what is needed to recognise them. Certificates are made in `certificates`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from shoal.comm.secret import ROLE_PREFIX, Secret

__all__ = [
    "EXPORTED",
    "LISTENERS",
    "ROLES",
    "Keys",
    "keys_of",
    "pages_key",
    "role_text",
    "scalar_of",
]

# "peer" is a process that holds the secret and did not name its role: users' calls and servers.
ROLES: Final = ("scheduler", "worker", "client", "peer")
LISTENERS: Final = ("scheduler", "worker", "peer")
# Roles whose keys can be handed out alone.
EXPORTED: Final = ("client", "worker")

# Of the curve P-256, which all authorities use.
_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_KEY = 32
_POINT = 33  # a point of P-256, compressed


@dataclass(frozen=True)
class Keys:
    """The keys that are derived from one secret.

    Attributes
    ----------
    knock : bytes
        Proves to a listener that it is worth its while to begin: see `handshake`.
    local : bytes
        Proves who belongs to the cluster on sockets that only one user can reach.
    plain : bytes or None
        Proves the same on networks where encryption is off. A holder of one role's secret lacks it.
    seeds : dict
        Private keys of authorities by role, as far as they are known.
    authorities : dict
        Public keys of authorities by role, where the private ones are not known.
    """

    knock: bytes = field(repr=False)
    local: bytes = field(repr=False)
    plain: bytes | None = field(repr=False)
    seeds: dict[str, bytes] = field(repr=False)
    authorities: dict[str, bytes] = field(repr=False)

    def role_for(self, role: str | None, listens: bool = False) -> str:
        """Return the role that this process can take when it is asked for one.

        Raises
        ------
        PermissionError
            When it is to listen in a role that its secret does not reach to.
        """
        wanted = role or "peer"
        if listens and wanted not in LISTENERS:
            wanted = "peer"
        if wanted in self.seeds:
            return wanted
        (own,) = self.seeds
        if listens:
            raise PermissionError(
                f"this process has the secret of the role {own!r}, with which it cannot listen as "
                f"{wanted!r}; it takes the cluster's own secret"
                + (", or that of the role 'worker'" if wanted == "worker" else "")
            )
        return own


@lru_cache(maxsize=32)
def keys_of(secret: Secret) -> tuple[Keys, ...]:
    """Return the keys of each secret, that of this process first.

    Raises
    ------
    ValueError
        When the secret of a role is none.
    """
    return tuple(map(_keys, secret.texts))


def _keys(text: str) -> Keys:
    if text.startswith(ROLE_PREFIX):
        return _keys_of_role(text)
    root = hmac.digest(b"shoal cluster secret", text.encode(), hashlib.sha256)
    seeds = {role: _expand(root, f"authority {role}") for role in ROLES}
    return Keys(_expand(root, "knock"), _expand(root, "local"), _expand(root, "plain"), seeds, {})


def _keys_of_role(text: str) -> Keys:
    role, _, encoded = text.removeprefix(ROLE_PREFIX).partition("-")
    try:
        content = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
    except (binascii.Error, ValueError):
        content = b""
    parts = [content[at : at + _KEY] for at in range(0, 3 * _KEY, _KEY)]
    points = content[3 * _KEY : -4]
    whole = len(points) == _POINT * len(ROLES)
    if role not in EXPORTED or not whole or content[-4:] != _sum(role, content[:-4]):
        raise ValueError(
            "the secret of a role is damaged: take all that 'shoal secret export' printed"
        )
    knock, local, seed = parts
    authorities = {each: points[at * _POINT : (at + 1) * _POINT] for at, each in enumerate(ROLES)}
    return Keys(knock, local, None, {role: seed}, authorities)


def role_text(keys: Keys, role: str, authorities: dict[str, bytes]) -> str:
    """Return the secret of one role as text.

    Parameters
    ----------
    keys : Keys
        Of the cluster's secret.
    role : str
        ``"client"`` or ``"worker"``.
    authorities : dict
        Public keys of all roles.
    """
    content = keys.knock + keys.local + keys.seeds[role]
    content += b"".join(authorities[each] for each in ROLES)
    content += _sum(role, content)
    return f"{ROLE_PREFIX}{role}-{base64.urlsafe_b64encode(content).rstrip(b'=').decode()}"


def pages_key(keys: Keys) -> bytes:
    """Return the key under which members admit each other's users to the pages over HTTP.

    Peers of that role have it, too: a peer that may connect may look.
    """
    return _expand(keys.knock, "pages")


def scalar_of(seed: bytes) -> int:
    """Return the number that is the private key of an authority (FIPS 186-5, A.2.1)."""
    return int.from_bytes(_expand(seed, "private key", 48)) % (_ORDER - 1) + 1


def _sum(role: str, content: bytes) -> bytes:
    """Of typing errors, not of forgery."""
    return hashlib.sha256(role.encode() + content).digest()[:4]


def _expand(key: bytes, label: str, size: int = _KEY) -> bytes:
    """HKDF-Expand of RFC 5869, for up to 255 blocks."""
    made = block = b""
    count = 1
    while len(made) < size:
        block = hmac.digest(key, block + label.encode() + bytes([count]), hashlib.sha256)
        made += block
        count += 1
    return made[:size]
