"""The references that `make docs` makes have everything in them."""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
from types import ModuleType

import dask.config
import pytest
from helpers import ROOT

import shoal
import shoal.config

DOCS = ROOT / "docs"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DOCS / "_ext" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look for the module that they are defined in
    spec.loader.exec_module(module)
    return module


SETTINGS = load("settings_table").settings()


def test_every_setting_has_a_meaning() -> None:
    assert [s.key for s in SETTINGS if not s.meaning] == [], "say it in a comment in shoal.yaml"


def test_the_settings_are_those_of_the_file() -> None:
    assert len(SETTINGS) > 140 and len({s.key for s in SETTINGS}) == len(SETTINGS)
    for setting in SETTINGS:
        assert dask.config.get(setting.key, default="missing") != "missing"


def test_what_is_read_is_known_from_the_code() -> None:
    read = {s.key: s.read for s in SETTINGS}
    assert read["shoal.inline-result"]  # by its name
    assert read["distributed.worker.memory.pause"]  # by an f-string
    assert read["distributed.comm.tls.worker.key"]  # by an f-string in an f-string
    assert not read["distributed.version"]  # the version of the file itself


def test_environment_variables_are_those_that_dask_reads() -> None:
    variables = {s.variable: "9s" for s in SETTINGS if s.key == "shoal.recovery.window"}
    assert dask.config.collect_env(variables) == {"shoal": {"recovery": {"window": "9s"}}}


@pytest.mark.parametrize("root", ["shoal", "distributed"])
def test_every_setting_is_in_a_table(root: str) -> None:
    page = (DOCS / "configuration.md").read_text(encoding="utf-8")
    tables = re.findall(r"^```\{settings\} (\S+)$", page, re.M)
    keys = [s.key for s in SETTINGS if s.key.startswith(root + ".")]
    loose = [k for k in keys if not any(k.startswith(t + ".") for t in tables)]
    assert set(loose) <= {"distributed.version"}


def test_every_public_name_has_its_docstring_on_a_page() -> None:
    text = "".join(p.read_text(encoding="utf-8") for p in (DOCS / "api").glob("*.md"))
    shown = re.findall(r"^\.\. auto(class|function|exception):: shoal\.(\w+)$", text, re.M)
    assert {name for _, name in shown} == set(shoal.__all__) - {"__version__"}
    for kind, name in shown:
        value = getattr(shoal, name)
        assert inspect.isclass(value) == (kind != "function") and inspect.getdoc(value), name
        assert (kind == "exception") == (
            inspect.isclass(value) and issubclass(value, BaseException)
        )


def test_every_example_is_in_the_gallery_with_its_output() -> None:
    for example in (ROOT / "examples").glob("*.py"):
        page = DOCS / "gallery" / f"{example.stem}.md"
        output = DOCS / "gallery" / "output" / f"{example.stem}.txt"
        assert f"../../examples/{example.name}" in page.read_text(encoding="utf-8")
        assert f"output/{output.name}" in page.read_text(encoding="utf-8")
        assert output.read_text(encoding="utf-8").count("\n") > 1
