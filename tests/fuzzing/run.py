"""Fuzz the cores and the wire: `python tests/fuzzing/run.py --cases 20000 --seed 0`.

Each target runs episodes of some dozen mutated words. An episode that fails is shrunk to the steps
that are needed, and written down; put that file into `corpus/` with the change that mends it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from fuzzing import client_target, requests_target, scheduler_target, worker_target

__all__ = ["CORPUS", "TARGETS", "fuzz", "replay_file"]

CORPUS = Path(__file__).with_name("corpus")
PER_EPISODE = 50
TARGETS: dict[str, Any] = {
    "scheduler": scheduler_target,
    "worker": worker_target,
    "client": client_target,
    "requests": requests_target,
}


def fuzz(target: str, seed: str, cases: int) -> list[list[Any]] | None:
    """Run one episode; return its steps, shrunk, when it fails."""
    module = TARGETS[target]
    episode = module.Episode(f"{target}-{seed}", cases)
    try:
        episode.run()
    except Exception as error:
        error.add_note(f"target {target}, seed {seed}, cases {cases}")
        steps = shrink(module.replay, episode.core.steps)
        error.add_note(f"replay: {json.dumps(steps)[:2000]}")
        error.steps = steps  # type: ignore[attr-defined]
        raise
    return None


def fails(replay: Callable[[list[list[Any]]], None], steps: list[list[Any]]) -> bool:
    try:
        replay(steps)
    except Exception:
        return True
    return False


def shrink(replay: Callable[[list[list[Any]]], None], steps: list[list[Any]]) -> list[list[Any]]:
    """Leave out steps as long as it still fails."""
    if not fails(replay, steps):
        return steps  # it is the episode that found fault, not the core
    size = max(1, len(steps) // 2)
    while size:
        at = 1
        while at < len(steps):
            fewer = steps[:at] + steps[at + size :]
            if len(fewer) < len(steps) and fails(replay, fewer):
                steps = fewer
            else:
                at += size
        size //= 2
    return steps


def replay_file(path: Path) -> None:
    """Let a kept case happen again."""
    case = json.loads(path.read_text())
    TARGETS[case["target"]].replay(case["steps"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", choices=[*TARGETS, "all"], default="all")
    parser.add_argument("--keep-going", action="store_true")
    arguments = parser.parse_args()
    names = list(TARGETS) if arguments.target == "all" else [arguments.target]
    start = time.perf_counter()
    done, failed, number = 0, 0, arguments.seed
    while done < arguments.cases:
        name = names[number % len(names)]
        try:
            fuzz(name, str(number), PER_EPISODE)
        except Exception as error:
            failed += 1
            path = Path(f"fuzz-{name}-{number}.json")
            path.write_text(json.dumps({"target": name, "steps": error.steps}))  # type: ignore[attr-defined]
            sys.stderr.write(f"{name} {number}: {type(error).__name__}: {error}\n  {path}\n")
            if not arguments.keep_going:
                raise
        number += 1
        done += PER_EPISODE
    seconds = time.perf_counter() - start
    sys.stdout.write(f"{done} cases, {failed} episodes failed, {seconds:.1f} s\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
