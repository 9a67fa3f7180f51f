"""Circles of modules that import each other, with the imports for type checkers counted.

An import under ``if TYPE_CHECKING:`` costs nothing when the program runs, but whoever reads a file
has to know what it names. Modules that name each other in a circle can be understood only together,
so circles are small, and stay inside one folder: a directory of the package, without those below
it. `shoal/__init__.py`, which names everything, is not counted.

To break a circle, have the helper take what it uses: a base class (`ClientContext`) or a Protocol
beside the helper (see docs/decisions/).
"""

from __future__ import annotations

from source_imports import Import


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
