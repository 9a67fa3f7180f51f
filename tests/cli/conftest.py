"""Commands set up the logging of their process; here that is the tests' own process."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

CHANGED = ("", "shoal", "distributed", "py.warnings", "tornado", "bokeh")


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    factory = logging.getLogRecordFactory()
    loggers = [logging.getLogger(name) for name in CHANGED]
    before = [(each.level, each.propagate, list(each.handlers)) for each in loggers]
    yield
    logging.setLogRecordFactory(factory)
    logging.captureWarnings(False)
    for logger, (level, propagate, handlers) in zip(loggers, before, strict=True):
        logger.setLevel(level)
        logger.propagate = propagate
        logger.handlers[:] = handlers
