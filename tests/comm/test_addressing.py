"""Addresses are taken apart and put together; third parties bring schemes of their own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import pytest
from helpers import run

from shoal.comm import (
    Backend,
    Comm,
    Listener,
    connect,
    get_address_host,
    get_address_host_port,
    get_backend,
    get_local_address_for,
    listen,
    normalize_address,
    parse_address,
    parse_host_port,
    register_backend,
    resolve_address,
    unparse_address,
    unparse_host_port,
)
from shoal.comm.registry import backends


@pytest.mark.parametrize(
    ("address", "parsed"),
    [
        ("tcp://127.0.0.1:80", ("tcp", "127.0.0.1:80")),
        ("127.0.0.1:80", ("tcp", "127.0.0.1:80")),
        ("tls://[::1]:80", ("tls", "[::1]:80")),
        ("tcp://", ("tcp", "")),
        ("inproc://1.2.3.4/5/6", ("inproc", "1.2.3.4/5/6")),
        ("ipc:///tmp/x", ("ipc", "/tmp/x")),
        ("zzz://", ("zzz", "")),
    ],
)
def test_parse_and_unparse(address: str, parsed: tuple[str, str]) -> None:
    assert parse_address(address) == parsed
    assert unparse_address(*parsed) == normalize_address(address)


def test_strict_parsing_and_wrong_types() -> None:
    with pytest.raises(ValueError, match="has no scheme"):
        parse_address("127.0.0.1:80", strict=True)
    with pytest.raises(TypeError, match="expected an address as str"):
        parse_address(8786)  # type: ignore[arg-type]


def test_the_default_scheme_is_configuration() -> None:
    with dask.config.set({"distributed.comm.default-scheme": "tls"}):
        assert normalize_address("localhost:1") == "tls://localhost:1"


@pytest.mark.parametrize(
    ("text", "default", "expected"),
    [
        ("host:80", None, ("host", 80)),
        ("[::1]:80", None, ("::1", 80)),
        (":80", None, ("", 80)),
        ("host", 5, ("host", 5)),
        ("[::1]", 5, ("::1", 5)),
        ("tcp://host:80", None, ("host", 80)),
    ],
)
def test_host_and_port(text: str, default: int | None, expected: tuple[str, int]) -> None:
    assert parse_host_port(text, default) == expected


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("host", "has no port"),
        ("host:http", "'http' .* is not a port"),
        ("host:65536", "'65536' .* is not a port"),
        ("host:-1", "'-1' .* is not a port"),
        ("::1:80", "in brackets"),
        ("[::1", "does not close"),
    ],
)
def test_bad_hosts_and_ports_are_named(text: str, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        parse_host_port(text)


def test_unparse_host_port() -> None:
    assert unparse_host_port("::1", 80) == "[::1]:80"
    assert unparse_host_port("[::1]", 80) == "[::1]:80"
    assert unparse_host_port("host") == "host"


def test_hosts_of_addresses() -> None:
    assert get_address_host("tcp://1.2.3.4:80") == "1.2.3.4"
    assert get_address_host("tls://[::1]:80") == "::1"
    assert get_address_host("inproc://1.2.3.4/5/6") == "1.2.3.4"
    assert get_address_host_port("tcp://1.2.3.4:80") == ("1.2.3.4", 80)
    with pytest.raises(ValueError, match="'inproc' have no host and port"):
        get_address_host_port("inproc://1.2.3.4/5/6")


def test_resolving_and_local_addresses() -> None:
    assert resolve_address("tcp://localhost:80") in ("tcp://127.0.0.1:80", "tcp://[::1]:80")
    assert resolve_address("inproc://x/1/2") == "inproc://x/1/2"
    assert get_local_address_for("tcp://127.0.0.1:80") == "tcp://127.0.0.1"
    assert get_local_address_for("inproc://x/1/2").startswith("inproc://")
    with pytest.raises(OSError, match=r"'nowhere\.invalid' does not resolve"):
        resolve_address("tcp://nowhere.invalid:80")


def test_an_unknown_scheme_lists_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"unknown address scheme 'tpc'; known schemes are .*tcp"):
        get_backend("tpc")


class Loud(Backend):
    """Another name for `inproc`."""

    def get_connector(self) -> Any:
        return get_backend("inproc").get_connector()

    def get_listener(self, loc: str, handle: Any, deserialize: bool, **args: Any) -> Listener:
        return get_backend("inproc").get_listener(loc, handle, deserialize, **args)

    def get_address_host(self, loc: str) -> str:
        return "loud"

    def resolve_address(self, loc: str) -> str:
        return loc

    def get_local_address_for(self, loc: str) -> str:
        return loc


@pytest.fixture
def _no_loud() -> Iterator[None]:
    yield
    backends.pop("loud", None)


@pytest.mark.usefixtures("_no_loud")
def test_a_scheme_of_ones_own_by_call() -> None:
    register_backend("loud", Loud())
    with pytest.raises(TypeError, match="expected a Backend"):
        register_backend("loud", Loud)  # type: ignore[arg-type]

    async def main() -> Any:
        async def echo(comm: Comm) -> None:
            await comm.write(await comm.read())

        async with listen("loud://here", echo):
            comm = await connect("loud://here")
            await comm.write("hey")
            return await comm.read()

    assert run(main()) == "hey"


@pytest.mark.usefixtures("_no_loud")
def test_a_scheme_of_ones_own_by_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "loud-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: loud\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[distributed.comm.backends]\nloud = loud_backend:Loud\n"
    )
    (tmp_path / "loud_backend.py").write_text("from tests.comm.test_addressing import Loud\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert get_address_host("loud://x") == "loud"
    sys.modules.pop("loud_backend", None)
