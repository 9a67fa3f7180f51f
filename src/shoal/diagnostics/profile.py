"""Trees of sampled call stacks: how often each line was seen, and what it called.

A tree is a plain dict, so that it travels: ``count`` (samples), ``identifier``, ``description``
(``filename``, ``name``, ``line_number``, ``line``) and ``children`` by identifier.
"""

from __future__ import annotations

import linecache
from collections.abc import Iterable
from itertools import islice
from types import FrameType
from typing import Any, TypeAlias

__all__ = ["Tree", "add_stack", "describe", "merge", "new_tree", "stack_text"]

# Frames of a stack that count; deep recursion says no more further in. The encoder of a tree calls
# itself six times a level, and Python lets it do so a thousand times.
_DEEPEST = 100

Tree: TypeAlias = dict[str, Any]


def new_tree() -> Tree:
    """Return a tree without samples."""
    return {
        "count": 0,
        "identifier": "root",
        "description": {"filename": "", "name": "", "line_number": 0, "line": ""},
        "children": {},
    }


def add_stack(tree: Tree, frames: Iterable[FrameType]) -> None:
    """Count a sample.

    Parameters
    ----------
    tree : dict
        It is changed.
    frames : iterable of frame
        The stack, outermost first.
    """
    tree["count"] += 1
    node = tree
    for frame in islice(frames, _DEEPEST):
        code = frame.f_code
        identifier = f"{code.co_qualname};{code.co_filename};{code.co_firstlineno}"
        children = node["children"]
        child = children.get(identifier)
        if child is None:
            # The text of the line is looked up by the reader of the profile, not here and now.
            child = children[identifier] = {
                "count": 0,
                "identifier": identifier,
                "description": {
                    "filename": code.co_filename,
                    "name": code.co_name,
                    "line_number": frame.f_lineno or code.co_firstlineno,
                    "line": "",
                },
                "children": {},
            }
        child["count"] += 1
        node = child


def merge(trees: Iterable[Tree]) -> Tree:
    """Add trees up into a new one."""
    total = new_tree()
    for tree in trees:
        _add(total, tree)
    return total


def _add(total: Tree, tree: Tree) -> None:
    stack = [(total, tree)]
    while stack:
        into, other = stack.pop()
        into["count"] += other["count"]
        for identifier, child in other["children"].items():
            mine = into["children"].get(identifier)
            if mine is None:
                mine = into["children"][identifier] = {**child, "count": 0, "children": {}}
            stack.append((mine, child))


def describe(tree: Tree) -> Tree:
    """Fill in the source lines of a tree, where the source is; return the tree."""
    stack = [tree]
    while stack:
        node = stack.pop()
        told = node["description"]
        if told["filename"] and not told["line"]:
            told["line"] = linecache.getline(told["filename"], told["line_number"]).strip()
        stack.extend(node["children"].values())
    return tree


def stack_text(frames: Iterable[FrameType]) -> list[str]:
    """Return a stack as people read it in tracebacks, outermost first."""
    lines = []
    for frame in frames:
        code = frame.f_code
        line = linecache.getline(code.co_filename, frame.f_lineno or 0).strip()
        lines.append(
            f'File "{code.co_filename}", line {frame.f_lineno}, in {code.co_name}\n\t{line}'
        )
    return lines
