"""A worker's core with validation on, and short ways to say what happens to it.

A test fails that does not look at what an event made the core send (`Core.check_all_seen`, called
by the conftest here), unless that only passes on what the event said. A test that does not care
about a kind of message says so: `core.ignore(m.Failed, why="...")`.
"""

from __future__ import annotations

from typing import Any, ClassVar, cast

from looked_at import Unlooked

from shoal.wire import messages as m
from shoal.wire.blob import Blob
from shoal.worker.core import (
    Connected,
    DataAdded,
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
    kinds: list[str] = []
    agreed = True


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


class Looked:
    """The effects of an event, which note whether the test looks at what is sent."""

    def __init__(self, effects: Effects, number: int, core: Core) -> None:
        self._effects = effects
        self._number = number
        self._core = core

    def __getattr__(self, name: str) -> Any:
        if name == "send":
            self._core.unseen.pop(self._number, None)
        return getattr(self._effects, name)


# Of values and runs that come and go the state tells, which is checked after each event.
STRICT = ("interrupt", "abandon", "pause", "resume", "refuse", "leave", "replace", "close")


def follows(message: Any, event: Any) -> bool:
    """Whether a message only passes on what an event said: a run ended well, a value came."""
    if type(message) is m.Finished and isinstance(event, Outcomes):
        ended = {(x.key, x.run) for x in event.outcomes if x.kind == "ok"}
        return ended.issuperset(zip(message.keys, message.runs, strict=True))
    if type(message) is m.Acquired and isinstance(event, DataAdded):
        return set(event.keys).issuperset(message.keys)
    if type(message) is m.Acquired and isinstance(event, Fetched):
        return {key for key, _, _ in event.got}.issuperset(message.keys)
    return False


class Core:
    """A connected core; every method handles one event and returns its effects."""

    made: ClassVar[list[Core]] = []  # by the test that runs

    def __init__(self, connect: bool = True, **settings: Any) -> None:
        self.made.append(self)
        self.unseen: dict[int, Effects] = {}  # with messages that the test did not look at, by id
        self.machine = Machine(Settings(validate=True, **settings))
        self.now = 0.0
        self.effects = Unlooked(STRICT)
        if connect:
            self.handle(Connected())

    def handle(self, event: Any) -> Effects:
        effects = self.machine.handle(event, self.now)
        if not all(follows(message, event) for message in effects.send):
            self.unseen[id(effects)] = effects
        return cast("Effects", Looked(self.effects.watch(effects), id(effects), self))

    def ignore(self, *kinds: type, why: str) -> None:
        """Take all messages of some kinds, which must be there, without a look at them.

        `why` says what they are, or where else the test sees what they say.
        """
        assert why
        found = {type(message) for effects in self.unseen.values() for message in effects.send}
        for kind in kinds:
            assert kind in found, f"no {kind.__name__} is left to ignore"
        self.unseen = {
            number: effects
            for number, effects in self.unseen.items()
            if any(type(message) not in kinds for message in effects.send)
        }

    def check_all_seen(self) -> None:
        """Fail if the core sent something that the test did not look at."""
        left = [message for effects in self.unseen.values() for message in effects.send]
        kinds = sorted({type(message).__name__ for message in left})
        assert not left, f"nobody looked at {', '.join(kinds)}: {left}"
        self.effects.check()

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
