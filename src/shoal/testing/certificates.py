"""Certificates for tests of encrypted clusters."""

from __future__ import annotations

import atexit
import os
import shutil
import ssl
import tempfile
from functools import cache
from typing import Any

from shoal.security import Security

__all__ = [
    "get_cert",
    "get_client_ssl_context",
    "get_server_ssl_context",
    "tls_config",
    "tls_only_security",
    "tls_security",
]

_CA, _CERT, _KEY = "tls-ca-cert.pem", "tls-cert.pem", "tls-key.pem"


@cache
def tls_security() -> Security:
    """Return certificates of a cluster, the same for the whole process."""
    return Security.temporary(require_encryption=False)


@cache
def tls_only_security() -> Security:
    """Return the certificates of `tls_security`, with which nothing goes unencrypted."""
    given = tls_security()
    fields = {name: value for name, value in vars(given).items() if name.startswith("tls_")}
    return Security(require_encryption=True, **fields)


def tls_config() -> dict[str, Any]:
    """Return the configuration that says the same as `tls_security`, for `dask.config.set`."""
    given = tls_security()
    config = {"distributed.comm.tls.ca-file": given.tls_ca_file}
    for role in ("client", "scheduler", "worker"):
        for part in ("cert", "key"):
            value = given.get_tls_config_for_role(role)[part]
            config[f"distributed.comm.tls.{role}.{part}"] = value
    return config


def get_cert(filename: str) -> str:
    """Return the path of a file with certificates of `tls_security`, or others.

    Parameters
    ----------
    filename : str
        ``tls-ca-cert.pem``; ``tls-cert.pem``, ``tls-key.pem``, and ``tls-key-cert.pem`` with both;
        ``tls-self-signed-cert.pem`` and ``tls-self-signed-key.pem``, which the authority of the
        first does not know.

    Examples
    --------
    >>> os.path.basename(get_cert("tls-cert.pem"))
    'tls-cert.pem'
    """
    path = os.path.join(_folder(), filename)
    if not os.path.exists(path):
        raise FileNotFoundError(f"there is no {filename!r}, only {sorted(os.listdir(_folder()))}")
    return path


@cache
def _folder() -> str:
    folder = tempfile.mkdtemp(prefix="shoal-certificates-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    ours, others = tls_security(), Security.temporary()
    cert, key = str(ours.tls_worker_cert), str(ours.tls_worker_key)
    texts = {
        _CA: str(ours.tls_ca_file),
        _CERT: cert,
        _KEY: key,
        "tls-key-cert.pem": key + cert,
        "tls-self-signed-cert.pem": str(others.tls_worker_cert),
        "tls-self-signed-key.pem": str(others.tls_worker_key),
    }
    for name, text in texts.items():
        with open(os.path.join(folder, name), "w") as file:
            file.write(text)
    return folder


def get_server_ssl_context(
    certfile: str = _CERT, keyfile: str = _KEY, ca_file: str = _CA
) -> ssl.SSLContext:
    """Return a context for listening with files of `get_cert`."""
    return _context(ssl.Purpose.CLIENT_AUTH, certfile, keyfile, ca_file)


def get_client_ssl_context(
    certfile: str = _CERT, keyfile: str = _KEY, ca_file: str = _CA
) -> ssl.SSLContext:
    """Return a context for connecting with files of `get_cert`."""
    return _context(ssl.Purpose.SERVER_AUTH, certfile, keyfile, ca_file)


def _context(purpose: ssl.Purpose, certfile: str, keyfile: str, ca_file: str) -> ssl.SSLContext:
    context = ssl.create_default_context(purpose, cafile=get_cert(ca_file))
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(get_cert(certfile), get_cert(keyfile))
    return context
