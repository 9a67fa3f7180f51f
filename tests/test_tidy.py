"""Small and plain: lengths of files and functions, and habits that are not wanted here."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import ROOT

MAX_FILE = 600
MAX_FUNCTION = 70  # lines, without the docstring

# A face of about a hundred short documented methods.
LONG_FILES = ["src/shoal/client/client.py"]

# Where a program speaks to a person; everything else logs.
PRINTING = ["src/shoal/cli/", "src/shoal/simulation/__main__.py"]

# Functions of tests that may sleep: they stand for work that takes time on a worker.
SLEEPERS = ("slow", "sleep", "block")

# A comment or docstring names its subject: "the waiting thread", not "who waits"; "the result", not
# "what came of it". Where the subject is a pronoun, the reader has to guess which noun is meant.
NAMELESS = re.compile(
    r'(?:# |"{3}|-- )(?:[Ww]ho(?:ever)?|Those|One that|One who)\b'
    r"|^\s+(?:Who|Whoever|Those|One that|One who|Somebody who) [a-z]"
    r'|"{3}(?:What(?:ever)?|Whose|Somebody|Nobody)\b'
)
# The same where a comment begins; a line that continues one may have any word first.
NAMELESS_FIRST = re.compile(
    r"# (?:-* )?(?:what(?:ever)?|whose|those|somebody|nobody)\b", re.IGNORECASE
)

# The helpers that wait for a condition sleep between two looks at it.
WAITING = ["tests/helpers.py", "tests/leaks.py"]

FOLDERS = ["src", "tests", "benchmarks", "examples"]
FILES = [str(p.relative_to(ROOT)) for f in FOLDERS for p in sorted((ROOT / f).rglob("*.py"))]


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of a function without its docstring, which may be as long as it takes."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    if ast.get_docstring(function) is not None:
        first = function.body[0]
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def calls(tree: ast.AST, inside: str = "") -> Iterator[tuple[ast.Call, str]]:
    """Every call, with the name of the innermost function around it."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Call):
            yield node, inside
        named = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        yield from calls(node, node.name if named else inside)  # type: ignore[attr-defined]


def problems(name: str, text: str) -> list[str]:
    """Return what is untidy in the file called `name`, in words."""
    tree = ast.parse(text)
    lines = text.count("\n")
    found = []
    if Path(name).name in ("utils.py", "util.py", "misc.py", "common.py"):
        found.append("a file is named after what is in it")
    if lines > MAX_FILE and name not in LONG_FILES:
        found.append(f"{lines} lines, {MAX_FILE} at most")
    if ast.get_docstring(tree) is None:
        found.append("no module docstring")
    for function in functions(tree):
        if length(function) > MAX_FUNCTION:
            found.append(f"{function.name} has {length(function)} lines, {MAX_FUNCTION} at most")
    for call, inside in calls(tree):
        what = ast.unparse(call.func)
        where = f"line {call.lineno}: "
        if name.startswith("src/") and what == "print" and not name.startswith(tuple(PRINTING)):
            found.append(where + "print; log instead")
        waits = name.startswith("tests/") and name not in WAITING and is_sleep(what, call)
        if waits and not inside.startswith(SLEEPERS):
            found.append(where + "sleeps; wait for a condition with helpers.wait_until")
    if name.startswith("src/"):
        for unused in re.findall(r"^(_[A-Z]\w*)\b[^=(\n]* = ", text, re.MULTILINE):
            if len(re.findall(rf"\b{unused}\b", text)) == 1:
                found.append(f"nothing uses {unused}")
        before = ""
        for number, line in enumerate(text.splitlines(), 1):
            begins = not (line.lstrip().startswith("#") and before.startswith("#"))
            if NAMELESS.search(line) or (begins and NAMELESS_FIRST.search(line)):
                found.append(f"line {number}: a comment without a subject: {line.strip()}")
            before = line.lstrip()
    return found


def is_sleep(what: str, call: ast.Call) -> bool:
    if what not in ("time.sleep", "sleep", "asyncio.sleep"):
        return False
    # `await asyncio.sleep(0)` lets others run for one turn; it does not wait for a time.
    return not (call.args and isinstance(call.args[0], ast.Constant) and call.args[0].value == 0)


@pytest.mark.parametrize("name", FILES)
def test_tidy(name):
    assert problems(name, (ROOT / name).read_text(encoding="utf-8")) == []


DOC = '"""Doc."""\n'


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("src/shoal/utils.py", DOC, "named after"),
        ("src/shoal/a.py", "x = 1\n", "docstring"),
        ("src/shoal/a.py", DOC + "x = 1\n" * 600, "601 lines"),
        ("src/shoal/a.py", DOC + "def f():\n" + "    x = 1\n" * 70, "f has 71 lines"),
        ("src/shoal/a.py", DOC + "print(1)\n", "print"),
        ("src/shoal/a.py", DOC + "x = 1  # who waits for it\n", "subject"),
        ("src/shoal/a.py", DOC + 'def f():\n    """Whoever asks."""\n', "subject"),
        ("src/shoal/a.py", '"""What a worker does."""\n', "subject"),
        ("src/shoal/a.py", DOC + "x = 1  # what came of it\n", "subject"),
        ("src/shoal/a.py", DOC + "_LIMIT = 1\n", "nothing uses _LIMIT"),
        ("src/shoal/a.py", DOC + "# Nobody waits.\n", "subject"),
        ("src/shoal/a.py", DOC + "# -- what it does ---\n", "subject"),
        ("tests/test_a.py", DOC + "import time\ntime.sleep(1)\n", "sleeps"),
        ("tests/test_a.py", DOC + "async def test():\n    await asyncio.sleep(0.1)\n", "sleeps"),
    ],
)
def test_untidy_files_are_found(name, text, words):
    (problem,) = problems(name, text)
    assert words in problem


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("src/shoal/client/client.py", DOC + "x = 1\n" * 900),
        ("src/shoal/cli/main.py", DOC + "print(1)\n"),
        ("src/shoal/a.py", DOC + 'def f():\n    """' + "x\n" * 90 + '"""\n'),
        ("src/shoal/a.py", DOC + "# The caller knows\n# what it waits for.\n"),
        ("tests/test_a.py", DOC + "def slow_inc(x):\n    time.sleep(0.1)\n    return x + 1\n"),
        ("tests/test_a.py", DOC + "async def test():\n    await asyncio.sleep(0)\n"),
    ],
)
def test_tidy_files_pass(name, text):
    assert problems(name, text) == []
