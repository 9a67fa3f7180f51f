"""Limits of the cost of unproven peers: bounded numbers, bounded texts, bounded logs."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from shoal.comm.frames import FrameProtocol

__all__ = ["HandshakeLimit", "Reports", "clean"]

_LONGEST: Final = 200
_MINUTE: Final = 60.0
_PEERS: Final = 256  # that are told apart; and reports of all others in a minute


def clean(text: object, longest: int = _LONGEST) -> str:
    """Return what a peer said as one short line without control characters.

    Any word of a peer that is logged, kept or raised goes through here.

    Examples
    --------
    >>> clean("one\\ntwo\\x1b[31m")
    'one\\\\ntwo\\\\x1b[31m'
    >>> clean("x" * 1000, longest=10)
    'xxxxxxxxxx... (1000 characters)'
    """
    found = str(text)
    short = found[:longest]
    if not short.isprintable():
        short = "".join(
            each if each.isprintable() else each.encode("unicode_escape").decode() for each in short
        )[: 4 * longest]
    return short if len(found) <= longest else f"{short}... ({len(found)} characters)"


class Reports:
    """Decides what is worth a line in the log: one a minute of each peer.

    Parameters
    ----------
    clock : callable
        Returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._peers: OrderedDict[str, list[float]] = OrderedDict()  # when it was said; since then

    def count(self, peer: str) -> int | None:
        """Count a report; return how many it stands for, or None where it is not to be said now.

        Parameters
        ----------
        peer : str
            The peer's host: strangers choose their ports.
        """
        now = self._clock()
        peers = self._peers
        found = peers.get(peer)
        if found is None and len(peers) >= _PEERS:
            oldest = next(iter(peers))
            if now - peers[oldest][0] >= _MINUTE:
                del peers[oldest]
            else:  # too many to tell them apart
                peer = ""
                found = peers.get(peer)
        if found is None:
            peers[peer] = [now, 0]
            return 1
        found[1] += 1
        if now - found[0] < _MINUTE:
            return None
        count, found[0], found[1] = int(found[1]), now, 0
        peers.move_to_end(peer)
        return count


class HandshakeLimit:
    """Counts handshakes under way, and makes room for newcomers.

    Parameters
    ----------
    limit : int
        Most at the same time.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._silent: OrderedDict[FrameProtocol, None] = OrderedDict()  # the oldest first
        self._proven: set[FrameProtocol] = set()

    def enter(self, protocol: FrameProtocol) -> FrameProtocol | None:
        """Let a newcomer begin; return the connection that has to go: a silent one, or its own."""
        if len(self._silent) + len(self._proven) < self.limit:
            self._silent[protocol] = None
            return None
        while self._silent:
            oldest, _ = self._silent.popitem(last=False)
            if oldest.has_proven:
                self._proven.add(oldest)
                continue
            self._silent[protocol] = None
            return oldest
        return protocol

    def leave(self, protocol: FrameProtocol) -> None:
        """A handshake ended, however it did."""
        self._silent.pop(protocol, None)
        self._proven.discard(protocol)

    def __len__(self) -> int:
        return len(self._silent) + len(self._proven)
