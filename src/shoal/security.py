"""Credentials of a peer, and how connections are encrypted: TLS certificates and the secret."""

from __future__ import annotations

import os
import ssl
import tempfile
from typing import Any, Final

from shoal import config
from shoal.comm.secret import Secret

__all__ = ["Security"]

_ROLES: Final = ("client", "scheduler", "worker")
_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}

# Attribute -> configuration key under `distributed.comm`.
_FIELDS: Final = {
    "tls_ca_file": "tls.ca-file",
    "tls_ciphers": "tls.ciphers",
    "tls_min_version": "tls.min-version",
    "tls_max_version": "tls.max-version",
    **{f"tls_{role}_{part}": f"tls.{role}.{part}" for role in _ROLES for part in ("key", "cert")},
}


class Security:
    """Certificates, and the cluster's secret.

    Values that are not given come from the configuration, ``distributed.comm.tls`` and
    ``distributed.comm.require-encryption``. Each certificate and key is the path of a file, or its
    text (PEM).

    Parameters
    ----------
    require_encryption : bool, optional
        Refuse connections over networks that are not encrypted.
    tls_ca_file : str, optional
        Certificates of the authorities that peers' certificates must come from.
    tls_ciphers : str, optional
        OpenSSL's cipher string.
    tls_min_version, tls_max_version : ssl.TLSVersion or float, optional
        TLS 1.2 or 1.3; the attributes are members of `ssl.TLSVersion`.
    tls_client_key, tls_client_cert : str, optional
        The client's private key and certificate.
    tls_scheduler_key, tls_scheduler_cert : str, optional
        The scheduler's.
    tls_worker_key, tls_worker_cert : str, optional
        The workers'.
    secret : str, optional
        The cluster's secret; by default that of this user (see `shoal.comm.secret`). Several are
        separated by blanks: this process's own first, then those it accepts, too.
    **extra_conn_args
        Handed on to connections.

    Examples
    --------
    >>> Security(tls_ca_file="ca.pem").tls_ca_file
    'ca.pem'
    """

    tls_ca_file: str | None
    tls_ciphers: str | None
    tls_min_version: ssl.TLSVersion | None
    tls_max_version: ssl.TLSVersion | None
    tls_client_key: str | None
    tls_client_cert: str | None
    tls_scheduler_key: str | None
    tls_scheduler_cert: str | None
    tls_worker_key: str | None
    tls_worker_cert: str | None

    def __init__(
        self,
        require_encryption: bool | None = None,
        *,
        secret: str | None = None,
        extra_conn_args: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        unknown = sorted(set(kwargs) - set(_FIELDS))
        if unknown:
            raise TypeError(
                f"Security does not know {', '.join(unknown)}; it knows require_encryption, "
                f"secret, extra_conn_args, {', '.join(_FIELDS)}"
            )
        for field, key in _FIELDS.items():
            value = kwargs.get(field)
            setattr(self, field, config.get(f"distributed.comm.{key}") if value is None else value)
        for field in ("tls_min_version", "tls_max_version"):
            setattr(self, field, _version(field, getattr(self, field)))
        if require_encryption is None:
            configured = config.get("distributed.comm.require-encryption")
            # A user who made certificates means them to be used.
            require_encryption = bool(self.tls_ca_file) if configured is None else bool(configured)
        self.require_encryption = require_encryption
        if secret is not None:
            Secret(secret.split())  # refuses a weak one here
        self.secret = secret
        self.extra_conn_args = dict(extra_conn_args or {})

    @classmethod
    def temporary(cls, **kwargs: Any) -> Security:
        """Return a new key and a certificate signed by itself, kept in memory only.

        Processes that have this object, or a copy, can talk to each other, and no others.
        """
        key, cert = _self_signed()
        given = {
            f"tls_{role}_{part}": value
            for role in _ROLES
            for part, value in (("key", key), ("cert", cert))
        }
        kwargs = {"require_encryption": True, "tls_ca_file": cert, **given, **kwargs}
        return cls(**kwargs)

    @classmethod
    def of(cls, given: Security | dict[str, Any] | bool | None) -> Security:
        """Return what users give as `security=`: one, its arguments, True for a temporary one,
        None.
        """
        if isinstance(given, Security):
            return given
        if given is True:
            return cls.temporary()
        if not given:
            return cls()
        if isinstance(given, dict):
            return cls(**given)
        raise TypeError(f"security is a Security or a dict of its arguments, not {given!r}")

    @property
    def encrypted(self) -> bool:
        """Whether there is what TLS needs."""
        return self.tls_ca_file is not None

    def get_tls_config_for_role(self, role: str) -> dict[str, Any]:
        """Return the TLS settings of ``"client"``, ``"scheduler"`` or ``"worker"``."""
        if role not in _ROLES:
            raise ValueError(f"the role is one of {', '.join(_ROLES)}, not {role!r}")
        return {
            "ca_file": self.tls_ca_file,
            "ciphers": self.tls_ciphers,
            "min_version": self.tls_min_version,
            "max_version": self.tls_max_version,
            "key": getattr(self, f"tls_{role}_key"),
            "cert": getattr(self, f"tls_{role}_cert"),
        }

    def get_connection_args(self, role: str, *expected: str) -> dict[str, Any]:
        """Return the arguments of `shoal.comm.connect` for a role.

        Parameters
        ----------
        role : str
            Of this process.
        *expected : str
            Roles that may answer; by default every one that listens.
        """
        args = self._args(role, ssl.Purpose.SERVER_AUTH)
        return {**args, "expected": expected} if expected else args

    def get_listen_args(self, role: str) -> dict[str, Any]:
        """Return the arguments of `shoal.comm.listen` for a role."""
        return self._args(role, ssl.Purpose.CLIENT_AUTH)

    def _args(self, role: str, purpose: ssl.Purpose) -> dict[str, Any]:
        tls = self.get_tls_config_for_role(role)
        args: dict[str, Any] = {
            "ssl_context": _context(tls, purpose, role) if tls["ca_file"] else None,
            "require_encryption": self.require_encryption,
            "extra_conn_args": self.extra_conn_args,
            "role": role,
        }
        if self.secret is not None:
            args["secret"] = Secret(self.secret.split())  # which does not print itself
        return args

    def __repr__(self) -> str:
        shown = [f"require_encryption={self.require_encryption}"]
        for field in _FIELDS:
            value = getattr(self, field)
            if value is not None:
                text = (
                    "in memory" if _is_pem(value) else getattr(value, "name", None) or repr(value)
                )
                shown.append(f"{field}={text}")
        return f"Security({', '.join(shown)})"


def _version(field: str, value: Any) -> ssl.TLSVersion | None:
    if value is None:
        return None
    if value in _VERSIONS.values():
        return ssl.TLSVersion(value)
    if str(value) not in _VERSIONS:
        raise ValueError(
            f"{field}={value!r} is not supported; use ssl.TLSVersion.TLSv1_2 or TLSv1_3 (or 1.2 "
            "or 1.3)"
        )
    return _VERSIONS[str(value)]


def _context(tls: dict[str, Any], purpose: ssl.Purpose, role: str) -> ssl.SSLContext:
    ca = tls["ca_file"]
    if not tls["cert"]:
        raise ValueError(
            f"TLS needs a certificate for the {role}: give Security(tls_{role}_cert=...), or "
            f"configure 'distributed.comm.tls.{role}.cert'"
        )
    for what, value in (("tls_ca_file", ca), (f"tls_{role}_cert", tls["cert"])):
        if not _is_pem(value) and not os.path.exists(value):
            raise FileNotFoundError(f"{what}: there is no file {value!r}")
    source: dict[str, Any] = {"cadata": ca} if _is_pem(ca) else {"cafile": ca}
    context = ssl.create_default_context(purpose=purpose, **source)
    # Certificates say what belongs to the cluster; names of hosts change too often to be in them.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = (
        _version("tls_min_version", tls["min_version"]) or ssl.TLSVersion.TLSv1_2
    )
    maximum = _version("tls_max_version", tls["max_version"])
    if maximum is not None:
        context.maximum_version = maximum
    if tls["ciphers"]:
        context.set_ciphers(tls["ciphers"])
    _load_certificate(context, tls["cert"], tls["key"])
    return context


def _load_certificate(context: ssl.SSLContext, cert: str, key: str | None) -> None:
    """Load a certificate and its key; OpenSSL reads files only, so text goes through a private
    one.
    """
    with tempfile.TemporaryDirectory() as folder:  # mode 0700
        paths = []
        for name, value in (("cert", cert), ("key", key)):
            if value is not None and _is_pem(value):
                path = os.path.join(folder, name)
                with open(path, "w") as file:
                    file.write(value)
                value = path
            paths.append(value)
        context.load_cert_chain(paths[0] or "", paths[1])


def _is_pem(value: Any) -> bool:
    return isinstance(value, str) and "-----BEGIN" in value


def _self_signed() -> tuple[str, str]:
    """Return a new private key and a certificate for it, as PEM."""
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "shoal-temporary")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))  # clocks differ
        .not_valid_after(now + datetime.timedelta(days=365))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("shoal-temporary")]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    return (
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
        certificate.public_bytes(serialization.Encoding.PEM).decode(),
    )
