"""The switch: from `install_as_distributed` on, `import distributed` gives shoal in this process.

A finder in front of all others knows the modules of the table, and answers for the version of the
distribution `distributed`. The shim's folder goes first on `sys.path`, which processes take over
that this one starts (workers of its clusters, those of `multiprocessing`): there the shim turns the
switch on when `distributed` is first imported. The environment is left alone; see `run` of the
command line for whole trees of processes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.metadata import Distribution, DistributionFinder
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import dask

from shoal import config
from shoal._base.stand_in import ask_dask_again
from shoal.compat.facade import Facade, facade
from shoal.compat.table import PROGRAMS, TABLE

__all__ = [
    "find_module",
    "forget_modules",
    "install_as_distributed",
    "is_installed",
    "is_ours",
    "shim_path",
    "take_place",
    "uninstall",
]

_TOP = "distributed"
_ALIAS = "dask.distributed"
_protocol_before: list[str | None] = []
_SHIM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "shim")


def install_as_distributed() -> None:
    """Make shoal answer to the name `distributed` in this process.

    From then on ``import distributed``, ``from dask.distributed import Client`` and the modules
    below, such as ``distributed.deploy.local``, give shoal's own objects. Processes that this one
    starts as workers do the same. Calling it again changes nothing.

    ``distributed.__version__`` and the version of the distribution `distributed` are dask's: the
    two packages are released together, and libraries compare them.

    Raises
    ------
    RuntimeError
        When the package `distributed` was imported here before: some code would go on with its
        classes, and some with shoal's.

    Examples
    --------
    >>> import shoal
    >>> shoal.install_as_distributed()
    >>> from dask.distributed import Client
    >>> Client is shoal.Client
    True
    """
    for name in (_TOP, _ALIAS):
        there = sys.modules.get(name)
        if there is not None and not isinstance(there, Facade) and not _is_shim(there):
            raise RuntimeError(
                f"{name} was imported already, from {getattr(there, '__file__', '?')}: it cannot "
                "be replaced any more. Call shoal.install_as_distributed() before anything "
                "imports it, or start the program with: python -m shoal run"
            )
    if is_installed():
        return
    sys.meta_path.insert(0, _finder)
    if _SHIM not in sys.path:
        sys.path.insert(0, _SHIM)
    # Libraries that train models across workers take hosts from addresses; Unix sockets have none.
    _protocol_before.append(config.get_optional_str("shoal.local-protocol"))
    dask.config.set({"shoal.local-protocol": _protocol_before[-1] or "tcp"})
    ask_dask_again()


def uninstall() -> None:
    """Turn the switch off, for tests: the names are found as without shoal.

    Objects and modules that were imported meanwhile stay what they are.
    """
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)
    while _SHIM in sys.path:
        sys.path.remove(_SHIM)
    if _protocol_before:
        dask.config.set({"shoal.local-protocol": _protocol_before.pop()})
    forget_modules()
    ask_dask_again()


def find_module(name: str) -> ModuleSpec | None:
    """Return where a module is found under the name `distributed`; `None`: nowhere in shoal."""
    return _finder.find_spec(name)


def is_ours(module: ModuleType | None) -> bool:
    """Return whether a module is one of shoal's under the name `distributed`."""
    return isinstance(module, Facade)


def forget_modules() -> None:
    """Have Python look for `distributed` again; modules that are imported already stay in use."""
    ours, alias = sys.modules.get(_TOP), sys.modules.get(_ALIAS)
    if isinstance(ours, Facade) and alias and vars(alias).get("Client") is ours.Client:
        # dask's own module of that name, which took all names from ours.
        del sys.modules[_ALIAS]
        vars(dask).pop("distributed", None)
    for name, module in list(sys.modules.items()):
        if isinstance(module, Facade):
            del sys.modules[name]
    if isinstance(vars(dask).get("distributed"), Facade):
        delattr(dask, "distributed")


def is_installed() -> bool:
    """Return whether the switch is on in this process."""
    return _finder in sys.meta_path


def shim_path() -> str:
    """Return the folder that makes shoal answer when it is first on the path."""
    return _SHIM


def take_place(name: str) -> None:
    """Turn the switch on and put shoal's module in the place of the shim's, which is importing."""
    module = facade(name)
    alias = sys.modules.get(_ALIAS)
    if alias is not None and getattr(alias.__spec__, "_initializing", False):
        # dask's module of that name imports all names of this one; take its place as well.
        sys.modules[_ALIAS] = module
        module.skip_star_import()
    install_as_distributed()
    module.__spec__ = _finder.find_spec(name)
    sys.modules[name] = module


def _is_shim(module: ModuleType) -> bool:
    file = getattr(module, "__file__", None)
    return isinstance(file, str) and os.path.abspath(file).startswith(_SHIM + os.sep)


def _at_home(name: str) -> str:
    """Return the name of a module that may be meant as one of `dask.distributed`."""
    if name == _ALIAS or name.startswith(_ALIAS + "."):
        return _TOP + name[len(_ALIAS) :]
    return name


class _Loader(Loader):
    """Puts a facade where a module of the table is imported."""

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__
        real = facade(_at_home(name))
        if real.__spec__ is None:
            real.__spec__ = module.__spec__
            real.__loader__ = self
        sys.modules[name] = real


class _Program(Loader):
    """A module that is started: it runs a command of shoal's."""

    def get_code(self, name: str) -> CodeType:
        text = (
            "import sys\n"
            "from shoal.cli.main import main\n"
            f"if __name__ == '__main__':\n    main([{PROGRAMS[name]!r}, *sys.argv[1:]])\n"
        )
        return compile(text, f"<shoal: {name}>", "exec")

    def exec_module(self, module: ModuleType) -> None:
        exec(self.get_code(module.__name__), module.__dict__)


class _Finder(MetaPathFinder):
    """Knows the modules of the table, and one distribution."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in PROGRAMS:
            return ModuleSpec(fullname, _Program(), origin="shoal")
        name = _at_home(fullname)
        if name not in TABLE:
            return None
        package = name == fullname and hasattr(facade(name), "__path__")
        return ModuleSpec(fullname, _Loader(), origin="shoal", is_package=package)

    def find_distributions(
        self,
        context: DistributionFinder.Context = DistributionFinder.Context(),  # noqa: B008
    ) -> Iterable[Distribution]:
        # The shim's folder, which is on the path, is enough where all packages are listed.
        return [_Distribution()] if (context.name or "").lower() == _TOP else []


def _version() -> str:
    return str(vars(dask)["__version__"])


class _Distribution(Distribution):
    """`distributed`, as `importlib.metadata` sees it."""

    def read_text(self, filename: str) -> str | None:
        if filename != "METADATA":
            return None
        return f"Metadata-Version: 2.1\nName: {_TOP}\nVersion: {_version()}\nSummary: shoal\n"

    def locate_file(self, path: Any) -> Any:
        return Path(_SHIM) / path


_finder = _Finder()
