"""The name `distributed` comes and goes with clients, whatever other threads import meanwhile."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest

from shoal._base import stand_in


def test_the_last_client_may_go_while_another_thread_imports(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The switch is in `sys.modules` then, and has no functions yet."""
    half = ModuleType(stand_in._SWITCH)
    half.__spec__ = ModuleSpec(stand_in._SWITCH, None)
    monkeypatch.setattr(half.__spec__, "_initializing", True, raising=False)
    monkeypatch.setitem(sys.modules, stand_in._SWITCH, half)
    monkeypatch.setattr(sys, "meta_path", sys.meta_path.copy())
    stand_in.stand_in()
    assert stand_in._finder in sys.meta_path
    stand_in.step_back()
    assert stand_in._finder not in sys.meta_path
