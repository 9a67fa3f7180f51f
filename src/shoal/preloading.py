"""Preloads: users' code that runs when a scheduler, worker, nanny or client starts and stops.

A preload is a module's name, a ``.py`` file, a web address of one, or Python text. It is imported
before the service makes any connection. Its ``dask_setup(service)`` is called when the service
starts and its ``dask_teardown(service)`` when it stops; both are optional and may be coroutine
functions. A ``dask_setup`` that is a click command gets the arguments after the service's own.
"""

from __future__ import annotations

import importlib
import inspect
import logging
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from shoal import config

if TYPE_CHECKING:
    import click

__all__ = ["Preloads", "validate_preload_argv"]

logger = logging.getLogger("shoal.preloading")

_WEB = re.compile(r"https?://")
_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*\Z")
_WEB_TIMEOUT = 30


class Preloads:
    """The preloads of one service, imported when this is made.

    Parameters
    ----------
    service : object
        The argument of ``dask_setup`` and ``dask_teardown``.
    preload : str or sequence of str
        Module names, files, web addresses or Python text.
    preload_argv : sequence of str, or one such sequence for each preload
        Arguments for those whose ``dask_setup`` is a click command.

    A module that cannot be imported is told in the log, and the service does without it.
    """

    def __init__(
        self,
        service: Any,
        preload: str | Sequence[str] = (),
        preload_argv: Sequence[str] | Sequence[Sequence[str]] = (),
    ) -> None:
        self._service = service
        names = [preload] if isinstance(preload, str) else list(preload or ())
        self._argv = _argv_of_each(names, preload_argv)
        self._names = names
        self._modules = [_load_or_log(name) for name in names]
        self._started: list[tuple[str, ModuleType]] = []

    @classmethod
    def configured(
        cls, service: Any, kind: str, preload: Any = None, preload_argv: Any = ()
    ) -> Preloads:
        """Make those of a kind of service: what is given, else ``distributed.KIND.preload``."""
        return cls(
            service,
            config.get_list(f"distributed.{kind}.preload", preload),
            preload_argv or config.get_list(f"distributed.{kind}.preload-argv"),
        )

    def __len__(self) -> int:
        return len(self._names)

    async def start(self) -> None:
        """Call each ``dask_setup``, in order. Errors are logged: the service goes on without."""
        for name, module, argv in zip(self._names, self._modules, self._argv):
            setup = getattr(module, "dask_setup", None)
            self._started.append((name, module))
            if setup is None:
                continue
            try:
                if _is_command(setup):
                    await _call(*_parse(setup, argv), self._service)
                else:
                    await _call(setup, {}, self._service)
            except Exception:
                logger.exception("dask_setup of preload %s failed", _short(name))
            else:
                logger.info("Ran dask_setup of preload %s", _short(name))

    async def teardown(self) -> None:
        """Call each ``dask_teardown``, the last one first. Errors are logged: the service stops."""
        while self._started:
            name, module = self._started.pop()
            function = getattr(module, "dask_teardown", None)
            if function is None:
                continue
            try:
                await _call(function, {}, self._service)
            except Exception:
                logger.exception("dask_teardown of preload %s failed", _short(name))


def _load_or_log(name: str) -> ModuleType:
    """Import a preload; one that cannot be had is told in the log, and the service does without."""
    try:
        return load(name)
    except ImportError as error:
        logger.exception("%s", error)
        return ModuleType("preload")


def load(name: str) -> ModuleType:
    """Import a preload and return its module.

    Raises
    ------
    ImportError
        When that fails, whatever the reason; the text names the preload.
    """
    try:
        if _WEB.match(name):
            urllib = importlib.import_module("urllib.request")  # large, and rarely wanted
            with urllib.urlopen(name, timeout=_WEB_TIMEOUT) as reply:
                return _run_text(reply.read().decode(), name)
        if name.endswith(".py"):
            return _run_file(Path(name))
        if _MODULE.match(name):
            return importlib.import_module(name)
        return _run_text(name, "<preload>")
    except Exception as error:
        raise ImportError(
            f"preload {_short(name)} cannot be imported: {type(error).__name__}: {error}"
        ) from error


def _run_file(path: Path) -> ModuleType:
    """Run a file as the module of its name, which tasks can then import."""
    text = path.read_text(encoding="utf-8")
    module = sys.modules[path.stem] = ModuleType(path.stem)
    module.__file__ = str(path.resolve())
    exec(compile(text, module.__file__, "exec"), module.__dict__)
    return module


def _run_text(text: str, where: str) -> ModuleType:
    module = ModuleType("preload")
    exec(compile(text, where, "exec"), module.__dict__)
    return module


def _argv_of_each(
    names: Sequence[str], argv: Sequence[str] | Sequence[Sequence[str]]
) -> list[list[str]]:
    """Return the arguments of each preload; a flat list is for all of them."""
    given = [argv] if isinstance(argv, str) else list(argv or ())
    if all(isinstance(each, str) for each in given):
        return [[str(each) for each in given] for _ in names]
    if len(given) != len(names) or any(isinstance(each, str) for each in given):
        raise ValueError(
            f"preload_argv must be a list of arguments, or one such list for each of the "
            f"{len(names)} preloads; got {argv!r}"
        )
    return [list(each) for each in given]


def _parse(command: click.Command, argv: list[str]) -> tuple[Callable[..., Any], dict[str, Any]]:
    context = command.make_context("dask_setup", list(argv), allow_extra_args=False)
    assert command.callback is not None
    return command.callback, dict(context.params)


async def _call(function: Callable[..., Any], params: dict[str, Any], service: Any) -> None:
    result = function(service, **params)
    if inspect.isawaitable(result):
        await result


def _is_command(setup: Any) -> bool:
    # A click command cannot be made without click, and most services never load it.
    click = sys.modules.get("click")
    return click is not None and isinstance(setup, click.Command)


def _short(name: str) -> str:
    line = name.strip().splitlines()[0] if name.strip() else ""
    return repr(line if len(line) <= 60 else line[:57] + "...")


def validate_preload_argv(
    context: click.Context, param: click.Parameter, value: Sequence[str]
) -> Sequence[str]:
    """Check, as a click callback, that a preload takes the arguments after the command's own."""
    if not value or context.resilient_parsing:
        return value
    usage_error = importlib.import_module("click").UsageError
    preload = context.params.get("preload") or ()
    commands: list[click.Command] = []
    for name in [preload] if isinstance(preload, str) else preload:
        try:
            setup = getattr(load(name), "dask_setup", None)
        except ImportError as error:
            raise usage_error(str(error)) from None
        if setup is not None and _is_command(setup):
            commands.append(setup)
    if not commands:
        what = "argument" if len(value) == 1 else "arguments"
        raise usage_error(
            f"got unexpected extra {what} ({' '.join(value)})"
            + (": dask_setup of no --preload is a click command" if preload else "")
        )
    for command in commands:
        command.make_context(context.info_name, list(value), parent=context)
    return value
