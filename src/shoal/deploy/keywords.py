"""Whether the servers of a cluster take the keywords that a user gave for them.

A name that is wrong would else be known only to the process that is to be started, and told from
there. Not here: what the keywords mean.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

__all__ = ["refuse_unknown_keywords"]


def refuse_unknown_keywords(
    caller: type, given: Iterable[str], targets: Sequence[Callable[[], type]]
) -> None:
    """Refuse keywords that no target has as a parameter.

    Parameters
    ----------
    caller : type
        The class that the user called: its own parameters are proposed, too.
    given : iterable of str
        Names of the keywords.
    targets : sequence of callables
        Each gives a class that the keywords are passed on to. A later one is asked for, and may be
        imported then, only if earlier ones do not know all names.

    Raises
    ------
    TypeError
        When a name is unknown to all of them. It names the nearest ones.
    """
    unknown = set(given)
    known: set[str] = set()
    for target in targets:
        if not unknown:
            return
        names, anything = _parameters_of(target())
        if anything:
            return
        known |= names
        unknown -= names
    if unknown:
        known |= _parameters_of(caller)[0]
        raise TypeError("; ".join(_words(caller, name, known) for name in sorted(unknown)))


def _parameters_of(cls: type) -> tuple[set[str], bool]:
    """Return the names that a class can be called with, and whether it takes any other name."""
    names: set[str] = set()
    for base in cls.__mro__:
        init = vars(base).get("__init__")
        if init is None or base is object:
            continue
        kinds = inspect.signature(init).parameters
        names |= {name for name, p in kinds.items() if p.kind is not p.VAR_KEYWORD}
        takes_any = any(p.kind is p.VAR_KEYWORD for p in kinds.values())
        if takes_any and not base.__module__.startswith("shoal."):
            return names, True  # a user's class, which may use any of them
    return names - {"self"}, False


def _words(caller: type, name: str, known: set[str]) -> str:
    text = f"{caller.__name__}() got an unexpected keyword argument {name!r}"
    near: list[Any] = difflib.get_close_matches(name, known, n=2)
    return text + (f"; did you mean {' or '.join(map(repr, near))}?" if near else "")
