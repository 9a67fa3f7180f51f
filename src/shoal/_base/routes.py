"""Which way leads to a peer: straight, or through the scheduler. Decisions only, no sockets.

A process finds out by itself that it cannot reach a peer: it tries. Where the straight way fails
and the other leads there, there is a wall between the two, and for a while nobody runs against it
again. The shell tells what came of an attempt and what the time is; the simulator does the same.
"""

from __future__ import annotations

__all__ = ["Routes"]

_AGAIN = 60.0  # seconds until a wall is tried anew; twice as long each time, up to
_LONGEST = 960.0


class Routes:
    """The ways to the peers of one process, as far as they are known.

    Examples
    --------
    >>> routes = Routes()
    >>> routes.straight("tcp://10.0.0.2:4000", now=0.0)
    True
    >>> routes.led_around("tcp://10.0.0.2:4000", now=3.0)
    True
    >>> routes.straight("tcp://10.0.0.2:4000", now=4.0)
    False
    """

    def __init__(self) -> None:
        self._walls: dict[str, tuple[float, float]] = {}  # until when, and for how long by then

    def straight(self, address: str, now: float) -> bool:
        """Whether the straight way to a peer is to be tried; else the other one, at once."""
        wall = self._walls.get(address)
        return wall is None or now >= wall[0]

    def led_there(self, address: str) -> None:
        """The straight way led to a peer: there is no wall, or none any more."""
        self._walls.pop(address, None)

    def led_around(self, address: str, now: float) -> bool:
        """The straight way had failed, and the other one led to a peer.

        Returns
        -------
        bool
            Whether that is news.
        """
        wall = self._walls.get(address)
        if wall is not None and now < wall[0]:
            return False
        seconds = _AGAIN if wall is None else min(2 * wall[1], _LONGEST)
        self._walls[address] = now + seconds, seconds
        return wall is None

    def forget(self, address: str) -> None:
        """Neither way led to a peer: what was believed of it says nothing any more."""
        self._walls.pop(address, None)

    @property
    def walled(self) -> list[str]:
        """The peers that are reached through the scheduler."""
        return list(self._walls)
