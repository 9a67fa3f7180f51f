"""Policies of the active memory manager by name, from the configuration."""

from __future__ import annotations

from typing import Any

import dask
import pytest

from shoal.scheduler.memory_manager import _configured

KEY = "distributed.scheduler.active-memory-manager.policies"


class Suggests:
    done = False

    def __init__(self, n: int = 0) -> None:
        self.n = n

    def suggest(self, state: Any) -> Any:
        return iter(())


class SuggestsNot:
    pass


def test_the_default_drops_copies() -> None:
    (policy,) = _configured()
    assert type(policy).__name__ == "ReduceReplicas"


def test_others_are_found_by_their_names_and_get_arguments() -> None:
    with dask.config.set({KEY: [{"class": f"{__name__}.Suggests", "n": 3}]}):
        (policy,) = _configured()
    assert type(policy).__name__ == "Suggests" and policy.n == 3  # type: ignore[attr-defined]
    with dask.config.set({KEY: []}):
        assert _configured() == []


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("ReduceReplicas", "is a mapping with the name of a class"),
        ({"class": "nowhere.Policy"}, "cannot be had: No module named 'nowhere'"),
        ({"class": f"{__name__}.SuggestsNot"}, "has no suggest"),
        ({"class": "distributed.active_memory_manager.RetireWorker"}, "cannot be had"),
    ],
)
def test_what_is_no_policy_is_refused_in_words(given: Any, why: str) -> None:
    with dask.config.set({KEY: [given]}), pytest.raises(ValueError, match=why):
        _configured()
