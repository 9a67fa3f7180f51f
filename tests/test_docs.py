"""The documentation says what the code says."""

from __future__ import annotations

import importlib.util
import re

from helpers import ROOT

DOCS = ROOT / "docs"


def test_the_drawing_of_transitions_is_that_of_the_tables() -> None:
    spec = importlib.util.spec_from_file_location("draw", DOCS / "draw_transitions.py")
    assert spec is not None and spec.loader is not None
    draw = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(draw)
    assert draw.TARGET.read_text() == draw.text(), "run: python docs/draw_transitions.py"


def test_links_lead_somewhere() -> None:
    broken = []
    for page in [ROOT / "README.md", *DOCS.rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)\)", page.read_text()):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert broken == []


def test_the_architecture_names_every_folder() -> None:
    text = (DOCS / "architecture.md").read_text()
    source = ROOT / "src" / "shoal"
    folders = {path.name for path in source.iterdir() if (path / "__init__.py").exists()}
    missing = {name for name in folders if f"`{name}/`" not in text and f"{name}/" not in text}
    assert missing == set()
