"""The code in the pages of the documentation runs, and prints what they say.

A page's blocks of Python are one program, in their order. A block of `text` right after one is what
it prints; ``...`` stands for anything. A block that cannot run here has a comment in front,
``<!-- not run: why -->``. Options of commands in blocks of `bash` are options that there are.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from helpers import ROOT

from shoal.cli.main import cli

DOCS = ROOT / "docs"
PAGES = [DOCS / "index.md", *sorted((DOCS / "start").glob("*.md"))]
PAGES += sorted((DOCS / "howto").glob("*.md"))

BLOCK = re.compile(
    r"^(?P<mark><!-- not run: (?P<why>[^\n]+) -->\n)?"
    r"(?P<indent> *)```(?P<language>python|bash|text)\n(?P<text>.*?)^(?P=indent)```$",
    re.M | re.S,
)
MARK = "\x1e"  # printed after each block


def blocks(page: Path, language: str) -> list[re.Match[str]]:
    text = page.read_text(encoding="utf-8")
    return [found for found in BLOCK.finditer(text) if found["language"] == language]


def programs() -> list[Path]:
    return [page for page in PAGES if any(not b["why"] for b in blocks(page, "python"))]


def named(page: Path) -> str:
    return str(page.relative_to(DOCS))


def output_of(page: Path, block: re.Match[str]) -> str:
    """Return what the page says that a block prints; empty when it says nothing."""
    rest = page.read_text(encoding="utf-8")[block.end() :].lstrip("\n")
    following = BLOCK.match(rest)
    if following is None or following["language"] != "text":
        return ""
    return following["text"]


def is_as_said(printed: str, said: str) -> bool:
    pattern = ".*".join(re.escape(part) for part in said.strip().split("..."))
    return re.fullmatch(pattern, printed.strip(), re.S) is not None


@pytest.mark.process
@pytest.mark.parametrize("page", programs(), ids=named)
def test_the_program_of_a_page_prints_what_it_says(page: Path, tmp_path: Path) -> None:
    run = [block for block in blocks(page, "python") if not block["why"]]
    script = tmp_path / "program.py"
    end = f"\nprint({MARK!r}, flush=True)\n"
    script.write_text("".join(block["text"] + end for block in run), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        timeout=55,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    printed = done.stdout.split(MARK + "\n")[:-1]
    assert len(printed) == len(run)
    wrong = [
        (block["text"], output, said)
        for block, output in zip(run, printed, strict=True)
        if not is_as_said(output, said := output_of(page, block))
    ]
    assert wrong == []


def test_most_blocks_run() -> None:
    """What is not run says why, and is the exception."""
    every = [block for page in PAGES for block in blocks(page, "python")]
    skipped = [block for block in every if block["why"]]
    assert len(every) >= 25 and len(skipped) <= len(every) // 3


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_blocks_that_do_not_run_are_python(page: Path) -> None:
    for block in blocks(page, "python"):
        ast.parse(block["text"])


COMMAND = re.compile(r"\bshoal (scheduler|worker)\b(.*)")


def commands() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        for block in blocks(page, "bash"):
            lines = block["text"].replace("\\\n", " ").splitlines()
            found += [(m[1], m[2]) for line in lines if (m := COMMAND.search(line))]
    return found


def test_options_of_commands_are_there() -> None:
    context = click.Context(cli)
    used = commands()
    assert len(used) > 10
    for name, rest in used:
        command = cli.get_command(context, name)
        assert command is not None
        known = {o for p in command.params for o in (*p.opts, *p.secondary_opts)}
        options = set(re.findall(r"(?<!\S)--[\w-]+", rest.split(" # ")[0]))
        assert options - known == set(), f"shoal {name}{rest}"
