"""Mutated messages against the real cores: 20,000 of them, and all that ever did harm."""

from __future__ import annotations

from pathlib import Path
from random import Random

import msgspec
import pytest
from fuzzing.mutation import Mutator
from fuzzing.run import CORPUS, PER_EPISODE, fuzz, replay_file

# Seeds of episodes, 20,000 mutated words in all; other seeds: `make fuzz`.
BLOCKS = [
    *(("scheduler", block) for block in range(6)),
    *(("worker", block) for block in range(1)),
    *(("client", block) for block in range(1)),
]
EPISODES = 50


def test_it_is_twenty_thousand_cases() -> None:
    assert len(BLOCKS) * EPISODES * PER_EPISODE == 20_000


@pytest.mark.parametrize(("target", "block"), BLOCKS)
def test_mutated_words_harm_nobody(target: str, block: int) -> None:
    for seed in range(block * EPISODES, (block + 1) * EPISODES):
        fuzz(target, str(seed), PER_EPISODE)


@pytest.mark.parametrize("seed", range(6))
def test_mutated_requests_harm_nobody(seed: int) -> None:
    """On real connections, so few of them; many more: `make fuzz`."""
    fuzz("requests", str(seed), PER_EPISODE)


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.json")), ids=lambda path: path.stem)
def test_what_once_did_harm_does_none(path: Path) -> None:
    replay_file(path)


def test_there_is_a_corpus() -> None:
    assert len(list(CORPUS.glob("*.json"))) > 10


def test_a_seed_is_the_same_episode_each_time() -> None:
    data = msgspec.msgpack.encode([["done", ["x"], [1], [28], ["int"], [0.0], [1.0], [None]]])
    first, second = ([Mutator(Random("seed")).batch(data) for _ in range(3)] for _ in range(2))
    assert first == second
