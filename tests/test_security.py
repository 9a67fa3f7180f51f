"""Certificates from arguments, configuration and memory."""

from __future__ import annotations

import pickle
import ssl
from pathlib import Path

import dask
import pytest

from shoal import Security

SECRET = "0123456789abcdef" * 2


def test_nothing_given_is_plain() -> None:
    security = Security()
    assert not security.encrypted and not security.require_encryption
    args = security.get_connection_args("client")
    assert args["ssl_context"] is None and "secret" not in args


def test_configuration_and_arguments(tmp_path: Path) -> None:
    made = Security.temporary()
    for name in ("ca", "key", "cert"):
        text = made.tls_worker_key if name == "key" else made.tls_worker_cert
        (tmp_path / f"{name}.pem").write_text(str(text))
    tls = {
        "distributed.comm.tls.ca-file": str(tmp_path / "ca.pem"),
        "distributed.comm.tls.worker.cert": str(tmp_path / "cert.pem"),
        "distributed.comm.tls.worker.key": str(tmp_path / "key.pem"),
        "distributed.comm.tls.min-version": 1.3,
    }
    with dask.config.set(tls):
        security = Security()
        assert security.require_encryption  # certificates are meant to be used
        context = security.get_listen_args("worker")["ssl_context"]
        assert context.minimum_version is ssl.TLSVersion.TLSv1_3
        for given in (1.2, "1.2", ssl.TLSVersion.TLSv1_2):
            assert Security(tls_min_version=given).tls_min_version is ssl.TLSVersion.TLSv1_2
        assert Security(require_encryption=False).require_encryption is False
        with pytest.raises(
            ValueError, match=r"TLS needs a certificate for the client: give .*cert"
        ):
            security.get_connection_args("client")
        config = security.get_tls_config_for_role("worker")
        assert config["cert"] == str(tmp_path / "cert.pem")


def test_temporary_ones_travel_and_hide_their_keys() -> None:
    security = pickle.loads(pickle.dumps(Security.temporary(secret=SECRET)))
    assert security.encrypted and security.require_encryption
    assert "PRIVATE" not in repr(security) and "in memory" in repr(security)
    for role in ("client", "scheduler", "worker"):
        args = security.get_connection_args(role)
        assert args["ssl_context"].verify_mode is ssl.CERT_REQUIRED
        assert args["secret"].reveal() == SECRET and args["require_encryption"]


@pytest.mark.parametrize(
    ("kwargs", "error", "match"),
    [
        ({"tls_ca": "x"}, TypeError, "does not know tls_ca; it knows .*tls_ca_file"),
        ({"tls_min_version": 1.1}, ValueError, "tls_min_version=1.1 is not supported"),
        ({"tls_max_version": ssl.TLSVersion.TLSv1}, ValueError, "is not supported"),
    ],
)
def test_bad_arguments_are_named(kwargs: dict, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        Security(**kwargs)


def test_missing_files_and_roles_are_named() -> None:
    security = Security(tls_ca_file="/nowhere/ca.pem", tls_client_cert="/nowhere/cert.pem")
    with pytest.raises(FileNotFoundError, match=r"tls_ca_file: .*'/nowhere/ca\.pem'"):
        security.get_connection_args("client")
    with pytest.raises(ValueError, match="the role is one of client, scheduler, worker"):
        security.get_connection_args("boss")


def test_what_users_give_as_security() -> None:
    security = Security()
    assert Security.of(security) is security
    assert Security.of({"secret": SECRET}).secret == SECRET
    assert Security.of(None).tls_ca_file is None
    assert Security.of(True).encrypted
    with pytest.raises(TypeError, match="security is a Security or a dict"):
        Security.of("yes")  # type: ignore[arg-type]
