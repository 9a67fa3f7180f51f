"""The check for circles of imports, of which `test_layers` has the result, finds what it should."""

from __future__ import annotations

from import_circles import circles, folder_of
from source_imports import find_imports


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
