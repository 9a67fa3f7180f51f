"""Run the tests of dask, joblib and xarray for distributed work on shoal; their wheels bring them.

    make ecosystem                            # all of them, after the projects
    python ecosystem/own_tests.py joblib      # some, in environments that exist already

Each runs in the environment of a project, by ``python -m shoal run -m pytest``. What cannot pass is
listed here with the reason; a test of those that passes is an error too, so the list stays true.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent

# Suite -> environment, module, and what cannot pass.
SUITES: dict[str, tuple[str, str, dict[str, str]]] = {
    "dask": (
        "xarray",
        "dask.tests.test_distributed",
        {},
    ),
    "joblib": (
        "joblib",
        "joblib.test.test_dask",
        {},
    ),
    "xarray": ("xarray", "xarray.tests.test_distributed", {}),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("suites", nargs="*", metavar="suite", help=", ".join(SUITES))
    parser.add_argument("--python", help="instead of those of the environments")
    parser.add_argument("--timeout", type=float, default=1200, help="seconds for each suite")
    arguments = parser.parse_args()
    unknown = set(arguments.suites) - set(SUITES)
    if unknown:
        parser.error(f"no such suite: {', '.join(sorted(unknown))}; there are {list(SUITES)}")
    wrong = 0
    for suite in arguments.suites or SUITES:
        environment, module, cannot = SUITES[suite]
        python = arguments.python or str(ROOT / ".venvs" / f"eco-{environment}" / "bin" / "python")
        said = run(python, module, arguments.timeout)
        failed = set(re.findall(r"^(?:FAILED|ERROR) \S*::(\w+)", said, re.M))
        summary = (said.strip().splitlines() or ["nothing"])[-1]
        problems = sorted(failed - set(cannot)) + [
            f"{n} passes" for n in sorted(cannot) if n not in failed
        ]
        if " passed" not in summary:
            problems.append("did not run")
        print(f"{suite}: {summary}" + (f"  WRONG: {', '.join(problems)}" if problems else ""))
        wrong += bool(problems)
    return 1 if wrong else 0


def run(python: str, module: str, timeout: float) -> str:
    """Return what pytest says of one module."""
    command = [python, "-m", "shoal", "run", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    # joblib has its fixtures in a file that is not in its wheel.
    command += ["-p", "own_tests_fixtures", "--pyargs", module]
    # Not this project's settings, which know none of their marks.
    command += ["-c", os.devnull]
    path = [str(HERE), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"not over within {timeout:g} s"
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
