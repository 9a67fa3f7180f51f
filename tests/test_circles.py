"""Circles of modules that import each other, with the imports for type checkers counted.

An import under ``if TYPE_CHECKING:`` costs nothing when the program runs, but whoever reads a file
has to know what it names. Modules that name each other in a circle can be understood only together,
so circles are small, and stay inside one folder: a directory of the package, without those below
it. `shoal/__init__.py`, which names everything, is not counted.

To break a circle, have the helper take what it uses: a base class (`ClientContext`) or a Protocol
beside the helper (see docs/decisions/).
"""

from __future__ import annotations

import pytest
from helpers import SOURCE
from source_imports import Import, find_imports, read_package

LARGEST = 12  # modules in one circle


def circles(imports: list[Import]) -> list[list[str]]:
    """Return the groups of modules that reach each other by imports, the largest first."""
    arrows: dict[str, set[str]] = {}
    for found in imports:
        inside = found.target.startswith("shoal.") and found.source != "shoal"
        if inside and not found.in_function:
            arrows.setdefault(found.source, set()).add(found.target)
    return sorted(_strongly_connected(arrows), key=len, reverse=True)


def _strongly_connected(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Tarjan's algorithm, with a stack of its own: chains of imports are long."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: list[str] = []
    groups = []
    for start in sorted(arrows):
        todo = [] if start in number else [(start, iter(sorted(arrows[start])))]
        while todo:
            here, rest = todo[-1]
            if here not in number:
                number[here] = lowest[here] = len(number)
                path.append(here)
            for target in rest:
                if target not in number:
                    todo.append((target, iter(sorted(arrows.get(target, ())))))
                    break
                if target in path:
                    lowest[here] = min(lowest[here], number[target])
            else:
                todo.pop()
                if todo:
                    above = todo[-1][0]
                    lowest[above] = min(lowest[above], lowest[here])
                if lowest[here] == number[here]:
                    group = path[path.index(here) :]
                    del path[path.index(here) :]
                    if len(group) > 1:
                        groups.append(sorted(group))
    return groups


def folder_of(module: str, modules: dict[str, str]) -> str:
    """Return the directory that a module's file is in, with dots."""
    is_folder = any(name.startswith(module + ".") for name in modules)
    return module if is_folder else module.rpartition(".")[0]


@pytest.fixture(scope="module")
def modules() -> dict[str, str]:
    return read_package(SOURCE)


@pytest.fixture(scope="module")
def found(modules) -> list[list[str]]:
    return circles(find_imports(modules))


def test_circles_are_small(found):
    assert not [circle for circle in found if len(circle) > LARGEST]


def test_circles_stay_in_one_folder(found, modules):
    across = [c for c in found if len({folder_of(module, modules) for module in c}) > 1]
    assert not across


# ------------------------------------------------------------- these checks can fail


def of(**modules: str) -> list[list[str]]:
    """Return the circles of a made-up package; `a__b` stands for the module `shoal.a.b`."""
    named = {"shoal." + name.replace("__", "."): text for name, text in modules.items()}
    return circles(find_imports({"shoal": "", **named}))


def test_a_circle_by_types_is_found():
    back = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from shoal.wire.a import A"
    modules = {"wire__a": "from shoal.comm.b import B", "comm__b": "import shoal.wire.c"}
    assert of(**modules, wire__c="") == []
    assert of(**modules, wire__c=back) == [["shoal.comm.b", "shoal.wire.a", "shoal.wire.c"]]


def test_two_circles_are_told_apart():
    modules = {"a": "import shoal.b", "b": "import shoal.a\nimport shoal.c"}
    both = of(**modules, c="from shoal import d", d="from . import c")
    assert sorted(both) == [["shoal.a", "shoal.b"], ["shoal.c", "shoal.d"]]


def test_a_long_chain_is_one_circle():
    chain = {f"m{i}": f"import shoal.m{(i + 1) % 2000}" for i in range(2000)}
    assert [len(circle) for circle in of(**chain)] == [2000]


def test_folders_are_directories():
    modules = dict.fromkeys(["shoal", "shoal.wire", "shoal.wire.codec", "shoal.config"], "")
    assert folder_of("shoal.wire", modules) == folder_of("shoal.wire.codec", modules)
    assert folder_of("shoal.config", modules) == "shoal"
