"""A control group (version 2) for one worker, where the system lets us make one.

The kernel then ends the worker that passes its limit faster than its nanny can look, and nobody
else. A group whose processes are ours cannot give memory limits to groups in it, so that of a
worker is made beside this process's own: that needs a delegated tree, as systemd and some batch
systems give. Elsewhere there is none, and the nanny's look is all there is.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["ROOT", "WorkerGroup"]

ROOT = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


class WorkerGroup:
    """One worker's group, or the reason why it has none.

    Attributes
    ----------
    path : Path or None
        Its folder.
    reason : str
        Why there is none.
    """

    def __init__(self, path: Path | None, reason: str = "") -> None:
        self.path = path
        self.reason = reason

    @classmethod
    def make(
        cls,
        pid: int,
        limit: int,
        *,
        root: Path = ROOT,
        own: Path = _OWN,
        privileged: bool | None = None,
    ) -> WorkerGroup:
        """Put a process into a group of its own.

        Parameters
        ----------
        pid : int
            The process; those that it starts from now on are in the group as well.
        limit : int
            Bytes that they may take together.
        root, own : Path
            Where the tree is, and the file that says where in it this process is.
        privileged : bool, optional
            Whether this process could write anywhere; by default whether it is root's.
        """
        if privileged is None:
            privileged = hasattr(os, "geteuid") and os.geteuid() == 0
        try:
            parent = _parent(root, own.read_text(encoding="ascii"))
            if "memory" not in (parent / "cgroup.subtree_control").read_text().split():
                return cls(None, f"groups in {parent} cannot have memory limits")
            if privileged and not _is_delegated(parent, root):
                return cls(None, f"{parent} belongs to systemd, which did not delegate it")
            path = parent / f"shoal-worker-{pid}"
            path.mkdir()
        except (OSError, ValueError) as error:
            return cls(None, str(error))
        group = cls(path)
        try:
            (path / "memory.max").write_text(str(limit))
            # All that a worker started goes with it.
            (path / "memory.oom.group").write_text("1")
            (path / "cgroup.procs").write_text(str(pid))
        except OSError as error:
            group.remove()
            return cls(None, str(error))
        return group

    def remove(self) -> None:
        """Take the group away, once its processes have ended."""
        path, self.path = self.path, None
        if path is not None:
            try:
                path.rmdir()
            except OSError:  # something that the worker started lives on
                pass


def _is_delegated(folder: Path, root: Path) -> bool:
    """Whether systemd left a part of the tree to others; others than root are simply refused."""
    for each in (folder, *folder.parents):
        if each == root:
            break
        for name in ("user.delegate", "trusted.delegate"):
            try:
                if os.getxattr(each, name) == b"1":
                    return True
            except (OSError, AttributeError):  # there is no such mark; or no such system
                pass
    return False


def _parent(root: Path, own: str) -> Path:
    """Return the folder in which groups beside this process's own are made."""
    for line in own.splitlines():
        hierarchy, _, group = line.split(":", 2) if line.count(":") >= 2 else ("", "", "")
        if hierarchy == "0":
            if group.strip() == "/":
                raise ValueError("this process is in the root of its control groups")
            return (root / group.strip().strip("/")).parent
    raise ValueError("this system has no control groups of version 2")
