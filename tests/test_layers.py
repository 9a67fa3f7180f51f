"""The layers of shoal, checked by reading the imports: what may import what, and what stays pure.

The tables come first. A module that none of them names fails the test: say where it belongs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

import pytest
from helpers import SOURCE
from import_circles import circles, folder_of
from source_imports import Import, find_calls, find_imports, read_package

# Layer -> the modules and packages in it (the longest name that fits a module counts).
LAYERS = {
    "base": ["shoal._base", "shoal.errors"],
    "config": ["shoal.config"],
    "wire": ["shoal.wire"],
    "comm": [
        "shoal.comm",
        "shoal.core",
        "shoal.preloading",
        "shoal.security",
        "shoal.shared_memory",
        "shoal.telemetry",
    ],
    "core": [],  # see PURE
    "shell": [
        "shoal.actors",
        "shoal.cache",
        "shoal.diagnostics",
        "shoal.nanny",
        "shoal.plugins",
        "shoal.scheduler",
        "shoal.shuffle",
        "shoal.task_context",
        "shoal.worker",
    ],
    "client": ["shoal.client", "shoal.coordination"],
    "top": [
        "shoal.__main__",
        "shoal.cli",
        "shoal.compat",
        "shoal.dashboard",
        "shoal.deploy",
        "shoal.http",
        "shoal.testing",
    ],
    "simulation": ["shoal.simulation"],
}

# Modules of the layer "core", the state machines: they decide, and touch nothing outside. And what
# carries out their effects by ports: the simulator has the same.
PURE = [
    r"shoal\.(scheduler|worker|client\.session)\.applier",
    r"shoal\.(scheduler|worker|client|nanny)\.core(\..+)?",
    r"shoal\.coordination\.(.+\.)?core(\..+)?",
]

# Layer -> layers that it may import, besides itself.
MAY_IMPORT = {
    "base": [],
    "config": ["base"],
    "wire": ["base", "config"],
    "comm": ["base", "config", "wire"],
    "core": ["base", "wire"],
    "shell": ["base", "config", "wire", "comm", "core"],
    "client": ["base", "config", "wire", "comm", "core", "shell"],
    "top": ["base", "config", "wire", "comm", "core", "shell", "client"],
    "simulation": ["base", "wire", "core"],
}

# What no pure module may import: clocks, chance, the outside world, and user objects.
IMPURE = [
    *["asyncio", "concurrent", "multiprocessing", "queue", "sched", "signal", "subprocess"],
    *["threading", "_thread", "select", "selectors", "socket", "ssl", "http", "urllib"],
    *["time", "datetime", "random", "secrets", "uuid", "gc"],
    *["io", "os", "pathlib", "shutil", "tempfile", "logging", "warnings"],
    *["pickle", "cloudpickle", "dask.config", "psutil", "tornado", "uvloop", "yaml"],
]

# Modules that import others by a call, where the name is one of shoal's own or computed: why each
# may. Names of other packages that stand in the call are optional extras, and need no reason.
IMPORTED_BY_CALL = {
    "shoal._base.later": "modules that are seldom used; an import for types stands beside",
    "shoal.plugins.builtin": "each plugin is loaded when somebody asks for it",
    "shoal.scheduler.memory_manager": "policies that the configuration names",
    "shoal._base.stand_in": "the name `distributed` is answered a layer above, when dask asks",
    "shoal.actors.client_hooks": "a proxy that was unpickled may be used before a client is loaded",
    "shoal.cli.main": "a command's module is loaded when the command is called",
    "shoal.cli.ranks": "only the rank of the program loads a client",
    "shoal.cli.worker": "classes of workers and nannies are named by the user",
    "shoal.client.client": "streams are made of primitives, which know clients",
    "shoal.client.in_task.task_client": "a task's client is made by a worker, two layers below",
    "shoal.client.observe.memory_sampler": "pandas or matplotlib, by the method that needs it",
    "shoal.client.starting": "`Client()` makes a local cluster, a layer above, when none is named",
    "shoal.compat.facade": "names of `distributed` are found where shoal defines them",
    "shoal.compat.inspection": "names are given by whoever inspects",
    "shoal.deploy.cluster": "`Cluster.get_client` makes a client when it is asked for",
    "shoal.http.user_modules": "modules with routes that the user names",
    "shoal.http.app": "pages of scheduler and worker load nothing of each other",
    "shoal.nanny.child": "the process runs what its parent names",
    "shoal._base.named_class": "classes of specifications and workers may be named by text",
    "shoal.nanny.template": "a template imports what workers will need",
    "shoal.nanny.views": "the class of the worker may be named by text",
    "shoal.plugins.placing": "modules that the user uploaded",
    "shoal.preloading": "modules that the user names",
    "shoal.worker.executor.retrying": "functions of retry policies are named by the user",
    "shoal.worker.views.attributes": "a task's client is a layer above, made when a task asks",
    "shoal.scheduler.observe.identity": "the server of pages is a layer above, seldom wanted",
    "shoal.worker.pages": "the same",
}

LARGEST_CIRCLE = 12  # modules; see `import_circles`

# The package's own face loads its names when asked for, so it may import anything, anywhere.
FACE = "shoal"


def layer_of(module: str) -> str | None:
    if any(re.fullmatch(pattern, module) for pattern in PURE):
        return "core"
    best: tuple[int, str] | None = None
    for layer, names in LAYERS.items():
        for name in names:
            fits = module == name or module.startswith(name + ".")
            if fits and (best is None or len(name) > best[0]):
                best = (len(name), layer)
    return best[1] if best else None


def own(imports: list[Import]) -> Iterator[Import]:
    """Imports of shoal's modules by shoal's modules, without the face's lazy ones."""
    for found in imports:
        if found.source != FACE and found.target.partition(".")[0] == FACE:
            yield found


