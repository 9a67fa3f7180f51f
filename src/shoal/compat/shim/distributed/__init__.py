"""The module that Python finds first as `distributed`, with shoal's folder first on the path.

It turns shoal's switch on, and a module of shoal's takes its place.
"""

from __future__ import annotations

import sys

try:
    from shoal.compat.switch import take_place
except ModuleNotFoundError as _error:
    raise ImportError(
        f"shoal's folder {__file__!r} is on the path (PYTHONPATH) of {sys.executable}, which has "
        "no shoal; install it there, or take the folder out of PYTHONPATH for this process"
    ) from _error

if __name__ == "distributed":  # not when it is imported by its own name, as tests do
    take_place(__name__)
