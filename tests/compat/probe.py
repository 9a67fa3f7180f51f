"""Run under the shim: say of each name on standard input what it is, as JSON. See test_names."""

from __future__ import annotations

import importlib
import inspect
import json
import logging
import sys
import types


def find(name):
    """What `from parent import name` gives; a module that is no such name, by its path."""
    parent, _, last = name.rpartition(".")
    if parent:
        space = {}
        try:
            exec(f"from {parent} import {last}", space)
        except ImportError:
            pass
        else:
            return space[last]
    return importlib.import_module(name)


def kind_of(value):
    if isinstance(value, type):
        return "class"
    if isinstance(value, types.ModuleType):
        return "module"
    if type(value).__name__ == "FixtureFunctionDefinition":
        return "fixture"
    if inspect.iscoroutinefunction(value):
        return "coroutine"
    if isinstance(value, (types.FunctionType, types.BuiltinFunctionType, types.MethodType)):
        return "function"
    return "Logger" if isinstance(value, logging.Logger) else type(value).__name__.lstrip("_")


def signature_of(value):
    try:
        parameters = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):
        return None
    # Name, whether a call may leave it out, the default as text.
    return [
        (
            {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "") + p.name,
            p.default is not p.empty or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD),
            None if p.default is p.empty else repr(p.default),
        )
        for p in parameters
    ]


def describe(name):
    try:
        if name.endswith(".*"):
            space = {}
            exec(f"from {name[:-2]} import *", space)
            return ["star", sorted(space)]
        value = find(name)
    except ImportError as error:
        return ["missing", str(error)]
    return [kind_of(value), signature_of(value)]


if __name__ == "__main__":
    json.dump({name: describe(name) for name in sys.stdin.read().split()}, sys.stdout)
