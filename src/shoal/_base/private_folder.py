"""Folders that only this user can change: for what is imported, or whose pickles are read back.

A process that can write into such a folder, or put another in its place, runs code as this user.
"""

from __future__ import annotations

import logging
import os
import stat
import tempfile

__all__ = ["fresh_folder", "own_space"]

logger = logging.getLogger("shoal.files")

_told: set[str] = set()


def own_space(base: str, name: str) -> str:
    """Return the folder of a name in another, made where it is not there; only this user has it.

    Where somebody else has it already it is one with the user's number, and where that is taken as
    well a new one.

    Parameters
    ----------
    base : str
        A folder that others may use, too.
    name : str
        The folder's name.

    Raises
    ------
    OSError
        When no folder can be made there.
    """
    os.makedirs(base, exist_ok=True)
    if not hasattr(os, "getuid"):  # Windows: folders of a user are the user's own there
        path = os.path.join(base, name)
        os.makedirs(path, exist_ok=True)
        return path
    _warn_of_open(base)
    for each in (name, f"{name}-{os.getuid()}"):
        path = os.path.join(base, each)
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            pass
        if _is_own(path):
            return path
    return fresh_folder(base, f"{name}-")


def fresh_folder(parent: str | None, prefix: str) -> str:
    """Make a new folder that only this user can enter, under a name that nobody can foresee.

    Parameters
    ----------
    parent : str, optional
        Where; by default in the system's folder for temporary files.
    prefix : str
        The beginning of its name.

    Raises
    ------
    PermissionError
        When it is not this user's alone, as on file systems that know no modes.
    """
    path = tempfile.mkdtemp(prefix=prefix, dir=parent)  # mode 0700
    if hasattr(os, "getuid"):
        found = os.lstat(path)
        # File systems of a network may map all users to one; modes count there.
        mode = stat.S_IMODE(found.st_mode)
        if not stat.S_ISDIR(found.st_mode) or mode & 0o022:
            os.rmdir(path)
            raise PermissionError(
                f"others could change the new folder {path} (mode {mode:04o}): name "
                "another with --local-directory or 'distributed.worker.local-directory'"
            )
    return path


def _is_own(path: str) -> bool:
    """Whether a folder is this user's and nobody else can change what is in it; take that away."""
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        return False
    if stat.S_IMODE(found.st_mode) & 0o022:
        os.chmod(path, stat.S_IMODE(found.st_mode) & ~0o022)
    return True


def _warn_of_open(base: str) -> None:
    """Say where everybody may exchange what others made in a folder."""
    mode = stat.S_IMODE(os.stat(base).st_mode)
    if mode & 0o002 and not mode & stat.S_ISVTX and base not in _told:
        _told.add(base)
        logger.warning(
            "Everybody on this machine may exchange folders in %s (mode %04o), which is to hold "
            "code and data of this cluster; run 'chmod +t' on it, or name another folder with "
            "'distributed.worker.local-directory'",
            base,
            mode,
        )
