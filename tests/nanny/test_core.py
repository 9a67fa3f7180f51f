"""The restart policy and the memory threshold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.nanny.core import Close, End, MemoryLimit, Restart, RestartPolicy


def test_a_process_that_closed_on_purpose_is_not_replaced():
    policy = RestartPolicy()
    policy.came_up(0)
    assert policy.ended(End.CLOSED, 5) == Close("it closed on purpose")


def test_a_process_that_asks_for_it_is_replaced_at_once_however_often():
    policy = RestartPolicy()
    for now in range(20):
        policy.came_up(now)
        assert policy.ended(End.ASKED_RESTART, now) == Restart(0)


def test_deaths_in_a_row_make_longer_pauses():
    policy = RestartPolicy(pauses=(0, 1, 5))
    pauses = []
    for now in range(5):
        policy.came_up(now)
        pauses.append(policy.ended(End.DIED, now + 1))
    assert pauses == [Restart(0), Restart(1), Restart(5), Restart(5), Restart(5)]


def test_a_process_that_was_up_for_long_begins_the_row_anew():
    policy = RestartPolicy(pauses=(0, 1, 5), settled=10)
    for now in range(3):
        policy.came_up(now)
        policy.ended(End.DIED, now + 0.5)
    policy.came_up(10)
    assert policy.ended(End.DIED, 20) == Restart(0)
    policy.came_up(20)
    assert policy.ended(End.DIED, 29.9) == Restart(1)


def test_processes_that_never_come_up_are_given_up():
    policy = RestartPolicy(attempts=3)
    assert policy.ended(End.NEVER_STARTED, 0) == Restart(0)
    assert policy.ended(End.NEVER_STARTED, 1) == Restart(1)
    assert policy.ended(End.NEVER_STARTED, 3) == Close("3 processes in a row did not come up")


def test_one_that_comes_up_ends_the_row_of_failures():
    policy = RestartPolicy(attempts=2)
    for now in range(0, 100, 10):
        assert isinstance(policy.ended(End.NEVER_STARTED, now), Restart)
        policy.came_up(now + 1)
        assert isinstance(policy.ended(End.DIED, now + 2), Restart)


def test_restarts_can_be_switched_off():
    policy = RestartPolicy(restart=False)
    policy.came_up(0)
    assert policy.ended(End.DIED, 1) == Close("restarts are switched off")
    assert policy.ended(End.ASKED_RESTART, 1) == Restart(0)


@given(
    st.lists(st.tuples(st.sampled_from([End.DIED, End.NEVER_STARTED]), st.floats(0, 100))),
)
def test_a_dying_process_never_makes_a_busy_loop(ends):
    """Over any row of deaths the pauses and lifetimes add up: about one start a second."""
    policy = RestartPolicy()
    now = 0.0
    for starts, (end, lifetime) in enumerate(ends, 1):
        if end is End.DIED:
            policy.came_up(now)
        now += lifetime
        decision = policy.ended(end, now)
        if isinstance(decision, Close):
            break
        now += decision.delay
        assert starts <= 2 + now


@pytest.mark.parametrize(
    ("limit", "fraction", "used", "exceeded"),
    [
        (1000, 0.95, 950, False),
        (1000, 0.95, 951, True),
        (0, 0.95, 10**12, False),
        (1000, None, 10**12, False),
        (1000, 0.0, 10**12, False),
    ],
)
def test_memory_limit(limit, fraction, used, exceeded):
    assert MemoryLimit(limit, fraction).exceeded_by(used) is exceeded


def test_a_process_that_was_up_once_gets_more_attempts():
    policy = RestartPolicy(attempts=2, later_attempts=3)
    policy.came_up(0)
    policy.ended(End.DIED, 1)
    assert isinstance(policy.ended(End.NEVER_STARTED, 2), Restart)
    assert isinstance(policy.ended(End.NEVER_STARTED, 3), Restart)
    assert isinstance(policy.ended(End.NEVER_STARTED, 4), Close)


def test_a_death_that_a_task_caused_makes_nobody_wait():
    policy = RestartPolicy(pauses=(0, 1, 5))
    policy.came_up(0)
    for now in range(1, 6):
        assert policy.ended(End.DIED, now, by_task=True) == Restart(0.0)
        policy.came_up(now)
    assert policy.ended(End.DIED, 7) == Restart(0)
    assert policy.ended(End.DIED, 8) == Restart(1)
