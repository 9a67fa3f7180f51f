"""Modules that are imported at their first use."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from shoal._base.later import later


def test_a_module_is_loaded_once_something_of_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.joinpath("loaded_late.py").write_text("value = [1]\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    module = later("loaded_late")
    assert "loaded_late" not in sys.modules
    assert module.value == [1] and sys.modules["loaded_late"].value is module.value
    with pytest.raises(AttributeError, match="nothing"):
        module.nothing  # noqa: B018
    del sys.modules["loaded_late"]


def test_what_is_not_there_is_said_when_it_is_used() -> None:
    module = later("no_such_module_at_all")
    with pytest.raises(ModuleNotFoundError, match="no_such_module_at_all"):
        module.value  # noqa: B018
