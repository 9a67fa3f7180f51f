"""Reads the imports of a package from its source, without running any of it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Import:
    """One imported module, as seen from the module that imports it."""

    source: str  # importing module
    target: str  # imported module: a module of the package, or what is written for others
    name: str  # what is taken from it, "" for `import target`
    line: int
    in_function: bool
    for_types: bool  # under `if TYPE_CHECKING:`
    by_call: bool = False  # `importlib.import_module("name")` or `__import__("name")`

    def __str__(self) -> str:
        what = f"{self.name} from {self.target}" if self.name else self.target
        return f"{self.source}:{self.line} imports {what}"


def read_package(root: Path) -> dict[str, str]:
    """Return the source of every module below `root` (``src/shoal``), by dotted name.

    A package's ``__init__.py`` goes by the package's own name.
    """
    modules = {}
    for path in sorted(root.rglob("*.py")):
        parts = [root.name, *path.relative_to(root).with_suffix("").parts]
        if parts[-1] == "__init__":
            parts.pop()
        modules[".".join(parts)] = path.read_text(encoding="utf-8")
    return modules


def find_imports(modules: dict[str, str]) -> list[Import]:
    """Return every import statement of `modules`, resolved against these modules."""
    packages = {name.rpartition(".")[0] for name in modules}
    found: list[Import] = []
    for name, text in modules.items():
        package = name if name in packages else name.rpartition(".")[0]
        for node, in_function, for_types in _walk(ast.parse(text), False, False):
            for target, what in _targets(node, package, modules):
                found.append(Import(name, target, what, node.lineno, in_function, for_types))
    return found


def find_calls(modules: dict[str, str]) -> list[Import]:
    """Return every import that is a call with the module's name as a text in it."""
    found: list[Import] = []
    for name, text in modules.items():
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func).rpartition(".")[2]
            if called not in ("import_module", "__import__") or not node.args:
                continue
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                target = first.value
            elif isinstance(first, ast.JoinedStr):  # f"prometheus_client{name}"
                target = ast.unparse(first)[2:-1]
            else:
                target = f"<{ast.unparse(first)}>"
            found.append(Import(name, target, "", node.lineno, True, False, by_call=True))
    return found


def _targets(
    node: ast.Import | ast.ImportFrom, package: str, modules: dict[str, str]
) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.name, ""
        return
    base = node.module or ""
    if node.level:
        parents = package.split(".")
        above = parents[: len(parents) - node.level + 1]
        base = ".".join([*above, base] if base else above)
    for alias in node.names:
        if f"{base}.{alias.name}" in modules:
            yield f"{base}.{alias.name}", ""
        else:
            yield base, alias.name


def _walk(
    node: ast.AST, in_function: bool, for_types: bool
) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.Import, ast.ImportFrom)):
            yield child, in_function, for_types
        elif isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield from _walk(child, True, for_types)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for part in child.body:
                yield from _walk(ast.Module([part], []), in_function, True)
            for part in child.orelse:
                yield from _walk(ast.Module([part], []), in_function, for_types)
        else:
            yield from _walk(child, in_function, for_types)
