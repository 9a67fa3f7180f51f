"""The restart policy: what to do after a process ended.

A process that ended on purpose is not replaced, unless it asked for that (`lifetime-restart`). One
that died is replaced at once when it had a good start, and after growing pauses when it dies again
and again. One that never came up is tried a few times and then given up: it will not come up.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["Close", "Decision", "End", "Restart", "RestartPolicy"]


class End(enum.Enum):
    """How a process came to its end."""

    CLOSED = "closed on purpose"
    ASKED_RESTART = "closed on purpose and asks for a new one"
    DIED = "died"
    NEVER_STARTED = "ended before it was up"


@dataclass(frozen=True, slots=True)
class Restart:
    """Start a new process after `delay` seconds."""

    delay: float


@dataclass(frozen=True, slots=True)
class Close:
    """Start no other; close the nanny."""

    reason: str


Decision: TypeAlias = Restart | Close


@dataclass(slots=True)
class RestartPolicy:
    """Decides after each end of a process; told of starts and ends, with the time of each.

    Parameters
    ----------
    restart : bool
        Replace processes that died at all.
    pauses : tuple of float
        Seconds before the first, second, ... restart in a row; the last counts for all later ones.
    settled : float
        A process that was up this many seconds had a good start: the row begins anew.
    attempts : int
        How many processes in a row may end before they are up, when none ever was.
    later_attempts : int
        The same after one was up. It is known to be possible then, and what ends a process so soon
        may be its first task.
    """

    restart: bool = True
    pauses: tuple[float, ...] = (0.0, 1.0, 2.0, 5.0, 10.0, 30.0)
    settled: float = 10.0
    attempts: int = 5
    later_attempts: int = 20

    _up_since: float | None = None
    _deaths: int = 0  # in a row
    _ever_up: bool = False
    _failures: int = 0  # starts in a row that came to nothing

    def came_up(self, now: float) -> None:
        """Note that the process is up."""
        self._up_since = now
        self._ever_up = True
        self._failures = 0

    def ended(self, end: End, now: float, *, by_task: bool = False) -> Decision:
        """Note that the process ended, and say what to do.

        Parameters
        ----------
        end : End
            How it ended.
        now : float
            Seconds of the caller's clock.
        by_task : bool
            It died in the midst of a task, which is counted against the task: the next process
            need not wait for it.
        """
        up_since, self._up_since = self._up_since, None
        if end is End.CLOSED:
            return Close("it closed on purpose")
        if end is End.ASKED_RESTART:
            self._deaths = 0
            return Restart(0.0)
        if not self.restart:
            return Close("restarts are switched off")
        if by_task and end is End.DIED:
            return Restart(0.0)
        if end is End.NEVER_STARTED:
            self._failures += 1
            if self._failures >= (self.later_attempts if self._ever_up else self.attempts):
                return Close(f"{self._failures} processes in a row did not come up")
        elif up_since is not None and now - up_since >= self.settled:
            self._deaths = 0
        pause = self.pauses[min(self._deaths, len(self.pauses) - 1)]
        self._deaths += 1
        return Restart(pause)
