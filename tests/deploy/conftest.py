"""The folder of real engines is no part of the quick suite."""

from __future__ import annotations

from pathlib import Path

import pytest

_ENGINES = Path(__file__).with_name("engines")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Collect tests/deploy/engines with --engines only."""
    return True if collection_path == _ENGINES and not config.getoption("--engines") else None
