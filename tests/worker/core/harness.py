"""A worker's core with validation on, and short ways to say what happens to it."""

from __future__ import annotations

from typing import Any

from shoal.wire import messages as m
from shoal.wire.blob import Blob
from shoal.worker.core import (
    Connected,
    Effects,
    Fetched,
    FetchFailed,
    FromScheduler,
    Machine,
    Outcome,
    Outcomes,
    Revoked,
    Settings,
    TaskRun,
)


class Failure:
    """Looks like what the executor makes of an exception."""

    exception = Blob(b"exception")
    traceback = Blob(b"traceback")
    exception_text = "ValueError()"
    traceback_text = "line 1"


def compute(
    key: str,
    run: int = 1,
    deps: dict[str, list[str]] | None = None,
    resources: dict[str, float] | None = None,
    priority: int = 0,
    nbytes: int = 10,
) -> m.Compute:
    deps = deps or {}
    return m.Compute(
        key,
        run,
        b"function",
        b"args",
        (0.0, 0, priority),
        0.001,
        True,
        deps=list(deps),
        dep_nbytes=[nbytes] * len(deps),
        dep_holders=list(deps.values()),
        options=None if resources is None else m.TaskOptions(resources=resources),
    )


class Core:
    """A connected core; every method handles one event and returns its effects."""

    def __init__(self, connect: bool = True, **settings: Any) -> None:
        self.machine = Machine(Settings(validate=True, **settings))
        self.now = 0.0
        if connect:
            self.handle(Connected())

    def handle(self, event: Any) -> Effects:
        return self.machine.handle(event, self.now)

    def say(self, *messages: Any) -> Effects:
        return self.handle(FromScheduler(list(messages)))

    def ends(self, task: TaskRun, kind: str = "ok", **fields: Any) -> Effects:
        failure = Failure() if kind == "error" else None
        outcome = Outcome(task.key, task.run, kind, 1.0, 2.0, 5, "int", failure=failure, **fields)
        return self.handle(Outcomes([outcome]))

    def got(self, peer: str, *keys: str, absent: tuple[str, ...] = ()) -> Effects:
        return self.handle(Fetched(peer, [(key, 10, "int") for key in keys], list(absent)))

    def fails(self, peer: str, *keys: str) -> Effects:
        return self.handle(FetchFailed(peer, list(keys), "no route"))

    def revoked(self, *tasks: TaskRun) -> Effects:
        return self.handle(Revoked(list(tasks), []))

    def kept(self, *tasks: TaskRun) -> Effects:
        return self.handle(Revoked([], list(tasks)))

    def state(self, key: str) -> str | None:
        return self.machine.where(key)
