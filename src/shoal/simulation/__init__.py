"""A whole cluster in one process, with virtual time and a virtual network, from one integer.

The cores of scheduler, workers and clients are the real ones. Around them are what the shells are
in a real cluster, reduced to what the cores see of it, and faults. The same seed gives the same
life on any machine. Nothing imports this package but its command, `python -m shoal.simulation`,
and tests.
"""

from shoal.simulation.coverage import Coverage
from shoal.simulation.run import Result, run_seed
from shoal.simulation.trace import Trace

__all__ = ["Coverage", "Result", "Trace", "run_seed"]
