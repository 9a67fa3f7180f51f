"""Where a worker keeps results: in memory, and on disk what memory has no room for.

Values live here and nowhere else in a worker; its core knows only their keys and sizes.
"""

from shoal.worker.store.making import data_of, make_store
from shoal.worker.store.store import Store

__all__ = ["Store", "data_of", "make_store"]
