"""`shoal._base.logs`: set-up of shoal's own processes, and records kept for later."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from shoal._base.logs import LogBuffer, start_logging


@pytest.fixture
def fresh_logger():
    """Undo what a test does to shoal's logger."""
    logger = logging.getLogger("shoal")
    state = logger.handlers[:], logger.level, logger.propagate
    yield logger
    logger.handlers[:], logger.level, logger.propagate = state
    for name in ("shoal.test", "shoal.other", "elsewhere"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def test_lines_go_to_standard_error_once(fresh_logger, capsys):
    start_logging()
    start_logging({"distributed": "info"}, "%(name)s says %(message)s")
    logging.getLogger("shoal.test").info("hello")
    logging.getLogger("shoal.test").debug("not this")
    captured = capsys.readouterr()
    assert captured.err == "shoal.test says hello\n"
    assert captured.out == ""


def test_levels_by_name_and_number_with_dask_names(fresh_logger):
    start_logging({"distributed.test": "ERROR", "shoal.other": 10, "elsewhere": "critical"})
    assert logging.getLogger("shoal.test").level == logging.ERROR
    assert logging.getLogger("shoal.other").level == logging.DEBUG
    assert logging.getLogger("elsewhere").level == logging.CRITICAL


def test_an_unknown_level_is_named(fresh_logger):
    with pytest.raises(ValueError, match=r"'shoal\.test' is 'loud'.*WARNING"):
        start_logging({"distributed.test": "loud"})


def test_the_latest_records_are_kept():
    buffer = LogBuffer(3, "%(message)s")
    logger = logging.getLogger("shoal.test")
    logger.addHandler(buffer)
    try:
        for i in range(5):
            logger.warning("line %d", i)
    finally:
        logger.removeHandler(buffer)
    lines = [("WARNING", "line 4"), ("WARNING", "line 3"), ("WARNING", "line 2")]
    assert buffer.tail() == lines
    assert buffer.tail(2) == lines[:2]
    assert buffer.tail(0) == []


def test_a_record_that_cannot_be_formatted_harms_nobody(monkeypatch):
    monkeypatch.setattr(logging, "raiseExceptions", False)
    buffer = LogBuffer(3)
    buffer.handle(logging.LogRecord("a", 30, "f", 1, "%d", ("no number",), None))
    assert buffer.tail() == []


def test_importing_sets_nothing_up():
    code = "import logging, shoal._base.logs; print(logging.getLogger('shoal').handlers)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
