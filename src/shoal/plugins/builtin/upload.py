"""`UploadFile`, `UploadDirectory`: code of the client's on workers and on the scheduler."""

from __future__ import annotations

import importlib
import importlib.util
import io
import os
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoal._base.private_folder import fresh_folder
from shoal.plugins.given import raise_first_error
from shoal.plugins.nanny import NannyPlugin
from shoal.plugins.placing import place
from shoal.plugins.scheduler import SchedulerPlugin
from shoal.plugins.worker import WorkerPlugin

if TYPE_CHECKING:
    from shoal.nanny.nanny import Nanny
    from shoal.scheduler.scheduler import Scheduler
    from shoal.worker.worker import Worker

__all__ = ["DirectoryOnNanny", "SchedulerUploadFile", "UploadDirectory", "UploadFile"]

_MODES = ("workers", "scheduler", "all")
_SKIPPED = (".git", ".github", ".pytest_cache", "__pycache__", "tests", "docs")


class _File:
    """A file that was read when the plugin was made."""

    def __init__(self, filepath: str | os.PathLike[str], load: bool = True) -> None:
        path = Path(filepath)
        if not path.is_file():
            raise FileNotFoundError(f"there is no file {str(filepath)!r} to upload")
        self.filename = path.name
        self.load = load
        self.data = path.read_bytes()
        self.name = f"upload-file-{self.filename}"


class UploadFile(_File, WorkerPlugin):
    """Put a file on all workers, and make it importable (``.py``, ``.egg``, ``.zip``).

    Parameters
    ----------
    filepath : str
        The file; it is read when the plugin is made.
    load : bool
        Whether to import the modules in it at once, anew where they were imported already.

    Examples
    --------
    >>> client.register_plugin(UploadFile("mylibrary.py"))  # doctest: +SKIP
    """

    def setup(self, worker: Worker) -> None:
        """Write the file into the worker's folder and import it."""
        place(self.filename, self.data, Path(worker.local_directory), self.load)

    def teardown(self, worker: Worker) -> None:
        """Import no more from there; the worker removes its folder."""
        for path in (worker.local_directory, os.path.join(worker.local_directory, self.filename)):
            while path in sys.path:
                sys.path.remove(path)


class SchedulerUploadFile(_File, SchedulerPlugin):
    """Put a file on the scheduler, and make it importable there (``.py``, ``.egg``, ``.zip``).

    Parameters
    ----------
    filepath : str
        The file; it is read when the plugin is made.
    load : bool
        Whether to import the modules in it at once, anew where they were imported already.
    """

    async def start(self, scheduler: Scheduler) -> None:
        """Write the file into the scheduler's folder and import it."""
        await scheduler.upload_file(self.filename, self.data, self.load)


class UploadDirectory(SchedulerPlugin):
    """Put a folder of the client's on the hosts of all nannies, for their workers, or on the
    scheduler.

    Parameters
    ----------
    path : str
        The folder; it is read when the plugin is made.
    restart_workers : bool
        Whether workers start anew afterwards; `restart` is the same.
    update_path : bool
        Whether what is in the folder becomes importable: in workers that start from then on, and on
        the scheduler at once.
    skip_words : iterable of str
        Files and folders of these names are left out.
    skip : iterable of callables
        Called with each path; what one of them is true for is left out.
    mode : {"workers", "scheduler", "all"}
        Where it is put.

    Examples
    --------
    >>> client.register_plugin(UploadDirectory("/path/to/code"))  # doctest: +SKIP
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        restart_workers: bool = False,
        update_path: bool = False,
        skip_words: Iterable[str] = _SKIPPED,
        skip: Iterable[Callable[[str], Any]] = (lambda name: os.path.splitext(name)[1] == ".pyc",),
        mode: str = "workers",
        *,
        restart: bool = False,
    ) -> None:
        folder = Path(path).expanduser().resolve()
        if not folder.is_dir():
            raise NotADirectoryError(f"there is no folder {str(path)!r} to upload")
        if mode not in _MODES:
            raise ValueError(f"mode= is one of {', '.join(_MODES)}, got {mode!r}")
        self.mode = mode
        data = _pack(folder, frozenset(skip_words), list(skip))
        self.for_nannies = DirectoryOnNanny(
            folder.name, data, restart_workers or restart, update_path
        )
        self.name = self.for_nannies.name

    async def start(self, scheduler: Scheduler) -> None:
        """Unpack the folder here, and give it to all nannies, as the mode says."""
        part = self.for_nannies
        if self.mode != "workers":
            base = Path(scheduler.local_directory)
            part.unpack(base)
            if part.update_path:
                for place_ in (str(base), str(base / part.folder)):
                    if place_ not in sys.path:
                        sys.path.insert(0, place_)
                importlib.invalidate_caches()
        if self.mode != "scheduler":
            raise_first_error(await scheduler.register_nanny_plugin(None, part, name=self.name))


class DirectoryOnNanny(NannyPlugin):
    """The part of `UploadDirectory` that is on each nanny.

    Parameters
    ----------
    folder : str
        Name of the folder.
    data : bytes
        Its content.
    restart, update_path : bool
        As of `UploadDirectory`.
    """

    def __init__(self, folder: str, data: bytes, restart: bool, update_path: bool) -> None:
        self.folder = folder
        self.data = data
        self.restart = restart
        self.update_path = update_path
        self.name = f"upload-directory-{folder}"
        self._own: Path | None = None

    def unpack(self, base: Path) -> None:
        """Write the folder into another."""
        with zipfile.ZipFile(io.BytesIO(self.data)) as file:
            file.extractall(base)

    def setup(self, nanny: Nanny) -> None:
        """Unpack the folder beside those of the workers, where only this user can change it."""
        base = self._own = Path(fresh_folder(nanny.local_directory, "upload-"))
        self.unpack(base)
        if self.update_path:
            # The parent: `import folder` is what people write.
            before = nanny.env.get("PYTHONPATH", "")
            both = [str(base / self.folder), str(base), *before.split(os.pathsep)]
            nanny.env["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(filter(None, both)))

    def teardown(self, nanny: Nanny) -> None:
        """Remove the folder."""
        if self._own is not None:
            shutil.rmtree(self._own, ignore_errors=True)


def _pack(folder: Path, words: frozenset[str], skip: list[Callable[[str], Any]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for root, folders, files in os.walk(folder):
            folders[:] = [name for name in folders if name not in words]
            for name in files:
                full = Path(root) / name
                if name in words or any(test(str(full)) for test in skip):
                    continue
                archive.write(full, full.relative_to(folder.parent))
    return buffer.getvalue()
