"""The common part of targets that a scheduler speaks to: a core, its steps, and mutated words.

Words take the way that they would take to a real peer: encoded, mutated, decoded and checked. One
that is refused there ends the connection, and the peer makes another.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from random import Random
from typing import Any, ClassVar

from fuzzing.mutation import Mutator

from shoal.errors import ProtocolError
from shoal.wire.codec import BatchCodec

__all__ = ["ToldEpisode", "ToldWorld"]


class ToldWorld(ABC):
    """A core and its surroundings; each step is a method ``on_...``, so that it can be replayed."""

    hears: ClassVar[BatchCodec[Any]]
    over = False  # whether it ended by itself

    def __init__(self) -> None:
        self.steps: list[list[Any]] = []
        self.now = 0.0

    def do(self, *step: Any) -> None:
        self.steps.append(list(step))
        self.perform(*step)

    def perform(self, kind: str, *rest: Any) -> None:
        getattr(self, f"on_{kind}")(*rest)

    def on_say(self, frames: list[str]) -> None:
        try:
            messages = self.hears.decode([bytes.fromhex(frame) for frame in frames])
        except ProtocolError:
            self.on_again()
            return
        self.hear(messages)

    @abstractmethod
    def hear(self, messages: list[Any]) -> None:
        """Have the core take messages."""

    @abstractmethod
    def on_again(self) -> None:
        """The connection is lost, and made again."""

    @abstractmethod
    def on_end(self) -> None:
        """Bring all to its end; nothing must be left."""

    @classmethod
    def replay(cls, steps: list[list[Any]]) -> None:
        """Let happen again what an episode recorded."""
        world = cls()
        for kind, *rest in steps[1:]:
            world.perform(kind, *rest)


class ToldEpisode(ABC):
    """The life of a core that hears so many mutated words.

    Attributes
    ----------
    talk : float
        The share of steps in which the scheduler says something.
    words : tuple of int
        How many words it says at a time; one is drawn.
    mutated : float
        The share of batches that are mutated.
    """

    talk: ClassVar[float]
    words: ClassVar[tuple[int, ...]]
    mutated: ClassVar[float]

    def __init__(self, seed: str, cases: int, core: ToldWorld) -> None:
        self.rng = Random(seed)
        self.mutator = Mutator(self.rng)
        self.cases = cases
        core.steps.append(["start"])
        self._told = core

    def run(self) -> None:
        while self.cases > 0 and not self._told.over:
            if self.rng.random() < self.talk:
                self.say()
            else:
                self.happen()
        self._told.do("end")

    def say(self) -> None:
        rng = self.rng
        words = [self.word() for _ in range(rng.choice(self.words))]
        frames = [bytes(frame) for frame in self._told.hears.encode(words)]
        if rng.random() < self.mutated:
            self.cases -= 1
            frames[0] = self.mutator.batch(frames[0])
        self._told.do("say", [frame.hex() for frame in frames])

    @abstractmethod
    def word(self) -> Any:
        """Return a message that fits."""

    @abstractmethod
    def happen(self) -> None:
        """Do something else than hear."""
