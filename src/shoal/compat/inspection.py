"""Looking at functions, names and the interpreter."""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["cli_keywords", "import_term", "is_kernel", "iscoroutinefunction"]


def import_term(name: str) -> Any:
    """Return what a dotted name stands for: a module, or something in one.

    Examples
    --------
    >>> import_term("math.sin")
    <built-in function sin>
    """
    module, _, attribute = name.rpartition(".")
    if not module:
        return importlib.import_module(name)
    return getattr(importlib.import_module(module), attribute)


def iscoroutinefunction(f: Any) -> bool:
    """Return whether calling it gives a coroutine; also for partials of coroutine functions."""
    while isinstance(f, functools.partial):
        f = f.func
    return inspect.iscoroutinefunction(f)


def is_kernel() -> bool:
    """Return whether this process is a Jupyter kernel; loads nothing of IPython."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


def cli_keywords(d: dict[str, Any], cls: Any = None, cmd: str | Any | None = None) -> list[str]:
    """Turn keyword arguments into options of a command line.

    Parameters
    ----------
    d : dict
        Names and values; ``False`` and ``None`` give nothing, ``True`` the bare option.
    cls : callable, optional
        The function that takes the arguments; a name that neither it nor `cmd` knows is an error.
    cmd : str or module, optional
        The module with the click command, which the options are for.

    Examples
    --------
    >>> cli_keywords({"x": 123, "save_file": "foo.txt"})
    ['--x', '123', '--save-file', 'foo.txt']
    """
    unknown = [name for name in d if cls is not None and not _takes(cls, name, cmd)]
    if unknown:
        raise ValueError(
            f"{getattr(cls, '__name__', cls)} does not take {', '.join(sorted(unknown))}"
        )
    words: list[str] = []
    for name, value in d.items():
        if value is None or value is False:
            continue
        words.append("--" + name.replace("_", "-"))
        if value is not True:
            # A text with spaces is quoted: the words may be joined into a line of a shell script.
            text = str(value)
            words.append(f"'{text}'" if " " in text and text[0] not in "'\"" else text)
    return words


def _takes(cls: Callable[..., Any], name: str, cmd: Any) -> bool:
    parameters = set(_parameters(cls))
    for base in getattr(cls, "__mro__", ())[1:]:
        parameters |= set(_parameters(base))
    if name in parameters:
        return True
    module = importlib.import_module(cmd) if isinstance(cmd, str) else cmd
    for value in vars(module).values() if module is not None else ():
        options = getattr(value, "params", ())
        if any(getattr(option, "name", None) == name for option in options):
            return True
    return False


def _parameters(cls: Callable[..., Any]) -> list[str]:
    try:
        return list(inspect.signature(cls).parameters)
    except (TypeError, ValueError):
        return []
