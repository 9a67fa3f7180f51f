"""Certificates for tests of encrypted clusters."""

from __future__ import annotations

from functools import cache
from typing import Any

from shoal.security import Security

__all__ = ["tls_config", "tls_only_security", "tls_security"]


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
