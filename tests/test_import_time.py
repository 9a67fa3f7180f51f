"""What importing shoal loads. Times depend on the machine (see `make bench`); this does not."""

from __future__ import annotations

import json
import subprocess
import sys

# Loaded by the parts that need them, when they need them.
HEAVY = {
    *["dask", "msgspec", "cloudpickle", "psutil", "tornado", "uvloop", "yaml", "click", "tblib"],
    *["asyncio", "multiprocessing", "concurrent.futures", "importlib.metadata", "logging"],
}
# Optional, or the user's own business: no public name may load them.
FOREIGN = {
    *["numpy", "pandas", "pyarrow", "scipy", "bokeh", "prometheus_client", "asyncssh", "IPython"],
    *["ipykernel", "ipywidgets", "distributed", "cryptography", "jinja2.sandbox"],
}


def modules_after(code: str) -> set[str]:
    """Return the modules that a fresh interpreter has loaded after `code`."""
    code += "\nimport json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout))


def test_import_shoal_loads_next_to_nothing():
    loaded = modules_after("import shoal")
    assert loaded & (HEAVY | FOREIGN) == set()
    assert [name for name in loaded if name.startswith("shoal.")] == []


def test_a_client_loads_what_its_first_result_needs():
    loaded = modules_after("from shoal import Client, LocalCluster")
    seldom = ["admin.recreate", "admin.dump", "admin.ipython", "admin.plugins", "observe.activity"]
    assert loaded.isdisjoint(f"shoal.client.{name}" for name in seldom)
    plugins = {name for name in loaded if name.startswith("shoal.plugins.builtin.")}
    assert plugins <= {"shoal.plugins.builtin.placing"}  # where uploaded files go, no plugin


def test_stores_of_results_are_loaded_by_those_who_keep_some():
    loaded = modules_after("from shoal import Client, LocalCluster, Nanny, Scheduler, Worker")
    assert [name for name in loaded if name.startswith("shoal.cache")] == []


def test_version_and_dir_load_nothing():
    assert modules_after("import shoal; shoal.__version__; dir(shoal)") & HEAVY == set()


def test_configuration_loads_dask_and_registers_the_defaults():
    loaded = modules_after(
        "import shoal.config, dask; assert dask.config.get('shoal.pipeline') == '10ms'"
    )
    assert loaded & FOREIGN == set()


def test_no_public_name_loads_optional_packages():
    code = "import shoal\nfor name in shoal.__all__:\n    getattr(shoal, name)"
    assert modules_after(code) & FOREIGN == set()
