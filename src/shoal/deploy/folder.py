"""The private folder of a local cluster, where its Unix sockets live. Unix only.

The cluster removes it when it closes. Should the process be killed, its children remove it; should
they be killed too, the next cluster of this user does: a folder that nobody has locked is nobody's.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no such sockets either
    fcntl = None  # type: ignore[assignment]

__all__ = ["ClusterFolder"]

_PREFIX = "shoal-"
# A Unix socket's path may have 107 bytes, 103 on macOS; names in the folder have up to 24.
_LONGEST = 103 - 24
_YOUNG = 60.0  # seconds in which a folder may not have been locked yet


class ClusterFolder:
    """A new folder that only this user can enter.

    Raises
    ------
    OSError
        When there is none with a path short enough for sockets, or locks are not to be had.
    """

    def __init__(self) -> None:
        if fcntl is None:
            raise OSError("this system has no Unix sockets")
        errors = []
        for parent in dict.fromkeys([tempfile.gettempdir(), "/tmp"]):
            _sweep(Path(parent))
            try:
                path = tempfile.mkdtemp(prefix=_PREFIX, dir=parent)
            except OSError as error:
                errors.append(str(error))
                continue
            if len(os.fsencode(path)) <= _LONGEST:
                break
            os.rmdir(path)
            errors.append(f"{path} is too long for sockets")
        else:
            raise OSError("no folder for sockets: " + "; ".join(errors))
        self.path = path
        self._lock = os.open(os.path.join(path, "lock"), os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def socket_path(self, name: str) -> str:
        """Return the path of a socket in the folder."""
        return os.path.join(self.path, name)

    def remove(self) -> None:
        """Remove the folder with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _sweep(parent: Path) -> None:
    """Remove folders of clusters of this user that were killed with all their processes."""
    try:
        names = [name for name in os.listdir(parent) if name.startswith(_PREFIX)]
    except OSError:
        return
    for name in names:
        folder = parent / name
        try:
            status = os.lstat(folder / "lock")
            if status.st_uid != os.getuid() or time.time() - status.st_mtime < _YOUNG:
                continue
            lock = os.open(folder / "lock", os.O_RDWR)
        except OSError:  # no folder of a cluster, or gone meanwhile
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # in use
            pass
        finally:
            os.close(lock)
