"""Where uploaded files go, and how what is in them is imported."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import zipfile
from pathlib import Path

__all__ = ["place"]


def place(filename: str, data: bytes, folder: Path, load: bool = True) -> None:
    """Write an uploaded file into a folder that modules are imported from.

    Raises
    ------
    Exception
        The exception of importing it.
    """
    target = folder / filename
    target.write_bytes(data)
    kind = target.suffix
    if kind not in (".py", ".egg", ".zip"):
        return
    on_path = str(folder if kind == ".py" else target)
    if on_path in sys.path:
        sys.path.remove(on_path)
    sys.path.insert(0, on_path)  # before an older version of it
    sys.path_importer_cache.pop(on_path, None)
    importlib.invalidate_caches()
    names = [target.stem] if kind == ".py" else _top_modules(target)
    if kind == ".py":  # the same second, the same size: the cached code may be of an older file
        cached = importlib.util.cache_from_source(str(target))
        Path(cached).unlink(missing_ok=True)
    for name in names:
        stale = [m for m in sys.modules if m == name or m.startswith(name + ".")]
        for module in stale:
            del sys.modules[module]
        if load:
            importlib.import_module(name)


def _top_modules(archive: Path) -> list[str]:
    """Return the names of the modules and packages at the top of an archive."""
    names: dict[str, None] = {}
    with zipfile.ZipFile(archive) as file:
        for entry in file.namelist():
            first, _, rest = entry.partition("/")
            if not rest and first.endswith(".py"):
                names[first.removesuffix(".py")] = None
            elif rest == "__init__.py":
                names[first] = None
    return [name for name in names if name.isidentifier() and name != "setup"]
