"""`ProjectEnvironment`: the client's project on workers: its modules, and the packages it locks.

Unpacked once per host and user, whatever number of workers asks for it.
"""

from __future__ import annotations

import importlib
import io
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from shoal._base.private_folder import own_space
from shoal.plugins.worker import WorkerPlugin

if TYPE_CHECKING:
    from shoal.worker.worker import Worker

__all__ = ["ProjectEnvironment"]

logger = logging.getLogger("shoal.plugins")

_INSTALL_WITHIN = 600.0


class ProjectEnvironment(WorkerPlugin):
    """Makes the modules of a client's project importable on workers, before older ones.

    Parameters
    ----------
    archive : bytes
        The modules, as a zip file.
    digest : str
        Names its content.
    modules : list of str
        Their top names.
    versions : dict
        Of the client's packages, by name.
    requirements : str, optional
        Packages that the project locks, ``name==version`` a line: those that a worker lacks are
        installed beside, those that differ as well unless they are in use.
    """

    name = "project-environment"

    def __init__(
        self,
        archive: bytes,
        digest: str,
        modules: list[str],
        versions: Mapping[str, str],
        requirements: str | None = None,
    ) -> None:
        self.archive = archive
        self.digest = digest
        self.modules = modules
        self.versions = dict(versions)
        self.requirements = requirements
        self._paths: list[str] = []

    def setup(self, worker: Worker) -> None:
        """Unpack and install what is not there yet, and import from there."""
        space = Path(own_space(_cache(), "environments"))
        wanted = lacking(self.requirements or "")
        if wanted:
            name = sha256("\n".join(wanted).encode()).hexdigest()[:32]
            packages = made_once(space / f"packages-{name}", lambda to: install(wanted, to))
            self._paths.append(str(packages))
        self._paths.append(str(made_once(space / self.digest, self._unpack)))
        for path in self._paths:
            if path not in sys.path:
                sys.path.insert(0, path)
        importlib.invalidate_caches()
        for module in [m for m in sys.modules if m.partition(".")[0] in self.modules]:
            del sys.modules[module]

    def _unpack(self, folder: Path) -> None:
        with zipfile.ZipFile(io.BytesIO(self.archive)) as file:
            file.extractall(folder)

    def teardown(self, worker: Worker) -> None:
        """Import no more from there; others of this host may."""
        for path in self._paths:
            while path in sys.path:
                sys.path.remove(path)


def _cache() -> str:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "shoal")


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """Return a folder that is whole: made beside, and put in its place when it is done."""
    if not folder.is_dir():
        new = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=folder.parent))
        try:
            make(new)
            os.rename(new, folder)
        except OSError:
            if not folder.is_dir():  # else another worker of this host was faster
                raise
        finally:
            shutil.rmtree(new, ignore_errors=True)
    return folder


def lacking(requirements: str) -> list[str]:
    """Return which lines are not met here, and can be: what is in use stays as it is."""
    wanted = []
    for line in requirements.splitlines():
        name, _, version = line.partition(";")[0].strip().partition("==")
        if not version:
            continue
        try:
            here = metadata.version(name)
        except metadata.PackageNotFoundError:
            wanted.append(line)
            continue
        if here != version.strip():
            if name.replace("-", "_").lower() in {m.lower() for m in sys.modules}:
                logger.warning(
                    "%s %s is in use here, and the project locks %s: a worker that starts with it "
                    "is needed",
                    name,
                    here,
                    version.strip(),
                )
            else:
                wanted.append(line)
    return sorted(wanted)


def install(requirements: list[str], folder: Path) -> None:
    """Install packages into a folder, and nothing that they require: the lock has it all."""
    uv = shutil.which("uv")
    head = [uv, "pip", "install", "--quiet", "--python", sys.executable] if uv else None
    command = head or [sys.executable, "-m", "pip", "install", "--quiet"]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(requirements) + "\n")
        file.flush()
        done = subprocess.run(
            [*command, "--no-deps", "--target", str(folder), "-r", file.name],
            capture_output=True,
            text=True,
            timeout=_INSTALL_WITHIN,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(f"packages of the project cannot be installed: {done.stderr.strip()}")


def differing(versions: Mapping[str, str]) -> dict[str, tuple[str, str | None]]:
    """Return packages whose versions differ here: what was given, and what is here, or None."""
    found: dict[str, tuple[str, str | None]] = {}
    for name, there in versions.items():
        try:
            here: str | None = metadata.version(name)
        except metadata.PackageNotFoundError:
            here = None
        if here != there:
            found[name] = there, here
    return found
