"""The board of what runs: read by another mapping, with nothing left of its file."""

from __future__ import annotations

import logging
import os

from shoal._base.running_board import SLOTS, BoardFile, LastWords, RunningBoard


def test_another_mapping_reads_what_is_written(tmp_path):
    file = BoardFile(str(tmp_path))
    board = RunningBoard(file.path)
    assert os.listdir(tmp_path) == [], "both have it mapped, so the file can go"
    one, other = board.claim(), board.claim()
    assert one != other
    board.slots[one], board.slots[other] = 7, 2**40
    assert sorted(file.running()) == [7, 2**40]
    board.free(one)
    assert file.running() == [2**40]
    assert board.claim() == one
    file.close()


def test_a_board_that_nobody_opened_leaves_no_file(tmp_path):
    BoardFile(str(tmp_path)).close()
    assert os.listdir(tmp_path) == []


def test_more_threads_than_slots_share_the_first():
    board = RunningBoard()
    claimed = [board.claim() for _ in range(SLOTS + 5)]
    assert len(set(claimed)) == SLOTS
    assert claimed[-5:] == [0] * 5
    board.free(0)
    assert board.claim() == 0, "the shared one is given to nobody alone"


def test_last_words_are_the_latest_warnings():
    file = BoardFile()
    words = LastWords(RunningBoard(file.path))
    logger = logging.Logger("fish")
    logger.addHandler(words)
    logger.info("quiet")
    logger.warning("first %s", "warning")
    logger.error("bad %d", "no number")
    for i in range(100):
        logger.error("error number %d with some text", i)
    assert file.words().endswith("ERROR fish: error number 99 with some text")
    assert "quiet" not in file.words() and len(file.words()) < 1024
    file.close()


def test_runs_whose_time_is_over_are_those_that_still_run():
    file = BoardFile()
    board = RunningBoard(file.path)
    slot, other = board.claim(), board.claim()
    board.slots[slot], board.slots[other] = 7, 8
    board.limit(7, 10.0)
    board.limit(8, 20.0)
    board.limit(9, 1.0)  # it has ended, and the loop has not heard of it
    assert file.overdue(5.0) == []
    assert file.overdue(15.0) == [7]
    assert sorted(file.overdue(25.0)) == [7, 8]
    board.unlimit(7)
    board.unlimit(12345)
    assert file.overdue(25.0) == [8]
    for run in range(100, 1000):  # more than there is room for
        board.limit(run, 1.0)
    for run in range(100, 1000):
        board.unlimit(run)
    assert file.overdue(25.0) == [8] and len(board.limited) == 2
    assert file.words() == ""
    file.close()
