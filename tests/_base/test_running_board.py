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
