"""Values of options: resources, ports and port ranges, sizes. Each bad one is named in one line."""

from __future__ import annotations

import math
import re
from typing import Any

import click
from dask.utils import parse_timedelta

from shoal import config
from shoal._base.system import parse_memory_limit
from shoal.comm.addressing import get_address_host

__all__ = [
    "Duration",
    "MemoryLimitType",
    "Ports",
    "PreloadCommand",
    "Resources",
    "pages_place",
    "parse_ports",
    "parse_resources",
]

_PRELOADS = ("distributed.worker.preload", "distributed.scheduler.preload")


class PreloadCommand(click.Command):
    """A command that knows unknown options only where a preload may know them."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **more: Any,
    ) -> click.Context:
        preloads = any(arg.partition("=")[0].startswith("--preload") for arg in args)
        more["ignore_unknown_options"] = preloads or any(map(config.get_list, _PRELOADS))
        return super().make_context(info_name, args, parent, **more)


def parse_resources(text: str) -> dict[str, float]:
    """Return the resources in a text such as ``"GPU=2 mem=1e9"``; commas separate too.

    Raises
    ------
    ValueError
        When a piece is not ``NAME=NUMBER``; its text names the piece.
    """
    resources: dict[str, float] = {}
    for piece in re.split(r"[,\s]+", text.strip()):
        name, equals, amount = piece.partition("=")
        try:
            number = float(amount)
        except ValueError:
            number = math.nan
        if not name or not equals or not 0 <= number < math.inf:
            raise ValueError(f'{piece!r} is not NAME=NUMBER; write resources as in "GPU=2 mem=1e9"')
        if name in resources:
            raise ValueError(f"resource {name!r} is given twice")
        resources[name] = number
    return resources


def parse_ports(ports: int | str | None) -> list[int | None]:
    """Return the ports to try, in order, of a port, a range ``"3000:3026"``, or nothing.

    Raises
    ------
    ValueError
        When it is neither, or a port is out of range.

    Examples
    --------
    >>> parse_ports("23:26")
    [23, 24, 25, 26]
    >>> parse_ports(None)
    [None]
    """
    if ports is None or ports == "":
        return [None]
    first, colon, last = str(ports).partition(":")
    try:
        start, stop = int(first), int(last if colon else first)
    except ValueError:
        start = stop = -1
    if not 0 <= start <= stop <= 65535:
        raise ValueError(
            f"{ports!r} is not a port or a range of ports; give a number up to 65535, "
            "or first and last as in 3000:3026"
        )
    return list(range(start, stop + 1))


class _Parsed(click.ParamType):  # type: ignore[type-arg]  # generic in click 8.4 only
    """An option whose text a function of ours parses."""

    def parse(self, value: str) -> Any:
        raise ValueError(value)

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self.parse(value)
        except ValueError as error:
            self.fail(str(error), param, context)


class Resources(_Parsed):
    """``"GPU=2 mem=1e9"``."""

    name = "resources"

    def parse(self, value: str) -> dict[str, float]:
        return parse_resources(value)


class Ports(_Parsed):
    """A port, or first and last of a range."""

    name = "port[:last]"

    def parse(self, value: str) -> list[int | None]:
        return parse_ports(value)


class Duration(_Parsed):
    """``"30s"``, ``"5 minutes"``, or seconds."""

    name = "duration"

    def parse(self, value: str) -> float:
        try:
            seconds = parse_timedelta(value)
        except (KeyError, ValueError, IndexError):
            seconds = None
        if seconds is None or not 0 <= seconds < math.inf:
            raise ValueError(f"{value!r} is not a duration; write 30s, '5 minutes' or seconds")
        return float(seconds)


class MemoryLimitType(_Parsed):
    """``auto``, a size, a number of bytes, a fraction, or 0; checked here only."""

    name = "size"

    def parse(self, value: str) -> str:
        parse_memory_limit(value, nthreads=1)
        return value


def pages_place(given: str, host: str | None) -> str:
    """Return where pages are to be shown, for what a user named by an option.

    A port alone means the addresses that the server itself listens on: probes and scrapers come
    from other machines. People log in there.

    Parameters
    ----------
    given : str
        Such as ``":8787"``, ``"8787"`` or ``"host:8787"``.
    host : str, optional
        The host that the server itself listens on, or its whole address; None for all.

    Examples
    --------
    >>> pages_place(":8787", None), pages_place("lake:80", None), pages_place("80", "127.0.0.1")
    ('0.0.0.0:8787', 'lake:80', '127.0.0.1:80')
    """
    start, _, port = given.rpartition(":")
    if start:
        return given
    if host and "://" in host:
        host = get_address_host(host)
    return f"{host or '0.0.0.0'}:{port}"
