"""`shoal._base.logs`: set-up of shoal's own processes, and records kept for later."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

import pytest

from shoal._base import logs
from shoal._base.logs import LogBuffer, start_logging


@pytest.fixture
def fresh_logger():
    """Undo what a test does to logging."""
    logger, other, warned = map(logging.getLogger, ("shoal", "distributed", "py.warnings"))
    before = [(one, one.handlers[:], one.level, one.propagate) for one in (logger, other, warned)]
    factory = logging.getLogRecordFactory()
    yield logger
    logging.captureWarnings(False)
    logging.setLogRecordFactory(factory)
    for one, handlers, one.level, one.propagate in before:
        one.handlers[:] = handlers
    for name in ("shoal.test", "distributed.test", "shoal.other", "elsewhere"):
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
    with pytest.raises(ValueError, match=r"'distributed\.test' is 'loud'.*WARNING"):
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


def in_a_process_of_ours(tmp_path, code):
    """Run code in an interpreter as the commands do; return what it wrote to standard error."""
    script = tmp_path / "script.py"
    script.write_text(
        "import logging, warnings\n"
        "from shoal import config\n"
        "from shoal._base.logs import LogBuffer, quieten, start_logging\n"
        "buffer = LogBuffer(100, '%(name)s %(message)s')\n"
        "levels, _, file = config.get_logging()\n"
        "start_logging(levels, '%(name)s %(message)s', file)\n"
        "buffer.attach()\n" + code + "\nprint([line for _, line in buffer.tail()][::-1])\n"
    )

    def run(**env):
        done = subprocess.run(
            [sys.executable, str(script)],
            env={**os.environ, **env},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stderr, done.stdout

    return run


LOG = "logging.getLogger('shoal.worker').info('hello')"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("logging: {distributed: error}", ""),
        ("logging: {distributed.worker: error}", ""),
        ("logging: {shoal.worker: error}", ""),
        ("distributed: {logging: {distributed: error}}", ""),
        ("logging: {distributed.scheduler: error}", "shoal.worker hello\n"),
    ],
)
def test_levels_of_the_configuration(tmp_path, text, written):
    run = in_a_process_of_ours(tmp_path, LOG)
    (tmp_path / "dask.yaml").write_text(text)
    assert run(DASK_CONFIG=str(tmp_path / "dask.yaml"))[0] == written


@pytest.mark.parametrize("above", ["logging", "distributed: {logging"])
def test_the_configuration_may_be_a_whole_one(tmp_path, above):
    run = in_a_process_of_ours(tmp_path, LOG)
    file = tmp_path / "written.log"
    (tmp_path / "dask.yaml").write_text(
        f"{above}: {{version: 1, handlers: {{h: {{class: logging.FileHandler, filename: {file}}}}},"
        " loggers: {distributed.worker: {level: INFO, handlers: [h]}}}" + "}" * above.count("{")
    )
    assert run(DASK_CONFIG=str(tmp_path / "dask.yaml"))[0] == ""
    assert file.read_text() == "hello\n"


def test_the_configuration_may_name_a_file(tmp_path):
    run = in_a_process_of_ours(tmp_path, LOG)
    file = tmp_path / "logging.ini"
    file.write_text(
        "[loggers]\nkeys=root,workers\n[handlers]\nkeys=h\n[formatters]\nkeys=f\n"
        "[logger_root]\nlevel=ERROR\nhandlers=\n"
        "[logger_workers]\nqualname=distributed.worker\nlevel=INFO\nhandlers=h\n"
        "[handler_h]\nclass=StreamHandler\nformatter=f\nargs=(sys.stderr,)\n"
        "[formatter_f]\nformat=by the file %(message)s\n"
    )
    said = run(DASK_LOGGING_FILE_CONFIG=str(file))[0]
    assert said == "by the file hello\n"


def test_whatever_is_logged_is_kept_and_written_as_without_us(tmp_path):
    run = in_a_process_of_ours(
        tmp_path,
        "logging.getLogger('mine').warning('first')\n"
        "logging.getLogger('mine').info('not this')\n"
        "logging.getLogger('distributed.worker').info('second')\n"
        "quieten('warning')\n"
        "logging.getLogger('shoal').info('third')\n"
        "warnings.warn('fourth')\n"
        "logging.basicConfig(format='basic %(message)s', level='INFO')\n"
        "logging.getLogger('mine').info('fifth')\n",
    )
    written, kept = run()
    assert written.splitlines()[:2] == ["first", "distributed.worker second"]
    assert "script.py:13: UserWarning: fourth" in written.splitlines()[2]
    assert written.endswith("\nbasic fifth\n") and "third" not in written
    words = ["mine first", "distributed.worker second", "shoal third", ": fourth", "mine fifth"]
    assert all(kept.count(word) == 1 for word in words) and "not this" not in kept


def test_a_record_made_without_a_level_is_let_through():
    """`logging.makeLogRecord` makes one so, and fills the level in later."""
    before = logging.getLogRecordFactory()
    logs._keep_all_records()
    try:
        assert logging.makeLogRecord({"levelno": 40, "msg": "fish"}).getMessage() == "fish"
    finally:
        logging.setLogRecordFactory(before)
        logging.captureWarnings(False)


@pytest.mark.parametrize("first", [0, 1])
def test_silences_end_in_any_order(first):
    logger = logging.getLogger("shoal")
    before = logger.level, logger.propagate
    silences = [logs.Silence("error"), logs.Silence("warning")]
    silences[first].end()
    assert not logger.propagate
    silences[1 - first].end()
    assert (logger.level, logger.propagate) == before
