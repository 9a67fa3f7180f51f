"""Tests of real engines, collected with --engines only; skipped where an engine is not there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from programs import Programs
from slurm_site import SlurmSite, why_not


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    """Programs of the test, each in a process of its own; ended after the test."""
    found = Programs(tmp_path)
    yield found
    found.end()


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmSite]:
    """A real Slurm of four virtual nodes."""
    reason = why_not()
    if reason:
        pytest.skip(reason)
    site = SlurmSite(tmp_path_factory.mktemp("slurm"))
    site.start()
    yield site
    site.stop()
