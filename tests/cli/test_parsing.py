"""Values of options."""

from __future__ import annotations

import click
import pytest

from shoal.cli.parsing import Duration, MemoryLimitType, parse_ports, parse_resources
from shoal.cli.worker import places


@pytest.mark.parametrize(
    ("text", "resources"),
    [
        ("GPU=2", {"GPU": 2.0}),
        ("GPU=2 mem=1e9", {"GPU": 2.0, "mem": 1e9}),
        (" GPU=2,mem=1e9 ", {"GPU": 2.0, "mem": 1e9}),
        ("a=0.5, b=0", {"a": 0.5, "b": 0.0}),
    ],
)
def test_resources(text, resources):
    assert parse_resources(text) == resources


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("GPU", "'GPU' is not NAME=NUMBER"),
        ("GPU=two", "'GPU=two' is not NAME=NUMBER"),
        ("GPU=2 =3", "'=3' is not NAME=NUMBER"),
        ("GPU = 2", "'GPU' is not NAME=NUMBER"),
        ("GPU=-1", "'GPU=-1' is not NAME=NUMBER"),
        ("GPU=nan", "'GPU=nan'"),
        ("GPU=inf", "'GPU=inf'"),
        ("", "'' is not NAME=NUMBER"),
        ("a=1 a=2", "resource 'a' is given twice"),
    ],
)
def test_bad_resources_are_named(text, named):
    with pytest.raises(ValueError, match=named):
        parse_resources(text)


@pytest.mark.parametrize(
    ("ports", "found"),
    [
        (None, [None]),
        ("", [None]),
        (23, [23]),
        ("23", [23]),
        ("0", [0]),
        ("23:26", [23, 24, 25, 26]),
        ("23:23", [23]),
    ],
)
def test_ports(ports, found):
    assert parse_ports(ports) == found


@pytest.mark.parametrize("ports", ["x", "26:23", "23:", ":23", "70000", "-1", "1:2:3", "1.5"])
def test_bad_ports_are_named(ports):
    with pytest.raises(ValueError, match="is not a port or a range of ports"):
        parse_ports(ports)


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("2 minutes", 120), ("1.5", 1.5)])
def test_durations(text, seconds):
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["soon", "-1s", "5 parsecs", "", "inf"])
def test_bad_durations_are_named(text):
    with pytest.raises(click.BadParameter, match="is not a duration"):
        Duration().convert(text, None, None)


def test_memory_limits_are_checked_and_left_to_the_worker():
    assert MemoryLimitType().convert("0.5", None, None) == "0.5"
    with pytest.raises(click.BadParameter, match="'5 GX' is not a memory limit"):
        MemoryLimitType().convert("5 GX", None, None)


@pytest.mark.parametrize(
    "listen, contact, number, expected",
    [
        (None, None, 3, {}),
        ("tcp://0.0.0.0:9000", None, 0, {"host": "tcp://0.0.0.0", "worker_port": [9000]}),
        ("tcp://[::]:9000", None, 2, {"host": "tcp://[::]", "worker_port": [9002]}),
        (
            "tcp://0.0.0.0",
            "gate",
            2,
            {"host": "tcp://0.0.0.0", "contact_address": "tcp://gate"},
        ),
        (None, "gate.example.org:70", 1, {"contact_address": "tcp://gate.example.org:71"}),
    ],
)
def test_several_workers_count_ports_from_the_first_ones_on(
    listen: str | None, contact: str | None, number: int, expected: dict[str, object]
) -> None:
    assert places(listen, contact, number, "worker_port") == expected


def test_a_contact_address_that_is_none_is_named() -> None:
    with pytest.raises(click.UsageError, match="--contact-address tcp://gate:port"):
        places(None, "tcp://gate:port", 0, "port")
