"""Names of workers: any object may be one, and two are the same when their texts are.

A cluster counts its workers 0, 1, 2; a command line, an environment variable and a restriction name
them by text. So code that compares or looks up names does it by text. A worker is shown with a
number where it was given one, and otherwise the text.
"""

from __future__ import annotations

import operator
from typing import Any

from shoal._base.numbers import is_whole

__all__ = ["shown_name"]


def shown_name(name: Any) -> str | int:
    """Return a worker's name as messages carry it and as people see it.

    Examples
    --------
    >>> shown_name(0), shown_name("0"), shown_name(("gpu", 1))
    (0, '0', "('gpu', 1)")
    """
    return operator.index(name) if is_whole(name) else str(name)
