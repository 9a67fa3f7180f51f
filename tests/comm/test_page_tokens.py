"""Tokens for the pages: who can make them, how long they are good, and that some count once."""

from __future__ import annotations

import dask
import pytest

from shoal.comm import certificates
from shoal.comm.keys import keys_of
from shoal.comm.page_tokens import BEARER, LINK, ONCE, SESSION, PageTokens
from shoal.comm.secret import Secret, new_secret


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_token_is_good_for_its_time_and_of_its_kind() -> None:
    clock = Clock()
    tokens = PageTokens([b"key"], clock=clock)
    made = {kind: tokens.make(kind, seconds=10) for kind in (LINK, SESSION)}
    assert {kind: tokens.check(token) for kind, token in made.items()} == {k: k for k in made}
    clock.now += 11
    assert [tokens.check(token) for token in made.values()] == [None, None]


def test_what_was_changed_or_made_elsewhere_is_not_good() -> None:
    tokens = PageTokens([b"key"])
    good = tokens.make(LINK)
    kind, until, nonce, signature = good.split("-")
    later = f"{int(until, 16) + 1:x}"
    for bad in (
        "",
        "-",
        "---",
        good[:-1],
        good + "a",
        f"{SESSION}-{until}-{nonce}-{signature}",
        f"{kind}-{later}-{nonce}-{signature}",
        f"l-zz-{nonce}-{signature}",
        "ü" * 40,
        "\udce4",
        PageTokens([b"other"]).make(LINK),
        PageTokens([b"other"]).bearer,
    ):
        assert tokens.check(bad) is None, bad
    assert tokens.check(good) == LINK


def test_one_that_counts_once_counts_once_and_is_then_forgotten() -> None:
    clock = Clock()
    tokens = PageTokens([b"key"], clock=clock)
    token = tokens.make(ONCE, seconds=10)
    assert [tokens.check(token), tokens.check(token)] == [ONCE, None]
    clock.now += 11
    assert tokens.check(tokens.make(ONCE)) == ONCE
    assert token not in tokens._used


def test_members_of_all_roles_admit_each_other_and_rotation_stops_nobody() -> None:
    old, new = new_secret(), new_secret()
    full = keys_of(Secret([old]))[0]
    scheduler = PageTokens.configured(Secret([new, old]))
    client = PageTokens.configured(certificates.export_role(full, "client"))
    assert scheduler.check(client.make(LINK)) == LINK
    assert scheduler.check(client.bearer) == BEARER
    assert PageTokens.configured(new).check(client.make(LINK)) is None


def test_the_configured_token_admits_and_a_weak_one_is_refused() -> None:
    token = new_secret()
    with dask.config.set({"shoal.dashboard.token": token}):
        tokens = PageTokens.configured(new_secret())
    assert tokens.bearer == token and tokens.check(token) == BEARER
    with (
        dask.config.set({"shoal.dashboard.token": "secret"}),
        pytest.raises(ValueError, match=r"shoal\.dashboard\.token.*too weak.*shoal secret new"),
    ):
        PageTokens.configured(new_secret())
