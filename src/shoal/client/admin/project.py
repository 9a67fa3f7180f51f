"""The code of the local project: which importable modules are its own, packed for others.

Its own are the modules beside the program or notebook, those that this process has imported from
outside of Python's and installed packages' folders, and those of editable installs. Workers' part
is in `shoal.plugins.builtin.environment`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import os
import shutil
import site
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from shoal.plugins.builtin.environment import ProjectEnvironment

__all__ = ["find_project", "locked_requirements", "project_modules"]

_SKIPPED = {"__pycache__", ".git", ".hg", ".venv", "venv", "node_modules", ".ipynb_checkpoints"}
_OURS = {"shoal", "distributed"}
_MOST = 64 << 20
_EPOCH = (1980, 1, 1, 0, 0, 0)  # of all files: the same code is the same archive


def find_project(folder: str | os.PathLike[str] | None, locked: bool) -> ProjectEnvironment:
    """Return the plugin that brings the local project to workers.

    Parameters
    ----------
    folder : path, optional
        Where the program or notebook is; found out by default.
    locked : bool
        Whether packages that the project locks are to be the same on workers.

    Raises
    ------
    ValueError
        When there is more code than it makes sense to send; the text names the largest.
    """
    where = Path(folder) if folder is not None else program_folder()
    modules = project_modules(where)
    archive = pack(modules)
    requirements = locked_requirements(where) if locked else None
    versions = {
        dist.metadata["Name"]: dist.version
        for dist in metadata.distributions()
        if dist.metadata["Name"]
    }
    digest = hashlib.sha256(archive).hexdigest()[:32]
    return ProjectEnvironment(archive, digest, sorted(modules), versions, requirements)


def program_folder() -> Path:
    """Return the folder of the running program, or of the notebook: the current one there."""
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    if main and not _is_installed(Path(main)) and "ipykernel" not in sys.modules:
        return Path(main).resolve().parent
    return Path.cwd()


def project_modules(folder: Path) -> dict[str, Path]:
    """Return the project's own modules by their top names: a file or a folder each."""
    found: dict[str, Path] = {}
    for name, path in (*_beside(folder), *_editable(), *_imported()):
        if name.isidentifier() and name not in _OURS and name != "__main__":
            found.setdefault(name, path)
    return found


def _beside(folder: Path) -> Iterator[tuple[str, Path]]:
    if str(folder) not in {str(Path(each or os.curdir).resolve()) for each in sys.path}:
        return  # nothing there can be imported here
    for path in sorted(folder.iterdir()):
        if path.suffix == ".py" and path.stem != "setup":
            yield path.stem, path
        elif (path / "__init__.py").is_file() and path.name not in _SKIPPED:
            yield path.name, path


def _editable() -> Iterator[tuple[str, Path]]:
    for dist in metadata.distributions():
        told = dist.read_text("direct_url.json")
        if not told or not json.loads(told).get("dir_info", {}).get("editable"):
            continue
        for name in (dist.read_text("top_level.txt") or dist.metadata["Name"]).split():
            path = _found(name.replace("-", "_"))
            if path is not None:
                yield name.replace("-", "_"), path


def _found(name: str) -> Path | None:
    if name in _OURS:
        return None
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    return None if spec is None or not spec.origin else _top(Path(spec.origin))


def _imported() -> Iterator[tuple[str, Path]]:
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if "." not in name and file and not _is_installed(Path(file)):
            yield name, _top(Path(file))


def _top(file: Path) -> Path:
    return file.parent if file.name == "__init__.py" else file


def _is_installed(file: Path) -> bool:
    paths = {*sysconfig.get_paths().values(), *site.getsitepackages(), sys.base_prefix, sys.prefix}
    if site.ENABLE_USER_SITE:
        paths.add(site.getusersitepackages())
    resolved = file.resolve()
    if not resolved.is_file():
        return True  # frozen, or in an archive
    beside = Path(sys.prefix).resolve().parent
    # An environment is often a folder of the project; a project is seldom one of an environment.
    return any(resolved.is_relative_to(path) for path in paths if Path(path).resolve() != beside)


def pack(modules: dict[str, Path]) -> bytes:
    """Return an archive of modules, the same for the same code."""
    buffer = io.BytesIO()
    sizes: dict[str, int] = {}
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, path in sorted(modules.items()):
            for file, inner in _files(path):
                data = file.read_bytes()
                sizes[name] = sizes.get(name, 0) + len(data)
                if sum(sizes.values()) > _MOST:
                    largest = max(sizes, key=lambda each: sizes[each])
                    raise ValueError(
                        f"the project's modules are more than {_MOST >> 20} MiB; the largest is "
                        f"{largest!r} at {modules[largest]}. Install it on the workers, or name "
                        "the folder of the project's code with folder="
                    )
                archive.writestr(zipfile.ZipInfo(inner, _EPOCH), data)
    return buffer.getvalue()


def _files(path: Path) -> Iterator[tuple[Path, str]]:
    if path.is_file():
        yield path, path.name
        return
    for root, folders, files in os.walk(path):
        folders[:] = sorted(each for each in folders if each not in _SKIPPED)
        for name in sorted(files):
            full = Path(root) / name
            if full.suffix != ".pyc" and full.is_file():
                yield full, full.relative_to(path.parent).as_posix()


def locked_requirements(folder: Path) -> str | None:
    """Return what a project locks with uv, one requirement a line; None where it does not.

    Raises
    ------
    RuntimeError
        When uv cannot read its own file.
    """
    locks = [each / "uv.lock" for each in (folder, *folder.parents)]
    lock = next((each for each in locks if each.is_file()), None)
    uv = shutil.which("uv")
    if lock is None or uv is None:
        return None
    command = [uv, "export", "--frozen", "--no-dev", "--no-emit-project", "--no-hashes", "--quiet"]
    done = subprocess.run(
        command, cwd=lock.parent, capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} in {lock.parent} failed: {done.stderr.strip()}")
    lines = (line.strip() for line in done.stdout.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith(("#", "-e")))
