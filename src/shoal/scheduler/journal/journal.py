"""A scheduler's journal in a folder: taken, read, written anew, and written from then on."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from shoal.errors import JournalError
from shoal.scheduler.core.journal import recorder as r
from shoal.scheduler.core.journal.format import read
from shoal.scheduler.core.journal.restoring import fold
from shoal.scheduler.core.journal.writer import POLICIES, JournalWriter
from shoal.scheduler.journal.disk import FileDisk
from shoal.scheduler.journal.lease import Lease

if TYPE_CHECKING:
    from shoal.scheduler.core.journal.recorder import Change

__all__ = ["SchedulerJournal"]

logger = logging.getLogger("shoal.scheduler.journal")

_NAMES = {
    r.ITEM: "queue items",
    r.VARIABLE: "variables",
    r.DATASET: "datasets",
    r.FLAG: "events that are set",
    r.HELD: "locks and leases",
    r.FIRED: "tasks to forget",
    r.NOTE: "notes",
    r.TASK: "tasks",
    r.EVENT: "logged events",
}


class SchedulerJournal:
    """The journal of one scheduler.

    Parameters
    ----------
    owner : str
        The scheduler's id.
    folder : str
        Where it is; made when it is not there.
    sync : {"always", "turn", "never"}
        When records must be on disk.
    standby : bool
        Whether to wait until no other scheduler writes it.
    temporary : bool
        Whether the journal goes when the scheduler is closed, which a user asked for.
    carry_on : callable
        Called when what waited for the disk may go on.
    end : callable
        Called, with the reason, when another scheduler has taken the journal: nobody may hear
        anything more of this one.
    """

    def __init__(
        self,
        owner: str,
        folder: str,
        sync: str,
        *,
        standby: bool = False,
        temporary: bool = False,
        carry_on: Callable[[], None],
        end: Callable[[str], None],
    ) -> None:
        if sync not in POLICIES:
            raise ValueError(f"journal_sync is one of {', '.join(POLICIES)}, not {sync!r}")
        self.folder = Path(folder).absolute()
        self.path = self.folder / "journal"
        self._sync = sync
        self._owner = owner
        self._carry_on = carry_on
        self._end = end
        self._standby = standby
        self._temporary = temporary
        self._lease: Lease | None = None
        self._disk: FileDisk | None = None
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._taken = False
        self._closed = False
        self.writer: JournalWriter | None = None

    async def open(self) -> list[Change]:
        """Take the journal, and return what it says.

        Raises
        ------
        JournalError
            When another scheduler has it, or it cannot be read.
        OSError
            When the folder cannot be used.
        """
        self._lease = Lease(self.folder, self._owner)
        if self._standby:
            logger.info("Standby: waiting until nobody else writes the journal in %s", self.folder)
        await self._lease.take(self._standby)
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            logger.info("Journal begun in %s", self.folder)
            return []
        try:
            found = read(data, str(self.path))
        except JournalError:
            self._lease.close()
            raise
        if found.problem:
            torn = self.path.with_name("journal.torn")
            with contextlib.suppress(OSError):
                torn.unlink(missing_ok=True)
                os.link(self.path, torn)
            logger.warning(
                "The journal %s: %s. Its writer ended in the midst of it, and told nobody that it "
                "was done; it is left out (and kept in %s)",
                *(self.path, found.problem, torn.name),
            )
        counts = Counter(kind for kind, _ in fold(found.changes))
        there = [f"{n} {_NAMES[kind]}" for kind, n in sorted(counts.items()) if kind in _NAMES]
        logger.info("Restored from %s: %s", self.path, ", ".join(there) or "nothing")
        return found.changes

    def begin(self, snapshot: Callable[[], list[Change]]) -> JournalWriter:
        """Write all that is alive to a new file, and all that changes from now on.

        Where that fails it is said, and tried again.
        """
        self._disk = FileDisk(self.path, self._check, self._sync == "always")
        writer = JournalWriter(
            self._disk, self._sync, snapshot, time.time_ns() >> 10, self._synced, self._tell
        )
        self.writer = self._disk.writer = writer
        try:
            writer.begin()
        except OSError as error:
            self._tell(
                "error",
                f"the journal cannot be written ({error}): the cluster works, but a scheduler that "
                "starts anew will know what the last one knew. It is tried again",
            )
            self._disk.retry_later()
        return writer

    def _check(self) -> None:
        assert self._lease is not None
        if self._taken:
            raise OSError("another scheduler has taken the journal")
        try:
            self._lease.check()
        except JournalError as error:
            self._taken = True
            logger.error("Closing: %s", error)
            self._end(str(error))
            raise OSError(str(error)) from None

    def _synced(self) -> None:
        asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        if self._closed:
            return
        self._carry_on()
        assert self.writer is not None
        for position, waiter in self._waiters:
            if position <= self.writer.synced and not waiter.done():
                waiter.set_result(None)
        self._waiters = [found for found in self._waiters if not found[1].done()]

    async def settled(self) -> None:
        """Wait until what was written so far is as safe as it must be."""
        writer = self.writer
        if writer is None or writer.synced >= writer.position:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((writer.position, waiter))
        await waiter

    def _tell(self, level: str, text: str) -> None:
        getattr(logger, level)("%s: %s", self.folder, text)

    def close(self, over: bool) -> None:
        """Write no more; `over`: nobody is to begin from it."""
        if self._disk is not None:
            self._disk.close()
        self._closed = True
        for _, waiter in self._waiters:
            waiter.cancel()
        if over and self._temporary and not self._taken:
            for name in ("journal", "journal.torn"):
                with contextlib.suppress(OSError):
                    self.folder.joinpath(name).unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                self.folder.joinpath("lease").unlink()
                self.folder.rmdir()
        if self._lease is not None:
            self._lease.close()
