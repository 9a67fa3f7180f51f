"""The order in which a client's core hears of what users' threads did."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from shoal.client.core.events import Released, Submitted
from shoal.client.core.state import Record
from shoal.client.session.session import Session


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A session without a loop, whose core writes down what it is told."""
    made = Session(SimpleNamespace(), "client", None, {})  # type: ignore[arg-type]
    told: list[Any] = []
    monkeypatch.setattr(made.applier, "feed", told.append)
    return SimpleNamespace(session=made, told=told)


def keys_of(told: list[Any]) -> list[tuple[str, list[str]]]:
    return [
        ("submitted", [record.key for record in event.records])
        if isinstance(event, Submitted)
        else ("released", list(event.keys))
        for event in told
        if isinstance(event, (Submitted, Released))
    ]


def test_a_known_key_outlives_what_is_submitted_with_it(session: Any) -> None:
    """Its only future goes, in the outbox, while a graph that found the key needs it."""
    s = session.session
    known = s.share(Record("known"))
    s.outbox.flush()
    assert s.find("known") is known
    s.release(known)  # not flushed yet
    s.share_graph([Record("new", deps=("known",))])
    s.release_now([known])
    s.outbox.flush()
    assert keys_of(session.told) == [
        ("submitted", ["known"]),
        ("submitted", ["new"]),
        ("released", ["known"]),
    ]
    assert list(s.records) == ["new"]


def test_a_key_whose_last_future_is_gone_begins_a_new_life(session: Any) -> None:
    """Though the loop has not counted it down yet."""
    s = session.session
    first = s.share(Record("x"))
    s.outbox.flush()
    s.release(first)
    assert s.find("x") is None
    second = s.share(Record("x"))
    assert second is not first
    s.outbox.flush()
    assert keys_of(session.told) == [
        ("submitted", ["x"]),
        ("released", ["x"]),
        ("submitted", ["x"]),
    ]
    assert (first.futures, first.ending) == (0, 0)
    assert s.records == {"x": second}


def test_graphs_and_maps_begin_new_lives_as_well(session: Any) -> None:
    s = session.session
    first = s.share(Record("x"))
    s.outbox.flush()
    s.release(first)
    (second,) = s.share_all([Record("x"), Record("y")])[:1]
    assert second is not first
    s.outbox.flush()
    s.release(second)
    (third,) = s.share_graph([Record("x")])
    assert third is not second
    s.outbox.flush()
    assert s.records["x"] is third
    assert [keys for kind, keys in keys_of(session.told) if kind == "released"] == [["x"], ["x"]]


def test_what_has_no_other_future_is_released_at_once(session: Any) -> None:
    s = session.session
    record = s.share(Record("x"))
    s.outbox.flush()
    s.release_now([record])
    assert s.find("x") is None
    again = s.share(Record("x"))
    assert again is not record
    s.outbox.flush()
    assert keys_of(session.told) == [
        ("submitted", ["x"]),
        ("released", ["x"]),
        ("submitted", ["x"]),
    ]
