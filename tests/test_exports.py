"""The public face: every name is there, documented, and shoal's own; the rest is marked private."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil

import pytest
from helpers import SOURCE
from source_imports import find_imports, read_package

import shoal

MODULES = read_package(SOURCE)

# Exceptions that are the standard library's own, so that `except TimeoutError` catches them.
BORROWED = {"CancelledError", "TimeoutError"}

# Modules that are started, not imported.
PROGRAMS = {name for name in MODULES if name.endswith(".__main__")}


@pytest.mark.parametrize("name", shoal.__all__)
def test_public_names_resolve_and_are_documented(name):
    value = getattr(shoal, name)
    if name == "__version__":
        return
    assert inspect.getdoc(value), f"{name} has no docstring"
    assert value.__name__ == name
    if name not in BORROWED:
        assert value.__module__.partition(".")[0] == "shoal", f"{name} is of {value.__module__}"


def test_all_is_complete_and_shown():
    assert len(set(shoal.__all__)) == len(shoal.__all__)
    shown = {name for name in dir(shoal) if not name.startswith("__")}
    assert shown == set(shoal.__all__) - {"__version__"}, "what the module needs itself is shown"
    assert "__version__" in dir(shoal)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'fishery'"):
        shoal.fishery  # noqa: B018
    with pytest.raises(ImportError):
        exec("from shoal import fishery")


def test_type_checkers_see_the_same_names():
    """The lazy table, `__all__` and the imports under TYPE_CHECKING say the same."""
    typed = {i.name: i.target for i in find_imports(MODULES) if i.source == "shoal" and i.for_types}
    assert typed == shoal._WHERE
    assert set(shoal.__all__) == {"__version__", *shoal._WHERE}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_modules_say_what_is_public(name):
    """A module has `__all__`, or nothing public but what it defines itself with no underscore."""
    tree = ast.parse(MODULES[name])
    body = tree.body
    has_all = any(
        isinstance(node, (ast.Assign, ast.AnnAssign))
        and "__all__"
        in ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target)
        for node in body
    )
    private = any(part.startswith("_") for part in name.split(".")[1:])
    if has_all or private or name in PROGRAMS:
        return
    defines = any(
        isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) for n in body
    )
    imports = any(isinstance(n, ast.ImportFrom) and n.module != "__future__" for n in body)
    # With no `__all__`, `from module import *` would also give what the module imported.
    assert not (imports and not defines), f"{name} only re-exports: list the names in __all__"


@pytest.mark.parametrize("name", sorted(set(MODULES) - PROGRAMS))
def test_modules_load_and_their_all_is_true(name):
    module = importlib.import_module(name)
    missing = [n for n in getattr(module, "__all__", []) if not hasattr(module, n)]
    assert missing == []


def test_no_module_hides_from_these_tests():
    """Every folder with Python files is a package, so that it is installed and found."""
    found = {m.name for m in pkgutil.walk_packages(shoal.__path__, "shoal.")}
    assert set(MODULES) - {"shoal"} - found == set()
