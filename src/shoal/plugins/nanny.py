"""`NannyPlugin`: what a nanny tells to users' code in its process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.plugins.hooks import defaults

if TYPE_CHECKING:
    from shoal.nanny.nanny import Nanny

__all__ = ["NannyPlugin"]


@defaults
class NannyPlugin:
    """Base class of plugins of nannies, which start the processes of workers.

    A plugin is pickled at the client, and every nanny, those that come later too, has a copy of
    its own. A nanny that joins has it before it starts its worker.

    Attributes
    ----------
    name : str
        A plugin replaces an older one of the same name. Random when it is missing.
    restart : bool
        Whether workers that run already are started anew when the plugin is added.

    Examples
    --------
    >>> class Environ(NannyPlugin):
    ...     restart = True
    ...
    ...     def __init__(self, variables):
    ...         self.variables = variables
    ...
    ...     def setup(self, nanny):
    ...         nanny.env.update(self.variables)
    """

    idempotent: bool = False
    restart: bool = False

    def setup(self, nanny: Nanny) -> Any:
        """Begin: the plugin is on this nanny. May be a coroutine function."""

    def teardown(self, nanny: Nanny) -> Any:
        """End: the nanny closes, or the plugin is removed. May be a coroutine function."""
