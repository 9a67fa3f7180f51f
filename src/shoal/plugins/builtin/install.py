"""`PipInstall`, `CondaInstall`: packages on workers."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib
import logging
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import psutil

from shoal.plugins.worker import WorkerPlugin

if TYPE_CHECKING:
    from shoal.worker.worker import Worker

__all__ = ["CondaInstall", "PipInstall"]

logger = logging.getLogger("shoal.plugins.install")


class _Install(WorkerPlugin):
    """Runs a package manager on each worker, one worker of an environment after the other."""

    def __init__(self, packages: Sequence[str], options: Sequence[str], restart: bool) -> None:
        if isinstance(packages, str) or not packages:
            raise ValueError(f"packages must be a list of requirements, got {packages!r}")
        self.packages = list(packages)
        self.options = list(options)
        self.restart_workers = restart
        what = "\n".join([*sorted(self.packages), *self.options, str(restart)])
        digest = hashlib.sha256(what.encode()).hexdigest()[:16]
        self.name = f"{type(self).__name__}-{digest}"

    def command(self) -> list[str]:
        """Return the command that installs the packages."""
        raise AssertionError("a subclass says how")

    async def setup(self, worker: Worker) -> None:
        """Install; then restart the worker when it began before the packages were there."""
        loop = asyncio.get_running_loop()
        changed = await loop.run_in_executor(None, self._install)
        importlib.invalidate_caches()
        if not (self.restart_workers and changed):
            return
        if worker.nanny is None:
            logger.warning("Worker %s has no nanny and cannot be restarted", worker.name)
            return
        # After the answer: it travels on a connection that closing ends.
        loop.call_later(0.1, worker.close_soon, f"packages were installed: {self.packages}", True)

    def _install(self) -> bool:
        """Install, and return whether something was installed since this process began."""
        with _only_one_here():
            command = self.command()
            logger.info("Installing: %s", " ".join(command))
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(
                    f"{' '.join(command)} failed with code {done.returncode}:\n"
                    f"{(done.stderr or done.stdout).strip()[-4000:]}"
                )
            return os.stat(_site()).st_mtime > psutil.Process().create_time()


class PipInstall(_Install):
    """Install packages with pip on all workers.

    Workers of one environment take turns. What is there already is left alone.

    Parameters
    ----------
    packages : list of str
        Requirements, as pip takes them.
    pip_options : list of str, optional
        More arguments of ``pip install``.
    restart_workers : bool
        Whether workers (with nannies) start anew, so that what they imported is replaced.

    Examples
    --------
    >>> plugin = PipInstall(["scikit-learn"], pip_options=["--upgrade"])
    >>> client.register_plugin(plugin)  # doctest: +SKIP
    """

    def __init__(
        self,
        packages: Sequence[str],
        pip_options: Sequence[str] | None = None,
        restart_workers: bool = False,
    ) -> None:
        super().__init__(packages, pip_options or [], restart_workers)

    def command(self) -> list[str]:
        """Return the command that installs the packages."""
        return [sys.executable, "-m", "pip", "install", *self.options, *self.packages]


class CondaInstall(_Install):
    """Install packages with conda on all workers, where there is conda.

    Parameters
    ----------
    packages : list of str
        Specifications, as conda takes them.
    conda_options : list of str, optional
        More arguments of ``conda install``.
    restart_workers : bool
        Whether workers (with nannies) start anew, so that what they imported is replaced.

    Examples
    --------
    >>> plugin = CondaInstall(["scikit-learn"], conda_options=["-c", "conda-forge"])
    >>> client.register_plugin(plugin)  # doctest: +SKIP
    """

    def __init__(
        self,
        packages: Sequence[str],
        conda_options: Sequence[str] | None = None,
        restart_workers: bool = False,
    ) -> None:
        super().__init__(packages, conda_options or [], restart_workers)

    def command(self) -> list[str]:
        """Return the command that installs the packages.

        Raises
        ------
        RuntimeError
            When there is no conda.
        """
        conda = os.environ.get("CONDA_EXE") or shutil.which("conda") or shutil.which("mamba")
        if conda is None:
            raise RuntimeError(
                "CondaInstall needs conda on the workers, and there is none on the path; "
                "PipInstall may do"
            )
        prefix = ["--prefix", sys.prefix]
        return [conda, "install", "--yes", *prefix, *self.options, *self.packages]


def _site() -> str:
    return sysconfig.get_path("purelib")


@contextlib.contextmanager
def _only_one_here() -> Iterator[None]:
    """Keep other processes that install into this environment waiting, where locks are there."""
    try:
        fcntl = importlib.import_module("fcntl")  # not on Windows
        descriptor = os.open(_site(), os.O_RDONLY)
    except (ImportError, OSError):
        yield
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
