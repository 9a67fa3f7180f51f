"""`InstallPlugin`, `PipInstall`, `CondaInstall`: packages on the scheduler and on workers."""

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
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from shoal.comm.status import Status
from shoal.plugins.given import raise_first_error
from shoal.plugins.scheduler import SchedulerPlugin
from shoal.plugins.worker import WorkerPlugin

if TYPE_CHECKING:
    from shoal.scheduler.scheduler import Scheduler
    from shoal.worker.worker import Worker

__all__ = ["CondaInstall", "InstallOnWorker", "InstallPlugin", "PipInstall"]

logger = logging.getLogger("shoal.plugins.install")


class InstallPlugin(SchedulerPlugin):
    """Run a function that installs something, on the scheduler and on all workers.

    Workers that come later run it before their first task.

    Parameters
    ----------
    install_fn : callable
        The function; it is called without arguments, in a thread.
    restart_workers : bool
        Whether workers (with nannies) start anew, so that what they imported is replaced.

    Examples
    --------
    >>> def install():
    ...     subprocess.check_call([sys.executable, "-m", "pip", "install", "scikit-learn"])
    >>> client.register_plugin(InstallPlugin(install, restart_workers=True))  # doctest: +SKIP
    """

    idempotent = True
    _scheduler: Scheduler | None = None

    def __init__(self, install_fn: Callable[[], Any], restart_workers: bool = False) -> None:
        if not callable(install_fn):
            raise TypeError(f"install_fn= must be a function, got {install_fn!r}")
        self.install_fn = install_fn
        self.restart_workers = restart_workers
        self.name = f"{type(self).__name__}-{uuid.uuid4().hex}"

    async def start(self, scheduler: Scheduler) -> None:
        """Install here, then on all workers."""
        self._scheduler = scheduler
        await asyncio.to_thread(self.install_fn)
        importlib.invalidate_caches()
        plugin = InstallOnWorker(self.name, self.install_fn, self.restart_workers)
        raise_first_error(await scheduler.register_worker_plugin(None, plugin, name=self.name))

    async def close(self) -> None:
        """Workers that come later do not install it; nothing is uninstalled."""
        if self._scheduler is not None and self._scheduler.status is Status.running:
            await self._scheduler.unregister_worker_plugin(None, self.name)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_scheduler": None}


class InstallOnWorker(WorkerPlugin):
    """The part of `InstallPlugin` that is on each worker.

    Parameters
    ----------
    name : str
        Of the plugin.
    install_fn : callable
        The function.
    restart_workers : bool
        Whether the worker starts anew.
    """

    idempotent = True

    def __init__(self, name: str, install_fn: Callable[[], Any], restart_workers: bool) -> None:
        self.name = name
        self.install_fn = install_fn
        self.restart_workers = restart_workers

    async def setup(self, worker: Worker) -> None:
        """Install; then restart the worker, unless this is what came after the restart."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self.install_fn)
        importlib.invalidate_caches()
        if not self.restart_workers:
            return
        if worker.nanny is None:
            logger.warning("Worker %s has no nanny and cannot be restarted", worker.name)
            return
        note = ["shoal-installed", self.name, worker.nanny]
        if (await worker.scheduler.get_metadata(keys=note))["found"]:
            return
        await worker.scheduler.set_metadata(keys=note, value=os.getpid())
        # After the answer: it travels on a connection that closing ends.
        loop.call_later(0.1, worker.close_soon, f"{self.name} was installed", True)


class _Install(InstallPlugin):
    """Runs a package manager, one process of an environment after the other."""

    def __init__(self, packages: Sequence[str], options: Sequence[str], restart: bool) -> None:
        if isinstance(packages, str) or not packages:
            raise ValueError(f"packages must be a list of requirements, got {packages!r}")
        super().__init__(self._install, restart)
        self.packages = list(packages)
        self.options = list(options)
        what = "\n".join([*sorted(self.packages), *self.options, str(restart)])
        digest = hashlib.sha256(what.encode()).hexdigest()[:16]
        self.name = f"{type(self).__name__}-{digest}"

    def command(self) -> list[str]:
        """Return the command that installs the packages."""
        raise AssertionError("a subclass says how")

    def _install(self) -> None:
        with _only_one_here():
            command = self.command()
            logger.info("Installing: %s", " ".join(command))
            # There is no user to answer a question of the command's.
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(
                f"{' '.join(command)} failed with code {done.returncode}:\n"
                f"{(done.stderr or done.stdout).strip()[-4000:]}"
            )


class PipInstall(_Install):
    """Install packages with pip on the scheduler and on all workers.

    Processes of one environment take turns. Packages that are there already are left alone.

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
    """Install packages with conda on the scheduler and on all workers, where there is conda.

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
