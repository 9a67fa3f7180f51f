"""Hosts as network namespaces on a bridge, with walls, thin wires and clocks of their own.

Imported as `host_network`. Each host has its own addresses, host name and process numbers, so that
nothing is shared between two hosts but the file system. Everything is made by `Network` and taken
down again at its end. Needs root and the commands ``ip`` and ``unshare``; walls need ``nft``.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import IO

from helpers import wait_until

__all__ = ["Host", "Network", "Program", "faketime_library", "why_not"]

_TABLE = "shoal_walls"
_SEEN = 30.0  # seconds to wait for words in an output, by default


@cache
def why_not(*commands: str) -> str:
    """Return why hosts cannot be made here; empty where they can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "network namespaces need root on Linux"
    for command in ("ip", "unshare", *commands):
        if shutil.which(command) is None:
            return f"there is no command {command!r}"
    name = f"sh-try-{os.getpid()}"
    tried = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if tried.returncode:
        return f"no network namespace can be made: {tried.stderr.strip()}"
    try:
        inside = ["ip", "netns", "exec", name]
        for command in (_isolated(["true"], "x"), ["nft", "add", "table", "inet", _TABLE]):
            if command[0] == "nft" and "nft" not in commands:
                continue
            tried = subprocess.run([*inside, *command], capture_output=True, text=True)
            if tried.returncode:
                return f"{' '.join(command)} fails: {tried.stderr.strip()}"
    finally:
        _ip("netns", "del", name)
    return ""


