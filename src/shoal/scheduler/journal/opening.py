"""Whether a scheduler has a journal, and where: arguments first, then the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal import config
from shoal.scheduler.journal.journal import SchedulerJournal

if TYPE_CHECKING:
    from shoal.scheduler.context import SchedulerContext

__all__ = ["journal_for"]


def journal_for(
    scheduler: SchedulerContext,
    scheduler_file: str | None,
    journal: str | bool | None,
    sync: str | None,
    standby: bool,
) -> SchedulerJournal | None:
    """Return a scheduler's journal, not opened yet; None if it has none.

    Raises
    ------
    ValueError
        When a journal is asked for, and nothing says where.
    """
    folder = journal
    if folder is None:
        folder = config.get_optional_str("shoal.journal.path")
    temporary = folder is True
    if folder is True:
        if scheduler_file is None:
            raise ValueError(
                "journal=True puts the journal beside the scheduler file, and there is none: name "
                "a folder, journal='...'"
            )
        folder = f"{scheduler_file}.journal"
    if not folder:
        if standby:
            raise ValueError(
                "a standby goes on from another scheduler's journal: name its folder, "
                "journal='...', or the scheduler file that it lies beside"
            )
        return None

    def end(why: str) -> None:
        for streams in (scheduler.client_streams, scheduler.worker_streams):
            for peer in streams:
                streams.drop(peer)
        scheduler.close_soon(why)

    return SchedulerJournal(
        scheduler.id,
        str(folder),
        sync or config.get_str("shoal.journal.sync"),
        standby=standby,
        temporary=temporary,
        carry_on=scheduler.carry_on,
        end=end,
    )
