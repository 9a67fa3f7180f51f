"""The work of tasks and their right results: the reference for a simulated cluster.

A value is a digest of the task's key and its inputs' values, so a wrong, missing or swapped input
anywhere changes every value that was computed from it.

Names that are used again (see `names`) mean another spec each time: its key is the name and a
version, ``name#3``. On the wire there is the name; a task's arguments say the version.
"""

from __future__ import annotations

from hashlib import blake2b

from shoal._base.keys import without_life
from shoal.wire.blob import Blob
from shoal.wire.messages import TaskOptions

__all__ = ["USERS_ERROR", "Model", "Spec", "function_id", "is_name", "name_of"]

USERS_ERROR = "users.Error"
"""The exception of tasks that fail."""

_VERSION = "#"
_INLINE = 1024  # results up to this size travel with the message that they are done


def function_id(name: str) -> bytes:
    """Return the id of a function."""
    return name.encode().ljust(16, b".")


def is_name(key: str) -> bool:
    """Whether a wire key is one of those names that are used again; only `names` knows how."""
    return key.startswith("again-")


def name_of(key: str) -> str:
    """Return the name of a version, or the key of what is no version."""
    return key.partition(_VERSION)[0]


class Spec:
    """The work of one task, and a count of its runs.

    `kind` is ``"ok"``, ``"error"`` (it always fails), ``"flaky"`` (its first `times` runs fail),
    ``"reschedule"`` (its first `times` runs ask to run elsewhere), ``"secede"``, ``"deadly"`` (it
    kills the process that runs it), ``"endless"`` or ``"stubborn"`` (see `limited`), ``"actor"``
    (its result lives where it was made) or ``"data"`` (scattered, no task).
    """

    __slots__ = (
        "completed",
        "deps",
        "ended",
        "function",
        "home",
        "key",
        "kind",
        "nbytes",
        "not_before",
        "options",
        "overran",
        "priority",
        "seconds",
        "started",
        "times",
    )

    def __init__(
        self,
        key: str,
        function: str = "data",
        deps: tuple[str, ...] = (),
        seconds: float = 0.0,
        nbytes: int = 28,
        kind: str = "ok",
        times: int = 0,
        options: TaskOptions | None = None,
        priority: float = 0.0,
    ) -> None:
        self.key = key
        self.function = function
        self.deps = deps
        self.seconds = seconds
        self.nbytes = nbytes
        self.kind = kind
        self.times = times
        self.options = options
        self.priority = priority
        self.started = 0
        self.ended = 0  # runs that failed or asked to run elsewhere
        self.completed = 0
        self.overran = 0  # runs that were stopped because their time was over
        self.not_before = 0.0  # as its retry policy says
        self.home = ""  # of an actor: where it was made, as a proxy of it says

    @property
    def always_works(self) -> bool:
        """Whether no error of its own may be the end of it."""
        if self.kind == "flaky":
            return (
                self.options is not None
                and self.options.retries >= self.times
                and not self.fails_for_good
            )
        return self.kind not in ("error", "deadly")

    @property
    def has_timeout(self) -> bool:
        """Whether a run of it may only take so long."""
        return self.options is not None and self.options.timeout > 0

    @property
    def fails_for_good(self) -> bool:
        """Whether its policy says that an error as it raises is not worth another try."""
        policy = None if self.options is None else self.options.retry
        return policy is not None and bool(policy.on) and USERS_ERROR not in policy.on

    def note_failure(self, now: float) -> None:
        """A run failed; the least that its policy has it wait for the next."""
        policy = None if self.options is None else self.options.retry
        if policy is not None:
            pause = policy.delay * policy.backoff ** (self.ended - 1)
            self.not_before = now + pause * (0.5 if policy.jitter else 1.0)


class _Specs(dict[str, Spec]):
    """Specs by key, and by what stands for it on the wire."""

    def __missing__(self, key: str) -> Spec:
        name = without_life(key)  # a life that had to make way for another
        if name == key:
            raise KeyError(key)
        return self[name]


class Model:
    """All tasks of a cluster's life, by key."""

    def __init__(self) -> None:
        self.specs = _Specs()
        self.versions: dict[str, list[str]] = {}  # of names that are used again
        self._wires: dict[str, str] = {}  # of versions that do not go by their name on the wire
        self._values: dict[str, bytes] = {}

        self._dependents: dict[str, dict[str, None]] = {}
        self._needing: dict[str, tuple[int, set[str]]] = {}  # with the number of tasks known then

    def add(self, spec: Spec) -> None:
        """Learn a task."""
        self.specs[spec.key] = spec
        if _VERSION in spec.key:
            name = name_of(spec.key)
            self.specs[name] = spec
            self.versions.setdefault(name, []).append(spec.key)
        for dep in spec.deps:
            self._dependents.setdefault(dep, {})[spec.key] = None

    def wire(self, key: str) -> str:
        """Return what stands for a spec's key on the wire."""
        return self._wires.get(key) or name_of(key)

    def goes_by(self, key: str, wire: str) -> None:
        """A version of a name has another name on the wire, for its own is still in use."""
        self._wires[key] = wire

    def meanings(self, wire: str) -> list[str]:
        """Return all that a wire key may have meant so far."""
        name = without_life(wire)
        return self.versions.get(name, [name])

    def compute(self, key: str, inputs: list[bytes]) -> bytes:
        """Do what the task's function does."""
        digest = blake2b(key.encode(), digest_size=16)
        for value in inputs:
            digest.update(value)
        return digest.digest()

    def expected(self, key: str) -> bytes:
        """Return the value that a key must have."""
        values = self._values
        stack = [key]
        while stack:
            spec = self.specs[stack[-1]]
            missing = [dep for dep in spec.deps if dep not in values]
            if missing:
                stack += missing
                continue
            stack.pop()
            values[spec.key] = self.compute(spec.key, [values[dep] for dep in spec.deps])
        return values[key]

    def inline(self, key: str) -> bytes | None:
        """Return the value that travels along with the news that the key is done, if it does."""
        return self.expected(key) if self.specs[key].nbytes <= _INLINE else None

    def needs(self, key: str, input: str) -> bool:
        """Return whether a wire key is, or may need at any distance, another one."""
        meanings = self.meanings(key)
        return any(self._needs(one, other) for other in self.meanings(input) for one in meanings)

    def _needs(self, key: str, input: str) -> bool:
        known, found = self._needing.get(input, (0, set()))
        if known != len(self.specs):
            found = {input}
            stack = [input]
            while stack:
                for dependent in self._dependents.get(stack.pop(), ()):
                    if dependent not in found:
                        found.add(dependent)
                        stack.append(dependent)
            self._needing[input] = (len(self.specs), found)
        return key in found

    def closure(self, key: str) -> dict[str, Spec]:
        """Return the key's spec and those of all that it needs."""
        found = {key: self.specs[key]}
        stack = self.meanings(key).copy()
        while stack:
            for dep in self.specs[stack.pop()].deps:
                if dep not in found:
                    found[dep] = found[self.wire(dep)] = self.specs[dep]
                    stack.append(dep)
        return found

    def failure(self, key: str) -> Blob:
        """Return the exception of a task that fails, as the worker would pickle it."""
        return Blob(b"user:" + key.encode())