def faketime_library() -> str | None:
    """Return where libfaketime is, which lets a process have a clock of its own."""
    found = [*Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")]
    return str(found[0]) if found else None


def _ip(*words: str) -> None:
    _call(["ip", *words])


def _call(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def _isolated(command: Sequence[str], hostname: str) -> list[str]:
    """Return a command in a host of its own: name, process numbers, and the end of all with it."""
    inner = ["sh", "-c", f'hostname {hostname} 2>/dev/null; exec "$@"', "sh", *command]
    flags = ["--uts", "--pid", "--ipc", "--fork", "--mount-proc", "--kill-child"]
    return ["unshare", *flags, *inner]


class Program:
    """A process on a host, and what it has said so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._lines: list[str] = []
        self._thread = threading.Thread(target=self._read, args=(process.stdout,), daemon=True)
        self._thread.start()

    def _read(self, output: IO[str] | None) -> None:
        assert output is not None
        with output:
            for line in output:
                self._lines.append(line)

    @property
    def output(self) -> str:
        """All that it has said."""
        return "".join(self._lines)

    def wait_for(self, words: str, timeout: float = _SEEN) -> None:
        """Wait until it has said something."""

        def said() -> bool:
            if words in self.output:
                return True
            if self._process.poll() is not None and not self._thread.is_alive():
                raise AssertionError(f"ended, {words!r} not said. It said:\n{self.output}")
            return False

        try:
            wait_until(said, timeout)
        except AssertionError as error:
            raise AssertionError(f"{words!r}: {error}. It said:\n{self.output}") from None

    def tell(self, line: str) -> None:
        """Give it a line to read."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def result(self, timeout: float = 60) -> str:
        """Wait for its end, and return what it said; its failure is one of the test."""
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"not ended within {timeout} s. It said:\n{self.output}") from None
        self._thread.join(10)
        assert code == 0, f"ended with {code}. It said:\n{self.output}"
        return self.output

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def end(self) -> None:
        """Kill it and all that it started."""
        if self._process.poll() is None:
            self._process.kill()  # of `unshare`, which takes the process namespace along
        self._process.wait(10)
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        self._thread.join(10)


class Host:
    """A host of a `Network`.

    Attributes
    ----------
    address : str
        By which the others reach it.
    """

    def __init__(self, network: Network, name: str, address: str) -> None:
        self.network = network
        self.name = name
        self.address = address
        self.space = f"{network.prefix}-{name}"
        self.device = "eth0"
        self.environment: dict[str, str] = {}
        self._programs: list[Program] = []

    def inside(self, *command: str) -> str:
        """Run a command on this host to its end, with this process's files."""
        return _call(["ip", "netns", "exec", self.space, *command])

    def start(self, *command: str, **environment: str) -> Program:
        """Start a program, in a process namespace of its own."""
        process = subprocess.Popen(
            ["ip", "netns", "exec", self.space, *_isolated(command, self.name)],
            env={**os.environ, **self.network.environment, **self.environment, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        program = Program(process)
        self._programs.append(program)
        return program

    def python(self, *arguments: str, **environment: str) -> Program:
        """Start a Python program."""
        return self.start(sys.executable, "-u", *arguments, **environment)

    def scheduler(self, *options: str, **environment: str) -> Program:
        """Start a scheduler on port 8786."""
        program = self.python("-m", "shoal", "scheduler", "--no-dashboard", *options, **environment)
        program.wait_for("Scheduler at:")
        return program

    def worker(self, scheduler: str, *options: str, **environment: str) -> Program:
        """Start a worker, or several, and wait until they have joined."""
        program = self.python(
            *("-m", "shoal", "worker", scheduler, "--nthreads", "1", "--no-dashboard"),
            *options,
            **environment,
        )
        program.wait_for("Registered to:")
        return program

    def end(self) -> None:
        """End all that was started here."""
        for program in self._programs:
            program.end()

    # -- walls and wires -----------------------------------------------------------

    def cut(
        self, other: Host | None = None, *, incoming: bool = True, outgoing: bool = True
    ) -> None:
        """Swallow what comes from and goes to another host, or all others, in silence."""
        for chain, word, wanted in (
            ("input", "saddr", incoming),
            ("output", "daddr", outgoing),
        ):
            if wanted:
                family = "ip6" if ":" in self.address else "ip"
                which = f"{family} {word} {other.address}" if other else f"{self._other(chain)}"
                self.wall(chain, f"{which} drop")

    def _other(self, chain: str) -> str:
        return 'iifname != "lo"' if chain == "input" else 'oifname != "lo"'

    def block_for(self, seconds: float, *, incoming: bool = True, outgoing: bool = True) -> None:
        """Cut this host off from all others for a while."""
        self.cut(incoming=incoming, outgoing=outgoing)
        time.sleep(seconds)
        self.mend()

    def wall(self, chain: str, rule: str) -> None:
        """Add a rule of nftables to what comes in (``input``), or goes out (``output``)."""
        text = (
            f"table inet {_TABLE} {{\nchain {chain} {{\n"
            f"type filter hook {chain} priority 0\n}}\n}}\n"
            f"add rule inet {_TABLE} {chain} {rule}\n"
        )
        self._nft(text)

    def firewall(self, *ports: int) -> None:
        """Let nothing new in but to these TCP ports; what this host began is answered."""
        self.wall("input", 'iifname "lo" accept')
        self.wall("input", "ct state established,related accept")
        self.wall("input", "meta l4proto { icmp, ipv6-icmp } accept")
        for port in ports:
            self.wall("input", f"tcp dport {port} accept")
        self.wall("input", "drop")

    def mend(self) -> None:
        """Take all walls of this host away."""
        self._nft(f"add table inet {_TABLE}\ndelete table inet {_TABLE}\n")

    def _nft(self, text: str) -> None:
        command = ["ip", "netns", "exec", self.space, "nft", "-f", "-"]
        done = subprocess.run(command, input=text, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"nft: {done.stderr.strip()} in:\n{text}")

    def thin(self, rate: str) -> None:
        """Let so much leave this host a second, such as ``"8mbit"``."""
        limits = ("rate", rate, "burst", "32k", "latency", "400ms")
        self.inside("tc", "qdisc", "replace", "dev", self.device, "root", "tbf", *limits)

    def mtu(self, size: int) -> None:
        """Let no packet be larger."""
        _ip("-n", self.space, "link", "set", self.device, "mtu", str(size))


class Network:
    """A bridge with hosts on it, of which none reaches anything else.

    Parameters
    ----------
    version : int
        6: the hosts have no IPv4 addresses.
    **environment
        Of all programs, besides what this process has.
    """

    _made = 0

    def __init__(self, version: int = 4, **environment: str) -> None:
        Network._made += 1
        self.prefix = f"sh{os.getpid()}{Network._made}"
        self.version = version
        self.environment = environment
        self.hosts: list[Host] = []
        self._spaces: list[str] = []

    def __enter__(self) -> Network:
        self.bridge = self._bridge("br")
        return self

    def _bridge(self, name: str) -> str:
        """Make a switch in a namespace of its own; return that."""
        space = f"{self.prefix}-{name}"
        _ip("netns", "add", space)
        self._spaces.append(space)
        _ip("-n", space, "link", "add", "br0", "type", "bridge")
        _ip("-n", space, "link", "set", "br0", "up")
        return space

    def host(self, name: str) -> Host:
        """Add a host."""
        number = len(self.hosts) + 1
        address = f"fd5a::{number:x}" if self.version == 6 else f"10.77.0.{number}"
        host = Host(self, name, address)
        self._space(host)
        self._plug(host, self.bridge, "eth0", address)
        self.hosts.append(host)
        return host

    def _space(self, host: Host) -> None:
        _ip("netns", "add", host.space)
        self._spaces.append(host.space)
        _ip("-n", host.space, "link", "set", "lo", "up")

    def _plug(self, host: Host, bridge: str, device: str, address: str) -> None:
        port = f"p{len(self._spaces)}{device[-1]}"
        peer = ("peer", "name", device, "netns", host.space)
        _ip("-n", bridge, "link", "add", port, "type", "veth", *peer)
        _ip("-n", bridge, "link", "set", port, "master", "br0", "up")
        extra = ("nodad",) if ":" in address else ()
        length = 64 if ":" in address else 24
        _ip("-n", host.space, "addr", "add", f"{address}/{length}", "dev", device, *extra)
        _ip("-n", host.space, "link", "set", device, "up")

    def behind_nat(self, name: str) -> Host:
        """Add a host in a network of its own: it reaches the others, and none of them reaches it.

        What it sends comes from the address of a router.
        """
        router = self.host(f"{name}-nat")
        inner = self._bridge(f"{name}-lan")
        host = Host(self, name, "192.168.77.2")
        self._space(host)
        self._plug(router, inner, "eth1", "192.168.77.1")
        self._plug(host, inner, "eth0", host.address)
        _ip("-n", host.space, "route", "add", "default", "via", "192.168.77.1")
        router.inside("sysctl", "-qw", "net.ipv4.ip_forward=1")
        router._nft(
            "table ip nat {\nchain postrouting {\ntype nat hook postrouting priority 100\n"
            'oifname "eth0" masquerade\n}\n}\n'
        )
        self.hosts.append(host)
        return host

    def __exit__(self, *exc_info: object) -> None:
        for host in self.hosts:
            host.end()
        for space in self._spaces:
            _ip("netns", "del", space)
