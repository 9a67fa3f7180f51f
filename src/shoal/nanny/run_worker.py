"""The main function of a worker's process: make the worker, tell the nanny, close in the end."""

from __future__ import annotations

import importlib
import logging
import sys
from typing import Any

from shoal import config
from shoal._base.logs import quieten
from shoal._base.named_class import class_of
from shoal._base.running_board import LastWords, RunningBoard
from shoal._base.stand_in import is_given_the_name, stand_in
from shoal.comm.secret import hide_environment_secret
from shoal.nanny.child import Parent
from shoal.nanny.serving import run, serve

__all__ = ["main"]

# Seconds that a thread which wants the interpreter waits for one that computes. With Python's
# 5 ms a worker of short tasks told of none before its last: the scheduler had nothing to do until
# then, and the worker nothing after.
_SWITCH = 0.001


def main(parent: Parent, body: dict[str, Any]) -> int:
    """Run a worker until it closes.

    Parameters
    ----------
    parent : Parent
        The line to the nanny.
    body : dict
        ``worker_class`` (a class, or its ``module.name``), ``scheduler`` (address), ``options``
        (keywords of the class), ``silence_logs`` (a log level, or None), ``board`` (the file in
        which the nanny reads what runs).
    """
    if body["silence_logs"]:
        quieten(body["silence_logs"])

    security = body["options"].get("security")
    hide_environment_secret(getattr(security, "secret", None))
    sys.setswitchinterval(_SWITCH)
    stand_in()  # objects that clients find by that name are pickled by it
    if is_given_the_name() and config.get_bool("distributed.worker.daemon"):
        # There a worker is a daemon of `multiprocessing`, which joblib and others ask about. Others
        # may start processes in tasks.
        importlib.import_module("multiprocessing").current_process().daemon = True

    board = RunningBoard(body["board"])
    logging.getLogger().addHandler(LastWords(board))

    def make() -> Any:
        worker = class_of(body["worker_class"])(body["scheduler"], **body["options"])
        worker.running_board = board
        return worker

    return run(serve(parent, make, describe))


def describe(worker: Any) -> dict[str, Any]:
    """Return what the nanny wants to know of a worker that is up."""
    return {
        "address": worker.address,
        "scheduler": getattr(worker, "scheduler_address", None),
        "name": worker.name,
        "local_directory": getattr(worker, "local_directory", None),
    }
