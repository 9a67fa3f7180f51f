"""Clusters over SSH: a scheduler on the first host, workers on the others.

Run are `python -m shoal scheduler` and `worker`. The secret of the cluster goes through
the connection and never onto a command line, and what was started ends with its connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import importlib
import logging
import re
import shlex
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from shoal._base.numbers import is_whole
from shoal._base.within import within
from shoal.comm.secret import cluster_secret
from shoal.core import Status
from shoal.deploy.interface import ProcessInterface
from shoal.deploy.spec import SpecCluster

__all__ = ["RemoteProcess", "SSHCluster", "SSHScheduler", "SSHWorker"]

logger = logging.getLogger("shoal.deploy")

_LAST_LINES = 20
_END_TIMEOUT = 20.0

# Reads the secret, runs the command, and ends it when the connection's input ends.
_WRAPPER = """\
read -r SHOAL_SECRET; export SHOAL_SECRET; exec 3<&0
{command} </dev/null 3<&- 2>&1 &
pid=$!
( exec >/dev/null 2>&1; while read -r _ <&3; do :; done; kill $pid ) &
watch=$!
exec 3<&-; wait $pid; code=$?; kill $watch 2>/dev/null; exit $code"""

# Names of arguments that commands call otherwise.
_WORKER_NAMES = {"n_workers": "nworkers", "port": "worker_port"}


class RemoteProcess(ProcessInterface):
    """A command on another host, from its start until its end.

    Parameters
    ----------
    scheduler, name
        As for `ProcessInterface`.
    host : str
        Where.
    connect_options : dict
        Arguments of `asyncssh.connect`, such as ``username``, ``client_keys``, ``known_hosts``.
    options : dict
        Options of the command, ``{"nthreads": 2}`` for ``--nthreads 2``.
    remote_python : str
        The Python to use there.
    """

    what = ""  # the command, and what its first useful line looks like
    ready = re.compile("")

    def __init__(
        self,
        scheduler: str | None = None,
        name: Any = None,
        *,
        host: str,
        connect_options: Mapping[str, Any],
        options: Mapping[str, Any],
        remote_python: str,
    ) -> None:
        super().__init__(scheduler, name)
        self.host = host
        self.connect_options = dict(connect_options)
        self.options = dict(options)
        self.remote_python = remote_python
        self.lines: deque[str] = deque(maxlen=_LAST_LINES)
        self._connection: Any = None
        self._process: Any = None
        self._reader: asyncio.Task[None] | None = None

    def command(self) -> list[str]:
        """Return the words of the command."""
        return [self.remote_python, "-m", "shoal", self.what, *as_options(self.options)]

    async def start(self) -> None:
        """Connect, start the command, and wait until it is up."""
        ssh = _asyncssh()
        script = _WRAPPER.format(command=shlex.join(self.command()))
        try:
            self._connection = await ssh.connect(self.host, **self.connect_options)
            self._process = await self._connection.create_process(
                f"exec sh -c {shlex.quote(script)}"
            )
            self._process.stdin.write(cluster_secret().reveal() + "\n")
            self._came_up(await self._first_match())
        except BaseException:
            await self._disconnect()
            raise
        self._reader = asyncio.create_task(self._read())
        await super().start()

    async def _first_match(self) -> str:
        async for line in self._process.stdout:
            self.lines.append(line.rstrip())
            found = self.ready.search(line)
            if found:
                return str(found[1])
        said = "\n".join(self.lines) or "it said nothing"
        raise RuntimeError(f"the {self.what} on {self.host} did not start:\n{said}")

    def _came_up(self, text: str) -> None:
        self.address = text

    async def _read(self) -> None:
        """Read on, or it would wait for us; the end of the text is that of the process."""
        with contextlib.suppress(OSError):
            async for line in self._process.stdout:
                self.lines.append(line.rstrip())
        if self.status == Status.running:
            logger.warning("The %s on %s ended: %s", self.what, self.host, "\n".join(self.lines))
        self.status = Status.closed
        self._ended()

    async def close(self) -> None:
        """End the command gracefully, and the connection."""
        if self.status == Status.running:
            self.status = Status.closing
            self._process.stdin.write_eof()
            assert self._reader is not None
            await asyncio.wait([self._reader], timeout=_END_TIMEOUT)
        await self._disconnect()
        await super().close()

    async def _disconnect(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
        if self._connection is not None:
            self._connection.close()
            with contextlib.suppress(OSError):  # also that the other host does not answer in time
                await within(self._connection.wait_closed(), _END_TIMEOUT)


class SSHScheduler(RemoteProcess):
    """A scheduler on another host."""

    what = "scheduler"
    ready = re.compile(r"Scheduler at:\s*(\S+)")


class SSHWorker(RemoteProcess):
    """A worker, or several, on another host."""

    what = "worker"
    ready = re.compile(r"Registered to: \S+ as .*, (\S+)")

    def command(self) -> list[str]:
        """Return the words of the command."""
        options = {_WORKER_NAMES.get(key, key): value for key, value in self.options.items()}
        options.setdefault("name", self.name)
        words = [self.remote_python, "-m", "shoal", self.what, str(self.scheduler)]
        return [*words, *as_options(options)]


class _Hosts(SpecCluster):
    """A cluster that has the hosts it was given, and no others."""

    def __init__(self, workers: Mapping[Any, Any], *args: Any, **kwargs: Any) -> None:
        self._given = dict(workers)
        super().__init__(self._given, *args, **kwargs)

    def new_worker_spec(self) -> dict[Any, dict[str, Any]]:
        """Return the first of the hosts that has no worker at present."""
        for name, spec in self._given.items():
            if name not in self.worker_spec:
                return {name: copy.copy(spec)}
        raise ValueError(
            f"this cluster has {len(self._given)} hosts for workers: name one again in hosts= for "
            "one more, or have several on each with worker_options={'n_workers': ...}"
        )


def as_options(options: Mapping[str, Any]) -> list[str]:
    """Return options of a command line: ``{"a_b": 1, "c": False}`` is ``--a-b 1 --no-c``.

    Options that are None are left out, and a list gives its option several times.
    """
    words: list[str] = []
    for name, value in options.items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        elif isinstance(value, (list, tuple)):
            words += [word for each in value for word in (f"--{option}", str(each))]
        elif value is not None:
            words += [f"--{option}", str(value)]
    return words


def SSHCluster(
    hosts: Sequence[str] | None = None,
    connect_options: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    worker_options: Mapping[str, Any] | None = None,
    scheduler_options: Mapping[str, Any] | None = None,
    worker_class: str | None = None,
    remote_python: str | Sequence[str] | None = None,
    **kwargs: Any,
) -> SpecCluster:
    """Start a cluster over SSH; needs the extra ``ssh``.

    It has the hosts that it is given: `scale` closes workers, newest first, and starts them again.

    Parameters
    ----------
    hosts : list of str
        Where the scheduler runs, then where workers do; name a host twice for both.
    connect_options : dict or list of dict, optional
        Arguments of `asyncssh.connect`, the same for all hosts or one for each.
    worker_options, scheduler_options : dict, optional
        Options of ``shoal worker`` and ``shoal scheduler``: ``{"nthreads": 2}``.
    worker_class : str, optional
        Class of the workers, as ``module.name``.
    remote_python : str or list of str, optional
        Python to use there, the same for all hosts or one for each; by default the path of this
        one.
    **kwargs
        More arguments of `SpecCluster`.

    Examples
    --------
    >>> cluster = SSHCluster(["localhost", "localhost", "fish"])  # doctest: +SKIP
    """
    hosts = list(hosts or ())
    if len(hosts) < 2:
        raise ValueError(
            "hosts= names the scheduler's host and at least one for workers, such as "
            f"['localhost', 'localhost']; got {hosts!r}"
        )
    connecting = _one_each(connect_options or {}, Mapping, hosts, "connect_options")
    pythons = _one_each(remote_python or sys.executable, str, hosts, "remote_python")
    workers = dict(worker_options or {})
    if worker_class is not None:
        workers["worker_class"] = worker_class
    specs = [
        {
            "host": host,
            "connect_options": connecting[i],
            "options": workers if i else dict(scheduler_options or {}),
            "remote_python": pythons[i],
        }
        for i, host in enumerate(hosts)
    ]
    n = workers.get("n_workers", workers.get("nworkers", 1))
    group = {"group": [f"-{i}" for i in range(n)]} if is_whole(n) and n > 1 else {}
    return _Hosts(
        {i: {"cls": SSHWorker, "options": spec, **group} for i, spec in enumerate(specs[1:])},
        {"cls": SSHScheduler, "options": specs[0]},
        **{"name": "SSHCluster", **kwargs},
    )


def _one_each(given: Any, kind: type, hosts: Sequence[str], name: str) -> list[Any]:
    if isinstance(given, kind):
        return [given] * len(hosts)
    if len(given) != len(hosts):
        raise ValueError(f"{name}= has {len(given)} entries for {len(hosts)} hosts")
    return list(given)


def _asyncssh() -> Any:
    try:
        return importlib.import_module("asyncssh")
    except ImportError:
        raise ImportError("SSHCluster needs asyncssh: python -m pip install 'shoal[ssh]'") from None
