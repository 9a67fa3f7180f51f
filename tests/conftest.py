"""Set-up for all tests: nothing of the user's is read or written, and nothing is left behind."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import settings

# The same examples each time: a change must not fail by luck. `HYPOTHESIS_PROFILE=explore` looks
# for new ones.
settings.register_profile("same", derandomize=True, database=None)
settings.register_profile("explore", print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

# Before anything imports dask or shoal: an empty home, so that no configuration file of the user
# counts and the cluster's secret is made anew, and a temporary folder of our own, in which
# leftovers can be seen. Its path is short as it holds Unix sockets. Child processes inherit it all.
_FOLDER = tempfile.mkdtemp(prefix="st-")
for _name in ("HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME", "TMPDIR"):
    _path = os.path.join(_FOLDER, _name.lower().replace("xdg_", "")[:6])
    os.makedirs(_path, mode=0o700, exist_ok=True)
    os.environ[_name] = _path
tempfile.tempdir = None  # read TMPDIR again
for _name in [n for n in os.environ if n.startswith(("DASK_", "SHOAL_"))]:
    del os.environ[_name]

# A shell's background jobs ignore Ctrl-C, and so would the processes that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import leaks  # noqa: E402


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--engines",
        action="store_true",
        help="collect tests/deploy/engines too: real batch systems, MPI, network namespaces",
    )


def pytest_unconfigure() -> None:
    shutil.rmtree(_FOLDER, ignore_errors=True)


@pytest.fixture(autouse=True)
def _nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test marked `process`, fail when it left a process, a thread or a file."""
    if request.node.get_closest_marker("process") is None:
        yield
        return
    before = leaks.take()
    yield
    left = leaks.since(before)
    assert not left, "left behind: " + "; ".join(left)
