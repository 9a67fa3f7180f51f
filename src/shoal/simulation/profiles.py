"""The kinds of lives that clusters have: drawn from the seed, or chosen by name."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

__all__ = ["JOURNAL", "KINDS", "Profile", "profile_for"]

KINDS = (
    "calm",
    "workers-die",
    "schedulers-die",
    "connections-break",
    "partitions",
    "members-change",
    "everything",
    "everything",
    "tasks-kill",
    "tasks-overrun",
)


JOURNAL = "journal"
"""Only when it is asked for: a journal, and a disk that fails with its scheduler."""


@dataclass(frozen=True, slots=True)
class Profile:
    """The sizes, workloads and faults of one cluster's life."""

    kind: str
    workers: int
    clients: int
    tasks: int  # of one graph, about
    actions: int  # of one client
    seconds: float  # of one task, about
    quirks: float  # the share of tasks that are special
    deadly: float  # the share of tasks that kill the process that runs them
    overrun: float  # the share of tasks that do not end by themselves
    churn: bool  # users cancel, release, retry and fire
    faults: dict[str, float]  # weights
    fault_count: int
    horizon: float  # faults happen before this time
    allowed_failures: int
    no_workers_timeout: float | None = None

    @property
    def only_schedulers_die(self) -> bool:
        """Whether the scheduler's death is all that happens."""
        return self.kind == "schedulers-die"


_FAULTS: dict[str, dict[str, float]] = {
    "calm": {},
    "workers-die": {"kill-worker": 1.0},
    "schedulers-die": {"kill-scheduler": 1.0},
    "connections-break": {"break-connection": 3.0, "break-questions": 1.0, "lose-data": 1.0},
    "partitions": {"cut-off": 3.0, "spike": 2.0, "slow": 2.0, "pause": 2.0},
    "members-change": {
        "join": 2.0,
        "leave": 1.0,
        "retire": 2.0,
        "vanish": 0.5,
        "new-client": 1.0,
        "restart": 0.3,
    },
}
_FAULTS["tasks-kill"] = {}
_FAULTS["tasks-overrun"] = {}
_FAULTS["everything"] = {
    name: weight for faults in list(_FAULTS.values()) for name, weight in faults.items()
}
_FAULTS[JOURNAL] = {"kill-scheduler": 2.0, "full-disk": 1.0}


def profile_for(seed: int, kind: str | None = None, tasks: int | None = None) -> Profile:
    """Return the profile of a seed.

    Parameters
    ----------
    seed : int
        The seed.
    kind : str, optional
        One of `KINDS`, or `JOURNAL`; drawn from the seed otherwise.
    tasks : int, optional
        How many tasks a graph should have, about; with thousands, it is the only one.
    """
    rng = Random(f"profile {seed}")
    kind = kind or KINDS[seed % len(KINDS)]
    many = seed % 16 == 1 and kind != JOURNAL
    size = tasks or (400 if many else rng.choice([5, 15, 40] if kind != JOURNAL else [2, 5, 15]))
    seconds = rng.choice([0.002, 0.02, 0.2]) if size < 100 else 0.01
    alone = size >= 5000
    actions = 1 if alone else 2 if size >= 100 else rng.randint(3, 12)
    count = rng.randint(1, 6) if _FAULTS[kind] else 0
    if kind == "schedulers-die":
        count = rng.randint(1, 2)
    return Profile(
        kind=kind,
        workers=rng.randint(1, 5),
        clients=1 if alone else rng.choice([1, 1, 2, 3]) + (kind == JOURNAL),
        tasks=size,
        actions=actions,
        seconds=seconds,
        quirks=rng.choice([0.0, 0.1, 0.3]) if kind != JOURNAL else 0.0,
        deadly=rng.choice([0.02, 0.1]) if kind == "tasks-kill" else 0.0,
        overrun=0.1 if kind == "tasks-overrun" else 0.0,
        churn=rng.random() < 0.7 and kind != JOURNAL,
        faults=_FAULTS[kind],
        fault_count=count,
        horizon=rng.choice([0.3, 2.0, 6.0]),
        allowed_failures=rng.choice([0, 1, 3] if kind.startswith("tasks-") else [0, 3, 100]),
        no_workers_timeout=rng.choice([None, None, 20.0]),
    )