def impure_imports(imports: list[Import]) -> list[str]:
    return [
        f"{found}: a core must not"
        for found in imports
        if layer_of(found.source) == "core" and is_impure(found.target, found.name)
    ]


def is_impure(target: str, name: str) -> bool:
    written = [target, f"{target}.{name}"]
    return any(w == bad or w.startswith(bad + ".") for w in written for bad in IMPURE)


def upward_imports(imports: list[Import]) -> list[str]:
    problems = []
    for found in own(imports):
        if found.target == FACE:
            problems.append(f"{found}: name the module that defines it")
            continue
        source, target = layer_of(found.source), layer_of(found.target)
        if source and target and source != target and target not in MAY_IMPORT[source]:
            problems.append(f"{found}: {source} must not import {target}")
    return problems


def local_imports(imports: list[Import]) -> list[str]:
    return [f"{found} inside a function" for found in own(imports) if found.in_function]


def imports_by_call(
    calls: list[Import], reasons: Mapping[str, str] = MappingProxyType(IMPORTED_BY_CALL)
) -> list[str]:
    """Return the calls that import shoal's modules, or computed names, without a reason."""
    problems = []
    for found in calls:
        ours = found.target.partition(".")[0] == FACE or found.target.startswith("<")
        if layer_of(found.source) == "core":
            problems.append(f"{found} by a call: a core must not")
        elif found.source != FACE and ours and found.source not in reasons:
            problems.append(f"{found} by a call: say why in IMPORTED_BY_CALL")
    return problems


def import_cycles(imports: list[Import]) -> list[str]:
    """Return each cycle among imports that run when the module is loaded, as a readable chain."""
    graph: dict[str, set[str]] = {}
    for found in own(imports):
        if not found.in_function and not found.for_types:
            graph.setdefault(found.source, set()).add(found.target)
    cycles, done = [], set()
    for start in sorted(graph):
        chain, todo = [start], [sorted(graph[start])]
        while todo and start not in done:
            if not todo[-1]:
                done.add(chain.pop())
                todo.pop()
                continue
            target = todo[-1].pop()
            if target in chain:
                cycles.append(" -> ".join([*chain[chain.index(target) :], target]))
            elif target not in done:
                chain.append(target)
                todo.append(sorted(graph.get(target, ())))
    return cycles


@pytest.fixture(scope="module")
def imports() -> list[Import]:
    return find_imports(read_package(SOURCE))


def test_every_module_has_a_layer():
    homeless = [m for m in read_package(SOURCE) if m != FACE and layer_of(m) is None]
    assert not homeless, f"say in LAYERS of {__file__} where these belong: {homeless}"


def test_cores_are_pure(imports):
    assert impure_imports(imports) == []


def test_imports_point_down(imports):
    assert upward_imports(imports) == []


def test_no_import_cycles(imports):
    assert import_cycles(imports) == []


def test_circles_by_types_are_small(imports):
    assert not [circle for circle in circles(imports) if len(circle) > LARGEST_CIRCLE]


def test_circles_by_types_stay_in_one_folder(imports):
    modules = read_package(SOURCE)
    across = [c for c in circles(imports) if len({folder_of(m, modules) for m in c}) > 1]
    assert not across, "take a base class or a Protocol: see import_circles"


