"""The page and its files: names that agree with the sources, small, whole and offline."""

from __future__ import annotations

import re

from helpers import ROOT

from shoal.dashboard.pages import PAGES, PANES, title_of_pane

SOURCES = ROOT / "dashboard" / "src"
STATIC = ROOT / "src" / "shoal" / "dashboard" / "static"


def names_in(text: str) -> list[str]:
    """Return the names at the first level of an object literal."""
    return re.findall(r'^  "?([a-z][a-z-]*)"?: ', text, re.MULTILINE)


def test_the_pages_are_those_that_the_page_knows() -> None:
    text = (SOURCES / "pages.ts").read_text()
    panes, pages = text.split("export const PANES")[1].split("export const PAGES")
    pages = pages.partition("export const REPORT_PAGES")[0]
    assert names_in(pages) == list(PAGES)
    assert set(names_in(panes)) == set(PANES)


def test_notebooks_know_the_panes_by_these_titles() -> None:
    assert title_of_pane("workers-cpu-timeseries") == "Individual Workers Cpu Timeseries"


def test_all_that_a_browser_loads_is_small() -> None:
    sizes = {path.name: path.stat().st_size for path in STATIC.iterdir()}
    assert sizes["dashboard.js"] + sizes["dashboard-style.css"] < 200 * 1024


def test_nothing_is_loaded_from_elsewhere() -> None:
    for path in STATIC.iterdir():
        if path.suffix in (".js", ".css"):
            urls = set(re.findall(r"https?://[\w./-]+", path.read_text()))
            assert not urls, path.name


def test_what_comes_from_the_cluster_only_becomes_text() -> None:
    for path in SOURCES.rglob("*.ts"):
        text = path.read_text()
        for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert way not in text, f"{path.name} uses {way}"


def test_the_licence_of_what_is_inside_is_there() -> None:
    text = (STATIC / "LICENSES.txt").read_text()
    assert "uPlot" in text and "MIT" in text
