"""Names that are used again in simulated clusters: all ends well, and bugs are seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest

from shoal.client.core.machine import Machine as ClientMachine
from shoal.scheduler.core.handlers import client as client_handlers
from shoal.scheduler.core.handlers import graph, lives, worker
from shoal.simulation import Coverage, run_seed
from shoal.simulation.names import uses_names
from shoal.simulation.profiles import KINDS
from shoal.worker.core import data


def some_seeds(n: int, start: int = 0) -> Iterator[int]:
    """Yield seeds of lives in which names are used again, small ones."""
    seeds = (seed for seed in range(start, 10_000_000) if uses_names(seed) and seed % 16 != 1)
    return islice(seeds, n)


def live(seed: int, kind: str | None = None) -> Counter[str]:
    result = run_seed(seed, Coverage(), kind)
    assert result.failure is None, f"seed {seed}: {result.failure}"
    return result.messages


@pytest.mark.parametrize("kind", sorted(set(KINDS)))
def test_names_are_used_again_in_clusters_of_every_kind(kind: str) -> None:
    messages: Counter[str] = Counter()
    for seed in some_seeds(6, 50_000):
        messages += live(seed, kind)
    assert messages["Scattered"] and messages["KeysShared"]


# ------------------------------------------------------------------------------ deliberate bugs


def free_any_life(patch: pytest.MonkeyPatch) -> None:
    """A free of the last life takes what was put since."""
    patch.setattr(data, "_is_over", lambda s, key, life, mine: True)


def take_any_copy(patch: pytest.MonkeyPatch) -> None:
    """The scheduler takes a copy of an older life for one of the result."""
    for module in (lives, worker, client_handlers):
        patch.setattr(module, "is_life_of", lambda ts, life: True)


def hear_words_of_old_lives(patch: pytest.MonkeyPatch) -> None:
    """A client takes what is said of an older life for news of the new one."""
    patch.setattr(ClientMachine, "_heard", lambda self, heard: 1 << 62)


def keep_old_definitions(patch: pytest.MonkeyPatch) -> None:
    """A name that tasks still need keeps what it means."""
    patch.setattr(graph, "set_aside", lambda *args: False)


def forget_who_is_to_come(patch: pytest.MonkeyPatch) -> None:
    """What was put ends with the life it equals, though its client did not say so yet."""
    patch.setattr(worker, "add_want", lambda client, ts: None)


def bring_any_life(patch: pytest.MonkeyPatch) -> None:
    """A new scheduler takes what a worker brings for what a client means."""
    patch.setattr(lives, "claim", lambda s, ts, life: None)
    patch.setattr(graph, "claim", lambda s, ts, life: None)


@pytest.mark.parametrize(
    ("bug", "kind", "first"),
    [
        (free_any_life, "calm", 0),
        (take_any_copy, "calm", 0),
        (hear_words_of_old_lives, "calm", 120),
        (keep_old_definitions, "calm", 0),
        (forget_who_is_to_come, "calm", 150),
        (bring_any_life, "schedulers-die", 80),
    ],
)
def test_bugs_are_seen(monkeypatch: pytest.MonkeyPatch, bug: Any, kind: str, first: int) -> None:
    """Most are seen in the first lives; some only where words happen to cross."""
    bug(monkeypatch)
    with pytest.raises(AssertionError):
        for seed in some_seeds(100, first):
            live(seed, kind)
