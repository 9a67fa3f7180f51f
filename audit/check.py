"""Hold the requirements, and what is installed, against the list of advisories beside this file.

    python audit/check.py              # the floors of pyproject.toml
    python audit/check.py --installed  # and the packages of this environment

`make audit` runs it after pip-audit, which knows more where it reaches its database, and says of
packages from another index that it did not look at them.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent / "pyproject.toml"

_FLOOR = re.compile(r"([A-Za-z0-9_.-]+)(?:\[[^\]]*\])?\s*(?:(>=|==)\s*([0-9][^,;\s]*))?")


def advisories() -> dict[str, list[dict[str, str]]]:
    """Return the list, by package."""
    found: dict[str, list[dict[str, str]]] = yaml.safe_load((HERE / "advisories.yml").read_text())
    return found


def floors() -> dict[str, str]:
    """Return the lowest version that each requirement takes; nothing where it takes any."""
    project: dict[str, Any] = tomllib.loads(PROJECT.read_text())["project"]
    lines = [*project["dependencies"]]
    for extra in project["optional-dependencies"].values():
        lines += extra
    found: dict[str, str] = {}
    for line in lines:
        match = _FLOOR.match(line)
        assert match is not None, line
        name, floor = match[1].lower(), match[3] or ""
        if name != "shoal" and (name not in found or order(floor) < order(found[name])):
            found[name] = floor
    return found


def installed() -> dict[str, str]:
    """Return the versions of the packages of this environment."""
    return {each.name.lower(): each.version for each in importlib.metadata.distributions()}


def order(version: str) -> tuple[int, ...]:
    """Return what versions are compared by: the numbers of a release."""
    numbers = re.match(r"\d+(?:\.\d+)*", version)
    parts = [int(part) for part in numbers[0].split(".")] if numbers else [0]
    while len(parts) > 1 and not parts[-1]:
        parts.pop()
    return tuple(parts)


def affected(versions: dict[str, str], known: dict[str, list[dict[str, str]]]) -> list[str]:
    """Return a sentence for each version that an advisory is about."""
    return [
        f"{name} {version or 'of any version'}: {each['id']}, mended in {each['fixed']}"
        for name, version in sorted(versions.items())
        for each in known.get(name, [])
        if order(version) < order(each["fixed"])
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--installed", action="store_true", help="look at this environment, too")
    arguments = parser.parse_args()
    known = advisories()
    problems = [f"the floor of {each}" for each in affected(floors(), known)]
    if arguments.installed:
        problems += [f"installed: {each}" for each in affected(installed(), known)]
    for problem in problems:
        print(problem, file=sys.stderr)
    count = sum(map(len, known.values()))
    print(f"{count} advisories of {len(known)} packages: {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
