"""The documentation says what the code says."""

from __future__ import annotations

import ast
import importlib.util
import re
from typing import Any

import pytest
from helpers import ROOT

import shoal

DOCS = ROOT / "docs"


@pytest.mark.parametrize("name", ["draw_transitions", "list_operations"])
def test_what_is_made_of_tables_is_theirs(name: str) -> None:
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    assert made.TARGET.read_text() == made.text(), f"run: python docs/{name}.py"


def test_links_lead_somewhere() -> None:
    broken = []
    for page in [ROOT / "README.md", *DOCS.rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)\)", page.read_text()):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert broken == []


def test_a_decision_has_a_number_of_its_own() -> None:
    files = sorted((DOCS / "decisions").glob("0*.md"))
    numbers = [path.name[:4] for path in files]
    assert [number for number in numbers if numbers.count(number) > 1] == []
    for path in files:
        assert path.read_text().startswith(f"# {path.name[:4]}: "), path.name


def test_the_architecture_names_every_folder() -> None:
    text = (DOCS / "architecture.md").read_text()
    source = ROOT / "src" / "shoal"
    folders = {path.name for path in source.iterdir() if (path / "__init__.py").exists()}
    missing = {name for name in folders if f"`{name}/`" not in text and f"{name}/" not in text}
    assert missing == set()


# -- docs/reference: a name, what it does, and the test that shows it

REFERENCE = sorted((DOCS / "reference").glob("*.md"))
ROW = re.compile(r"^\| `([\w.]+)` \| (.+) \| `([\w/.]+)::(test_\w+)` \|$", re.M)
ROWS = {row for page in REFERENCE for row in ROW.findall(page.read_text(encoding="utf-8"))}


def resolve(name: str) -> Any:
    """Find a name of the reference in shoal: on a class, or in the module it begins with."""
    value: Any = shoal
    for part in name.split("."):
        value = getattr(value, part)
    return value


@pytest.mark.parametrize("name", sorted({row[0] for row in ROWS}))
def test_names_of_the_reference_are_there(name: str) -> None:
    assert resolve(name) is not None


@pytest.mark.parametrize("file", sorted({row[2] for row in ROWS}))
def test_tests_that_the_reference_names_are_there(file: str) -> None:
    path = ROOT / file
    assert path.is_file()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tests = {
        node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }
    assert {row[3] for row in ROWS if row[2] == file} - tests == set()


def test_every_documented_signature_has_a_row() -> None:
    text = (ROOT / "tests" / "compat" / "signatures.txt").read_text(encoding="utf-8")
    names = set(re.findall(r"^distributed\.([\w.]+)\(", text, re.M))
    rows = {row[0] for row in ROWS}
    assert len(names) > 80 and names - rows == set()


TEXTS = ROOT.parent / "shared" / "reference"
METHOD = re.compile(r"(?:property ([a-z]\w*)|(?:\w+ )?([a-z]\w*)\(.*\)(?: .*)?\[source\])$")


@pytest.mark.skipif(not TEXTS.exists(), reason="the documentation's text is not here")
def test_every_name_of_the_documentation_has_a_row() -> None:
    names: set[str] = set()
    for file in ("futures-api.txt", "pubsub.txt", "variable.txt"):
        owner = ""
        for line in (TEXTS / file).read_text(encoding="utf-8").splitlines():
            if found := re.match(r"(?:class )?distributed\.(\w+)\(", line):
                owner = found[1]
                names.add(owner)
            elif found := METHOD.match(line):
                names.add(f"{owner}.{found[1] or found[2]}")
            elif found := re.match(r"([A-Z]\w+(?:\.[a-z]\w*)?)\(.*\)$", line):
                names.add(found[1])  # in the tables of names
            elif found := re.search(r"from (?:dask\.)?distributed import ([\w, ]+)", line):
                names.update(name.strip() for name in found[1].split(","))
    assert len(names) > 90 and names - {row[0] for row in ROWS} == set()


def test_every_row_of_the_reference_is_read() -> None:
    """A row that is written in another way would not be looked at."""
    rows = [
        line
        for page in REFERENCE
        if page.name != "README.md"
        for line in page.read_text(encoding="utf-8").splitlines()
        if line.startswith("| ") and not line.startswith("| Name |")
    ]
    assert len(rows) > 100 and [line for line in rows if not ROW.match(line)] == []
