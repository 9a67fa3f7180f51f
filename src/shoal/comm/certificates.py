"""Certificates that a process makes for itself, under the authorities of the cluster's secret.

The one place that needs `cryptography`, which is loaded when the first connection over a network is
made. Private keys are made for one process and never leave it.
"""

from __future__ import annotations

import contextlib
import os
import ssl
import tempfile
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Final

from shoal.comm.keys import LISTENERS, ROLES, Keys, role_text, scalar_of

__all__ = ["Identity", "export_role", "identity_of", "role_of_certificate"]

_REMEMBERED: Final = 1024


@dataclass(frozen=True)
class Identity:
    """The certificate that a process shows in one role, and the authorities it trusts.

    The side that accepts begins TLS as its client, so that it shows its certificate last: to who
    has shown a good one.

    Attributes
    ----------
    accepts : ssl.SSLContext
        For connections that others opened: any role may be at the other end.
    connects : ssl.SSLContext
        For connections that this process opens: who listens is at the other end.
    """

    accepts: ssl.SSLContext
    connects: ssl.SSLContext


_identities: dict[tuple[int, str], tuple[Keys, Identity]] = {}
# The roles of certificates that were checked: reconnecting peers show the same ones.
_roles: OrderedDict[tuple[int, bytes], str] = OrderedDict()


def _forget() -> None:
    _identities.clear()
    _roles.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)  # a child is another process, with its own key


def identity_of(keys: Keys, role: str) -> Identity:
    """Return this process's identity in a role; made at first use."""
    found = _identities.get((id(keys), role))
    if found is None or found[0] is not keys:
        found = _identities[id(keys), role] = (keys, _identity(keys, role))
    return found[1]


def _identity(keys: Keys, role: str) -> Identity:
    _, ec, _, serialization = _cryptography()
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate(f"shoal {role} process", role, key.public_key(), keys)
    pem = certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    with _as_file(pem) as path:
        return Identity(
            _context(ssl.PROTOCOL_TLS_CLIENT, path, _trusted(keys, ROLES)),
            _context(ssl.PROTOCOL_TLS_SERVER, path, _trusted(keys, LISTENERS)),
        )


def _context(protocol: int, path: str, authorities: str) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # certificates say which role, `handshake` says which address
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(path)
    context.load_verify_locations(cadata=authorities)
    if protocol == ssl.PROTOCOL_TLS_SERVER:
        context.num_tickets = 0  # connections are not resumed
    return context


def role_of_certificate(der: bytes, keys: Keys) -> str:
    """Return whose authority signed a certificate that TLS has found to be good.

    Raises
    ------
    ssl.SSLError
        When none did so itself: a chain of certificates is not enough.
    """
    known = (id(keys), der)
    role = _roles.get(known)
    if role is None:
        role = _signer(der, keys)
        _roles[known] = role
        if len(_roles) > _REMEMBERED:
            _roles.popitem(last=False)
    return role


def _signer(der: bytes, keys: Keys) -> str:
    x509, ec, _, _ = _cryptography()
    certificate = x509.load_der_x509_certificate(der)
    for role in ROLES:
        if certificate.issuer != _name(f"shoal {role}"):
            continue
        try:
            _public_key(keys, role).verify(
                certificate.signature,
                certificate.tbs_certificate_bytes,
                ec.ECDSA(certificate.signature_hash_algorithm),
            )
        except Exception as error:
            raise ssl.SSLError(f"the certificate is not signed by the {role} authority") from error
        return role
    raise ssl.SSLError("the certificate is signed by no authority of the cluster")


def export_role(keys: Keys, role: str) -> str:
    """Return a secret that is good for one role only."""
    _, _, _, serialization = _cryptography()
    points = {
        each: _public_key(keys, each).public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint
        )
        for each in ROLES
    }
    return role_text(keys, role, points)


# ---------------------------------------------------------------------- authorities


@lru_cache(maxsize=64)
def _private_key(seed: bytes) -> Any:
    _, ec, _, _ = _cryptography()
    return ec.derive_private_key(scalar_of(seed), ec.SECP256R1())


def _public_key(keys: Keys, role: str) -> Any:
    if role in keys.seeds:
        return _private_key(keys.seeds[role]).public_key()
    _, ec, _, _ = _cryptography()
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), keys.authorities[role])


def _trusted(keys: Keys, roles: tuple[str, ...]) -> str:
    """Return certificates of authorities as PEM. Only their key counts: OpenSSL does not
    look at the signature of a certificate that it was told to trust, so any key may make it.
    """
    _, _, _, serialization = _cryptography()
    return "".join(
        _certificate(f"shoal {role}", role, _public_key(keys, role), keys, authority=True)
        .public_bytes(serialization.Encoding.PEM)
        .decode()
        for role in roles
    )


def _certificate(
    subject: str, issuer: str, public_key: Any, keys: Keys, authority: bool = False
) -> Any:
    import datetime

    x509, ec, hashes, _ = _cryptography()
    seed = keys.seeds.get(issuer)
    signer = _private_key(seed) if seed is not None else ec.generate_private_key(ec.SECP256R1())
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(f"shoal {issuer}"))
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        # Clocks differ, and a process may live for years: it ends when its secret is replaced.
        .not_valid_before(datetime.datetime(2000, 1, 1))
        .not_valid_after(datetime.datetime(9999, 12, 31, 23, 59, 59))
        .add_extension(
            x509.BasicConstraints(ca=authority, path_length=0 if authority else None),
            critical=True,
        )
        .sign(signer, hashes.SHA256())
    )


@cache
def _name(text: str) -> Any:
    x509, _, _, _ = _cryptography()
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@cache
def _cryptography() -> tuple[Any, Any, Any, Any]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    return x509, ec, hashes, serialization


@contextlib.contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """OpenSSL reads files only: one in memory where there is such a thing."""
    if hasattr(os, "memfd_create") and os.path.exists("/proc/self/fd"):
        descriptor = os.memfd_create("shoal")
        try:
            os.write(descriptor, content)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
        return
    with tempfile.TemporaryDirectory() as folder:  # mode 0700
        path = os.path.join(folder, "certificate")
        with open(path, "wb") as file:
            file.write(content)
        yield path
