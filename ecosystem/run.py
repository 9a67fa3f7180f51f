"""Run real projects on shoal under the name `distributed`, and on the incumbent beside it.

    make ecosystem                              # all projects, each in an environment of its own
    python ecosystem/run.py joblib xarray       # some, in environments that exist already
    python ecosystem/run.py --only-shoal --quick

Every project has a script ``use_<project>.py``, which checks its own results, and an environment
``.venvs/eco-<project>`` with both packages; ``python -m shoal run`` is what makes the difference.
Prints a table in Markdown. The exit code says whether all of them passed on shoal.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PROJECTS = sorted(path.stem for path in (HERE / "requirements").glob("*.txt"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("projects", nargs="*", metavar="project", help=", ".join(PROJECTS))
    parser.add_argument("--only-shoal", action="store_true", help="without the incumbent")
    parser.add_argument("--quick", action="store_true", help="little data: a test, no measurement")
    parser.add_argument("--repeats", type=int, default=1, help="the best of so many runs counts")
    parser.add_argument("--names", type=Path, help="write the names that were looked up to a file")
    parser.add_argument("--timeout", type=float, default=300, help="seconds for each run")
    arguments = parser.parse_args()
    if arguments.names is not None:
        os.environ["ECOSYSTEM_NAMES"] = str(arguments.names.resolve())
    unknown = set(arguments.projects) - set(PROJECTS)
    if unknown:
        parser.error(f"no such project: {', '.join(sorted(unknown))}; there are {PROJECTS}")
    print("| project | version | what ran | on shoal | seconds | incumbent's seconds |")
    print("|---|---|---|---|---|---|", flush=True)
    failed = 0
    for project in arguments.projects or PROJECTS:
        mine = best(project, True, arguments)
        theirs = {} if arguments.only_shoal else best(project, False, arguments)
        failed += "error" in mine
        print(row(project, mine, theirs), flush=True)
    return 1 if failed else 0


def best(project: str, shoal: bool, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what the fastest run said; the first failure where there is one."""
    runs = []
    for _ in range(arguments.repeats):
        runs.append(run(project, shoal, arguments.quick, arguments.timeout))
        if "error" in runs[-1]:
            return runs[-1]
    return min(runs, key=lambda found: found["start"] + found["seconds"])


def run(project: str, shoal: bool, quick: bool, timeout: float) -> dict[str, Any]:
    """Run one script once; return its report, or what went wrong as ``{"error": ...}``."""
    python = ROOT / ".venvs" / f"eco-{project}" / "bin" / "python"
    if not python.exists():
        return {"error": f"no environment; run: make .venvs/eco-{project}/.installed"}
    command = [str(python), *(["-m", "shoal", "run"] if shoal else [])]
    command += [str(HERE / f"use_{project.replace('-', '_')}.py"), *(["--quick"] if quick else [])]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    if shoal and "ECOSYSTEM_NAMES" in environment:
        environment["PYTHONPATH"] = str(HERE / "tracing")
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.communicate()
        return {"error": f"not done within {timeout:.0f} s"}
    if process.returncode:
        lines = (err or out).strip().splitlines() or [f"exit code {process.returncode}"]
        return {"error": lines[-1]}
    reports = [line for line in out.splitlines() if line.startswith('{"package"')]
    if not reports:
        return {"error": "the script ended without a report"}
    report: dict[str, Any] = json.loads(reports[-1])
    if report["on"] != ("shoal" if shoal else "incumbent"):
        return {"error": f"it ran on the wrong package: {report['on']}"}
    return report


def row(project: str, mine: dict[str, Any], theirs: dict[str, Any]) -> str:
    known = mine if "error" not in mine else theirs
    cells = [
        project,
        known.get("version", "?"),
        known.get("what", "?"),
        f"failed: {mine['error']}" if "error" in mine else "passed",
        seconds(mine),
        f"failed: {theirs['error']}" if "error" in theirs else seconds(theirs),
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def seconds(report: dict[str, Any]) -> str:
    if "seconds" not in report:
        return ""
    if not report["start"]:
        return f"{report['seconds']:.1f}"
    total = report["start"] + report["seconds"]
    return f"{total:.1f} ({report['start']:.1f} + {report['seconds']:.1f})"


if __name__ == "__main__":
    sys.exit(main())
