"""Each name that projects import from `distributed` is there, and is what they take it for."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shoal.compat.facade import facade, names_of
from shoal.compat.switch import shim_path
from shoal.compat.table import TABLE

# What others build at this moment, each with a word why. A name that is there fails the test:
# then take it out of here.
EXPECTED_MISSING: dict[str, str] = {}

HERE = Path(__file__).parent


def read_names() -> dict[str, tuple[str, str | None]]:
    """Return kind and documented signature of each name of names.txt."""
    names = {}
    for line in (HERE / "names.txt").read_text().splitlines():
        if not line.startswith("#"):
            kind, _, rest = line.partition(" ")
            name, parenthesis, signature = rest.partition("(")
            names[name] = (kind, signature.removesuffix(")") if parenthesis else None)
    return names


NAMES = read_names()


@pytest.fixture(scope="module")
def found():
    """What a fresh process under the shim says of all of them."""
    done = subprocess.run(
        [sys.executable, str(HERE / "probe.py")],
        input="\n".join(NAMES),
        env={**os.environ, "PYTHONPATH": os.pathsep.join([shim_path(), *sys.path])},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_what_it_says(name, found):
    kind, details = found[name]
    if name.rpartition(".")[2] in EXPECTED_MISSING:
        # Where there is a module of the same name, Python gives that.
        assert kind in ("missing", "module") and kind != NAMES[name][0], (
            f"{name} is there: take it out of EXPECTED_MISSING"
        )
        return
    assert kind == NAMES[name][0], details
    if kind == "star":
        path = name.removesuffix(".*")
        assert {n for n in names_of(path) if not n.startswith("_")} - set(details) <= set(
            EXPECTED_MISSING
        )
    if NAMES[name][1] is not None:
        assert not wrong_signature(details, NAMES[name][1])


def wrong_signature(parameters, documented):
    """Return what is wrong: the documented ones come first, others can be left out."""
    arguments = ast.parse(f"lambda {documented.replace('...', 'ANY')}: 0").body[0].value.args
    names = [a.arg for a in arguments.args]
    defaults = [None] * (len(names) - len(arguments.defaults)) + arguments.defaults
    if len(parameters) < len(names):
        return f"takes {[name for name, _, _ in parameters]}, documented are {names}"
    for name, default, (ours, optional, ours_default) in zip(names, defaults, parameters):
        wanted = "ANY" if default is None else ast.unparse(default)
        if name != ours or wanted not in ("ANY", ours_default):
            return f"{ours}={ours_default} ({optional=}), documented is {name}={wanted}"
    for ours, optional, _ in parameters[len(names) :]:
        if not optional:
            return f"{ours} is needed, and not documented"
    if arguments.kwarg and f"**{arguments.kwarg.arg}" not in [p[0] for p in parameters]:
        return f"does not take **{arguments.kwarg.arg}"
    return ""


def test_wrong_signatures_are_found():
    ours = [["x", False, None], ["y", True, "1"], ["**kwargs", True, None]]
    assert wrong_signature(ours, "x, y=1, **kwargs") == ""
    assert wrong_signature(ours, "x") == ""
    assert wrong_signature(ours, "x, y") == ""
    for other in ["x, y=2", "y, x=1", "x, y=1, z=2, a=4", "x, y=1, **others"]:
        assert wrong_signature(ours, other)
    assert wrong_signature([["x", False, None]], "")


def test_the_list_of_missing_names_is_true():
    """Over the whole table, which has more than what projects are known to import."""
    missing = set()
    for path in TABLE:
        for name in names_of(path):
            try:
                getattr(facade(path), name)
            except AttributeError:
                missing.add(name)
    assert missing == set(EXPECTED_MISSING), "see EXPECTED_MISSING"


def test_the_shape_of_the_table():
    """Parents of modules are modules, and each name is written once."""
    for path, homes in TABLE.items():
        parent = path.rpartition(".")[0]
        assert not parent or parent in TABLE, f"{path} has no parent"
        words = [word for each in homes.values() for word in each.split() if word != "*"]
        assert len(words) == len(set(words)), f"{path} has a name twice"
