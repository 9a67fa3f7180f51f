"""The right to write a journal: one scheduler has it, also on a file system that hosts share.

A lock on a file excludes others of this host, and ends with its process. On other hosts it may not
be seen, or may outlive a host that died: so its holder also writes into the file every second that
it is there, and one that was silent for long enough has lost it. A holder that was stopped for so
long finds out before it writes the next record, as another is named in the file.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from pathlib import Path
from typing import Any

from shoal.errors import JournalError

try:
    import fcntl
except ImportError:  # Windows: silence says it
    fcntl = None  # type: ignore[assignment]

__all__ = ["Lease"]

_BEAT = 1.0
_UNSURE = 2.5  # a holder that wrote nothing for so long looks whether it still holds it
_SILENT = 5.0  # a holder on another host that says nothing for so long is gone
_SILENT_LOCKED = 15.0  # the same where its lock is still there: its host died, or it is stopped
_ENDING = 2.0  # a process that was killed may take so long to be gone
_POLL_INTERVAL = 0.1
_SIZE = 512


class Lease:
    """The right to write a folder's journal.

    Parameters
    ----------
    folder : Path
        The folder.
    owner : str
        The scheduler's id.
    """

    def __init__(self, folder: Path, owner: str) -> None:
        self.path = folder / "lease"
        self.owner = owner
        self._fd = -1
        self._locked = False
        self._count = 0
        self._beaten = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def take(self, wait: bool) -> None:
        """Take the lease.

        Parameters
        ----------
        wait : bool
            Whether to wait for it as long as it takes.

        Raises
        ------
        JournalError
            When another scheduler holds it, and that is not to be waited for.
        """
        self._open()
        began = time.monotonic()
        seen = self._read()
        last = began  # when the holder said something
        while True:
            self._locked = self._locked or self._lock()
            now = self._read()
            if now.get("count") != seen.get("count") or now.get("owner") != seen.get("owner"):
                seen, last = now, time.monotonic()
            here = seen.get("host") == socket.gethostname()
            if self._locked and not self._is_there():  # removed, with the journal, by its holder
                self.close()
                self._open()
                continue
            if self._locked and (here or not seen.get("owner")) and fcntl is not None:
                break
            patience = _SILENT if self._locked or fcntl is None else _SILENT_LOCKED
            elsewhere = not here or fcntl is None
            if elsewhere and time.monotonic() - last > patience:
                break
            most = _ENDING if here else patience + 1.0
            if not wait and time.monotonic() - began > most:
                self.close()
                raise JournalError(
                    f"another scheduler writes the journal in {self.path.parent}: "
                    f"{_describe(seen)}. Name another place with --journal, or wait for its end "
                    "with --standby"
                )
            await asyncio.sleep(_POLL_INTERVAL)
        self._beat()

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)

    def _lock(self) -> bool:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except AttributeError:
            return True  # there are no such locks on this system
        except OSError:
            return False
        return True

    def _is_there(self) -> bool:
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(self._fd))
        except OSError:
            return False

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(os.pread(self._fd, _SIZE, 0) or b"{}")
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def describe_holder(self) -> str:
        """Say who holds it now."""
        return _describe(self._read())

    def _beat(self) -> None:
        """Say that we are there, in place: a full disk has room for that."""
        self._count += 1
        said = {
            "owner": self.owner,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "count": self._count,
        }
        try:
            os.pwrite(self._fd, json.dumps(said).encode().ljust(_SIZE), 0)
        except OSError:
            pass  # others take it for silence, as they should
        else:
            self._beaten = time.monotonic()
        self._timer = asyncio.get_running_loop().call_later(_BEAT, self._beat_if_mine)

    def _beat_if_mine(self) -> None:
        if self._read().get("owner") == self.owner:
            self._beat()

    def check(self) -> None:
        """Raise `JournalError` if another has taken it while we said nothing."""
        if time.monotonic() - self._beaten < _UNSURE:
            return
        if self._read().get("owner") != self.owner:
            silent = time.monotonic() - self._beaten
            raise JournalError(
                f"another scheduler has taken the journal in {self.path.parent}, while this one "
                f"said nothing for {silent:.1f} s: {self.describe_holder()}"
            )

    def close(self) -> None:
        """Let another have it."""
        if self._timer is not None:
            self._timer.cancel()
            if self._read().get("owner") == self.owner:
                os.pwrite(self._fd, b"{}".ljust(_SIZE), 0)
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self._locked = False


def _describe(said: dict[str, Any]) -> str:
    if not said.get("owner"):
        return "it does not say which"
    return f"{said['owner']}, process {said.get('pid')} on {said.get('host')}"
