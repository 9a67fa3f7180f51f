"""What an import costs: the package alone, and the class that users import from it."""

from __future__ import annotations

import importlib
import json
import sys
import time

TITLE = "import, in a fresh interpreter"
SYSTEMS = ["shoal", "dask-core", "dask", "ray"]
FIGURES = {"package": ("ms, the package", "lower"), "client": ("ms, with its client", "lower")}

# System -> package, and the attribute that a program asks for next.
WHAT = {
    "shoal": ("shoal", "Client"),
    "dask-core": ("dask", "compute"),
    "dask": ("distributed", "Client"),
    "ray": ("ray", "init"),
}


def main(name):
    """Run it once on the system called `name`."""
    package, attribute = WHAT[name]
    start = time.perf_counter()
    module = importlib.import_module(package)
    imported = time.perf_counter()
    figures = {"package": 1e3 * (imported - start)}
    try:
        getattr(module, attribute)
    except ImportError as error:
        sys.exit(f"{package}.{attribute}: {error}")
    figures["client"] = 1e3 * (time.perf_counter() - start)
    return figures


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
