"""`Environ`: environment variables of worker processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from shoal.plugins.nanny import NannyPlugin

if TYPE_CHECKING:
    from shoal.nanny.nanny import Nanny

__all__ = ["Environ"]


class Environ(NannyPlugin):
    """Set environment variables of worker processes, from their first moment on.

    Workers that run are started anew. Without nannies nothing happens.

    Parameters
    ----------
    environ : dict
        Values by name; they are made texts.

    Examples
    --------
    >>> client.register_plugin(Environ({"OMP_NUM_THREADS": 2}))  # doctest: +SKIP
    """

    restart = True

    def __init__(self, environ: Mapping[str, Any] | None = None) -> None:
        self.environ = {str(name): str(value) for name, value in (environ or {}).items()}
        self._before: dict[str, str | None] = {}

    def setup(self, nanny: Nanny) -> None:
        """Change what the next process gets."""
        self._before = {name: nanny.env.get(name) for name in self.environ}
        nanny.env.update(self.environ)

    def teardown(self, nanny: Nanny) -> None:
        """Give the next process what was there before."""
        for name, value in self._before.items():
            if value is None:
                nanny.env.pop(name, None)
            else:
                nanny.env[name] = value
