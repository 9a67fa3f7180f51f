"""The dependents of some keys, at any distance. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shoal.client.core.state import ClientState, Record

__all__ = ["with_dependents"]


def with_dependents(s: ClientState, keys: Iterable[str]) -> dict[str, Record]:
    """Return the records of these keys and of all that depends on them."""
    table = s.records
    doomed = {key: table[key] for key in keys}
    grew = any(record.dependents for record in doomed.values())
    while grew:
        # Records mostly follow their inputs, so the second round mostly finds nothing new.
        grew = False
        for record in table.values():
            if record.key not in doomed and not doomed.keys().isdisjoint(record.deps):
                doomed[record.key] = record
                grew = True
    return doomed
