"""Which way leads to a peer: tried, remembered for a while, and tried again."""

from __future__ import annotations

from shoal._base.routes import Routes

PEER = "tcp://10.0.0.2:4000"


def test_the_straight_way_is_tried_first() -> None:
    assert Routes().straight(PEER, 0.0)


def test_a_wall_is_news_once_and_is_not_run_against_again() -> None:
    routes = Routes()
    assert routes.led_around(PEER, 3.0)
    assert not routes.straight(PEER, 4.0)
    assert not routes.led_around(PEER, 4.0)
    assert routes.straight("tcp://10.0.0.3:4000", 4.0)
    assert routes.walled == [PEER]


def test_a_wall_is_tried_anew_now_and_then_and_ever_less() -> None:
    routes = Routes()
    routes.led_around(PEER, 0.0)
    assert routes.straight(PEER, 60.0)
    assert not routes.led_around(PEER, 63.0)  # it stands still: no news
    assert not routes.straight(PEER, 182.0)
    assert routes.straight(PEER, 183.0)
    for _ in range(20):
        routes.led_around(PEER, 10_000.0)
    assert routes.straight(PEER, 10_000.0 + 960.0)


def test_a_wall_that_was_taken_down_is_forgotten() -> None:
    routes = Routes()
    routes.led_around(PEER, 0.0)
    routes.led_there(PEER)
    assert routes.straight(PEER, 1.0)
    assert routes.led_around(PEER, 2.0)


def test_a_peer_that_no_way_leads_to_is_tried_straight_again() -> None:
    routes = Routes()
    routes.led_around(PEER, 0.0)
    routes.forget(PEER)
    assert routes.straight(PEER, 1.0)
