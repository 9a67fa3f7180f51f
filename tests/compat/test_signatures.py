"""Functions, classes and methods take what the reference documents: names, order, defaults."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

import pytest

import shoal

# Where shoal differs from the text on purpose, and why.
DIFFERENT = {
    "distributed.Client.get_versions": "packages=() means the same, and cannot be changed by a call"
}

LINES = [
    line
    for line in (Path(__file__).parent / "signatures.txt").read_text().splitlines()
    if not line.startswith("#")
]


def find(name: str) -> Any:
    found: Any = shoal
    for part in name.split(".")[1:]:
        found = getattr(found, part)
    return found


def difference(function: Any, documented: str, is_method: bool) -> str:
    """Return what a call that the documentation allows would stumble over; "" when nothing."""
    ours = list(inspect.signature(function).parameters.values())[1 if is_method else 0 :]
    theirs = ast.parse(f"lambda {documented.replace('...', 'ANY')}: 0").body[0].value.args  # type: ignore[attr-defined]
    kinds = {p.kind for p in ours}
    by_name = {p.name: p for p in ours}
    positional = [p for p in ours if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    wants: list[tuple[str, ast.expr | None]] = []
    missing = len(theirs.args) - len(theirs.defaults)
    defaults = [None] * missing + list(theirs.defaults)
    for i, (argument, default) in enumerate(zip(theirs.args, defaults, strict=True)):
        if i >= len(positional) or positional[i].name != argument.arg:
            if inspect.Parameter.VAR_POSITIONAL in kinds and i >= len(positional):
                continue
            return f"argument {i} is not {argument.arg}"
        wants.append((argument.arg, default))
    wants += zip((a.arg for a in theirs.kwonlyargs), theirs.kw_defaults, strict=True)
    for name, wanted in wants:
        if name not in by_name:
            return f"{name} is missing"
        default = by_name[name].default
        if wanted is None:
            continue
        text = ast.unparse(wanted)
        if text != "ANY" and repr(default) != text:
            return f"{name}={default!r}, documented is {text}"
    if theirs.vararg and inspect.Parameter.VAR_POSITIONAL not in kinds:
        return f"*{theirs.vararg.arg} is missing"
    documented_names = {name for name, _ in wants}
    more = [p for p in ours if p.name not in documented_names and p.default is p.empty]
    needed = [p.name for p in more if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    return f"{needed} is needed, and not documented" if needed else ""


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.partition("(")[0])
def test_the_documented_signature(line: str) -> None:
    name, _, documented = line.removesuffix(")").partition("(")
    found = find(name)
    first = next(iter(inspect.signature(found).parameters), "")
    is_method = inspect.isfunction(found) and first == "self"
    wrong = difference(found, documented, is_method)
    assert bool(wrong) == (name in DIFFERENT), wrong or f"{name} is as documented now"


def test_differences_are_found() -> None:
    def ours(x: int, y: int = 1, *, z: int = 2, **kwargs: Any) -> None:
        """Do nothing."""

    for fine in ["x, y=1", "x, *, z=2", "x, y=..., **others"]:
        assert difference(ours, fine, False) == ""
    for wrong in ["y", "x, y=2", "x, *, w=1", "x, *args", "x, z", "y=1", ""]:
        assert difference(ours, wrong, False)