def test_no_imports_inside_functions(imports):
    assert local_imports(imports) == []


def test_imports_by_call_have_reasons():
    calls = find_calls(read_package(SOURCE))
    assert imports_by_call(calls) == []
    gone = set(IMPORTED_BY_CALL) - {found.source for found in calls}
    assert not gone, f"these import nothing by a call any more: {gone}"


# ------------------------------------------------------------- each of these checks can fail


def problems(check, **modules: str) -> list[str]:
    """Run `check` on a made-up package; `a__b` stands for the module `shoal.a.b`."""
    named = {"shoal." + name.replace("__", "."): text for name, text in modules.items()}
    return check(find_imports({"shoal": "", **named}))


@pytest.mark.parametrize(
    "line",
    [
        "import asyncio",
        "from time import monotonic",
        "import os.path",
        "def f():\n    import random",
        "from concurrent.futures import Future",
        "from dask import config",
        "if TYPE_CHECKING:\n    import socket",
    ],
)
def test_an_impure_core_is_found(line):
    assert len(problems(impure_imports, scheduler__core__machine=line)) == 1
    assert problems(impure_imports, scheduler__core__machine="import osmosis, dask.utils") == []
    assert problems(impure_imports, scheduler__shell=line) == []


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("scheduler__core__state", "from shoal import config"),
        ("scheduler__core__state", "import shoal.config"),
        ("scheduler__core__state", "from shoal.comm import connect"),
        ("worker__core__machine", "from ..shell import Shell"),
        ("wire__codec", "from shoal.comm.tcp import TCP"),
        ("comm__tcp", "import shoal.scheduler.core.state"),
        ("worker__shell", "from shoal.client.client import Client"),
        ("client__client", "from ..deploy import local"),
        ("worker__shell", "from shoal import Client"),
        ("scheduler__shell", "from shoal.simulation import network"),
        ("simulation__network", "from shoal.scheduler.shell import Scheduler"),
        ("errors", "def f():\n    from shoal.wire import codec"),
    ],
)
def test_an_upward_import_is_found(module, line):
    around = dict.fromkeys(
        ["config", "comm", "worker__shell", "deploy__local", "scheduler__shell"], ""
    )
    assert len(problems(upward_imports, **{**around, module: line})) == 1


def test_downward_imports_are_fine():
    modules = {
        "config": "",
        "worker__core__machine": "from .state import State\nimport heapq",
        "worker__core__state": "from shoal.wire.messages import Compute",
        "worker__shell": "from shoal import config\nfrom .core.machine import Machine",
        "client__client": "from shoal.task_context import get_worker",
    }
    assert problems(upward_imports, **modules) == []
    assert problems(import_cycles, **modules) == []


def test_a_cycle_is_found_and_printed():
    modules = {
        "wire__a": "from .b import x",
        "wire__b": "import shoal.wire.c",
        "wire__c": "from shoal.wire import a",
    }
    (cycle,) = problems(import_cycles, **modules)
    assert cycle == "shoal.wire.a -> shoal.wire.b -> shoal.wire.c -> shoal.wire.a"
    modules["wire__c"] = "if TYPE_CHECKING:\n    from shoal.wire import a"
    assert problems(import_cycles, **modules) == []


def test_an_import_inside_a_function_is_found():
    line = "def f():\n    if True:\n        from shoal.wire import b"
    assert len(problems(local_imports, wire__a=line, wire__b="")) == 1
    assert problems(local_imports, wire__a="def f():\n    import json") == []


@pytest.mark.parametrize(
    ("module", "line", "count"),
    [
        ("comm__tcp", 'importlib.import_module("shoal.scheduler.scheduler")', 1),
        ("comm__tcp", "def f(name):\n    return import_module(name)", 1),
        ("comm__tcp", '__import__("shoal.client")', 1),
        ("comm__tcp", 'import_module("yaml")', 0),
        ("scheduler__core__state", 'import_module("yaml")', 1),
        ("cli__main", "import_module(module)", 0),
    ],
)
def test_an_import_by_call_is_found(module, line, count):
    named = {"shoal": "", "shoal." + module.replace("__", "."): line}
    assert len(imports_by_call(find_calls(named))) == count


def test_an_unknown_module_has_no_layer():
    assert layer_of("shoal.utils") is None
    assert layer_of("shoal.core") == "comm"
    assert layer_of("shoal.client.core.machine") == "core"
    assert layer_of("shoal.client.corello") == "client"
