"""The scripted cluster: what a test did not look at fails it, unless it follows from its words."""

from __future__ import annotations

import pytest
from scheduler_harness import Cluster

from shoal.wire import messages as m


def cluster_with_a_task() -> Cluster:
    cluster = Cluster()
    cluster.client("c")
    cluster.worker("w")
    cluster.graph("c", {"x": []})
    return cluster


def test_what_nobody_looked_at_is_named() -> None:
    cluster = cluster_with_a_task()
    with pytest.raises(AssertionError, match="nobody looked at Compute"):
        cluster.check_all_seen()
    cluster.ignore(m.Compute, why="the second half of this test")
    cluster.check_all_seen()


def test_only_what_is_there_can_be_ignored() -> None:
    cluster = cluster_with_a_task()
    with pytest.raises(AssertionError, match="no Free is left"):
        cluster.ignore(m.Compute, m.Free, why="this fails")


def test_results_that_the_test_reported_are_expected_and_no_others() -> None:
    cluster = cluster_with_a_task()
    cluster.done("w", *cluster.sent("w"))
    cluster.check_all_seen()
    cluster.reported.clear()
    with pytest.raises(AssertionError, match="KeysInMemory"):
        cluster.check_all_seen()
    cluster.told("c", m.KeysInMemory)
