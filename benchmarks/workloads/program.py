"""How a workload's `main` becomes a program."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable


def run(main: Callable[..., dict[str, float]]) -> None:
    """Call it with the arguments of the command line, system first, and print what it returns."""
    print(json.dumps(main(*sys.argv[1:])))


def expect(what: str, found: object, right: object) -> None:
    """End with an error unless a result is right."""
    if found != right:
        sys.exit(f"wrong result: {what} gave {str(found)[:80]}, not {str(right)[:80]}")
