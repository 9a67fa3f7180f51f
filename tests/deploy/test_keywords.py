"""Keywords that are wrong are refused before anything is started."""

from __future__ import annotations

from typing import Any

import pytest

from shoal import Client, LocalCluster
from shoal.deploy.keywords import refuse_unknown_keywords
from shoal.nanny.nanny import Nanny
from shoal.worker.worker import Worker


class OwnWorker(Worker):
    def __init__(self, *args: Any, gpus: int = 0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)


class Strict(Worker):
    def __init__(self, address: str, *, gpus: int = 0) -> None:
        super().__init__(address)


@pytest.mark.parametrize("processes", [True, False])
def test_a_typo_is_named_with_what_was_meant(processes: bool) -> None:
    with pytest.raises(TypeError, match=r"'n_worker'; did you mean 'n_workers'"):
        LocalCluster(n_worker=3, processes=processes)
    with pytest.raises(TypeError, match=r"'memory_limt'; .*memory_limit"):
        Client(memory_limt="1 GB", processes=processes)
    with pytest.raises(TypeError, match=r"'zebra_xyz'$"):
        LocalCluster(scheduler_kwargs={"zebra_xyz": 1}, processes=processes)


def test_all_wrong_names_are_told_at_once() -> None:
    with pytest.raises(TypeError, match=r"'a_b_c'; .*'x_y_z'"):
        refuse_unknown_keywords(LocalCluster, ["x_y_z", "nthreads", "a_b_c"], [lambda: Worker])


def test_a_class_of_ones_own_takes_what_it_takes() -> None:
    refuse_unknown_keywords(LocalCluster, ["gpus", "anything"], [lambda: Nanny, lambda: OwnWorker])
    refuse_unknown_keywords(LocalCluster, ["gpus", "nthreads"], [lambda: Strict])
    with pytest.raises(TypeError, match="did you mean 'gpus'"):
        refuse_unknown_keywords(LocalCluster, ["gpu"], [lambda: Strict])


def test_later_targets_are_looked_at_only_when_they_are_needed() -> None:
    def never() -> type:
        raise AssertionError("asked for")

    refuse_unknown_keywords(LocalCluster, ["env", "nthreads"], [lambda: Nanny, never])
