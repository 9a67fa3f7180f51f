"""The reference of the configuration, made from `shoal.yaml`, its comments, and the code.

In a page, ``{settings} distributed.worker`` becomes a table of the keys below that one: key,
default, environment variable, meaning. Sphinx is imported only where a page is made, so that the
tests can read the settings without it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

SOURCE = Path(__file__).resolve().parents[2] / "src" / "shoal"

# Mappings whose entries are data, not settings of their own.
WHOLE = {
    "distributed.scheduler.default-task-durations",
    "distributed.nanny.pre-spawn-environ",
}


@dataclass(frozen=True)
class Setting:
    """One key of the configuration."""

    key: str
    default: str
    meaning: str
    read: bool  # whether anything in shoal reads it

    @property
    def variable(self) -> str:
        """Return the environment variable that sets it."""
        return "DASK_" + self.key.upper().replace("-", "_").replace(".", "__")


def settings() -> list[Setting]:
    """Return all settings of `shoal.yaml`, in its order."""
    text = (SOURCE / "shoal.yaml").read_text(encoding="utf-8")
    comments = [_comment(line) for line in text.splitlines()]
    reads = _Reads(SOURCE)
    root = yaml.compose(text)
    return [
        Setting(key, _shown(node), comments[line] or above, reads.has(key))
        for key, node, line, above in _leaves(root, "", comments, "")
    ]


def _comment(line: str) -> str:
    """Return the comment that ends a line of YAML."""
    found = re.search(r"(?:^|\s)#\s?(.*)$", line)
    return found[1].strip() if found and not line.lstrip().startswith("#") else ""


def _leaves(
    node: Any, path: str, comments: list[str], above: str
) -> Iterator[tuple[str, Any, int, str]]:
    """Yield (key, node, line, what the mapping around it says) of each setting below `node`."""
    for name, value in node.value:
        key = f"{path}.{name.value}" if path else name.value
        line = name.start_mark.line
        is_mapping = isinstance(value, yaml.MappingNode) and value.value
        if is_mapping and key not in WHOLE:
            yield from _leaves(value, key, comments, comments[line] or above)
        else:
            yield key, value, line, above


def _shown(node: Any) -> str:
    """Return a default as one would write it on one line."""
    if isinstance(node, yaml.ScalarNode):
        return f'"{node.value}"' if node.style == '"' else str(node.value)
    items = node.value
    if isinstance(node, yaml.SequenceNode):
        return f"[{', '.join(_shown(item) for item in items)}]"
    return f"{{{', '.join(f'{name.value}: {_shown(value)}' for name, value in items)}}}"


class _Reads:
    """Which keys the code names: as a text, as part of an f-string, or by a mapping above them."""

    def __init__(self, source: Path) -> None:
        self._texts: set[str] = set()
        self._patterns: list[tuple[re.Pattern[str], set[str], list[re.Pattern[str]]]] = []
        # compat/ names modules of `distributed`, not settings.
        for file in sorted(set(source.rglob("*.py")) - set((source / "compat").rglob("*.py"))):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            texts, patterns = set(), []
            for node in ast.walk(tree):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    texts.add(node.value)
                elif isinstance(node, ast.JoinedStr):
                    patterns.append(_pattern(node))
            self._texts |= texts
            self._patterns += [(pattern, texts, patterns) for pattern in patterns]

    def has(self, key: str) -> bool:
        parts = key.split(".")
        # A mapping may be read as a whole, but neither a root nor "distributed.scheduler".
        above = [".".join(parts[:n]) for n in range(3, len(parts) + 1)]
        if self._texts.intersection([key, *above]):
            return True
        return any(_matches(key, *entry) for entry in self._patterns if entry[0].groups)


def _pattern(node: ast.JoinedStr) -> re.Pattern[str]:
    parts = [
        re.escape(str(part.value)) if isinstance(part, ast.Constant) else "(.+)"
        for part in node.values
    ]
    return re.compile("".join(parts))


def _matches(
    text: str, pattern: re.Pattern[str], texts: set[str], patterns: list[re.Pattern[str]]
) -> bool:
    """Whether an f-string may be that text, its holes filled with other texts of its module."""
    if "distributed" not in pattern.pattern and "shoal" not in pattern.pattern:
        return False
    found = pattern.fullmatch(text)
    return found is not None and all(
        hole in texts or any(p is not pattern and p.fullmatch(hole) for p in patterns)
        for hole in found.groups()
    )


def _row(setting: Setting) -> str:
    meaning = setting.meaning.replace("|", r"\|")
    if not setting.read:
        meaning = f"*Accepted, without effect today.* {meaning}"
    return f"| `{setting.key}` | `{setting.default}` | `{setting.variable}` | {meaning} |"


def setup(app: Any) -> dict[str, bool]:
    """Give Sphinx the directive `settings`."""
    from docutils import nodes
    from docutils.statemachine import StringList
    from sphinx.util.docutils import SphinxDirective

    class SettingsTable(SphinxDirective):
        required_arguments = 1

        def run(self) -> list[nodes.Node]:
            under = self.arguments[0] + "."
            rows = [_row(s) for s in settings() if s.key.startswith(under)]
            if not rows:
                raise self.error(f"no setting is called {under}...")
            head = "| key | default | environment variable | meaning |"
            lines = [head, "|---|---|---|---|", *rows]
            self.env.note_dependency(str(SOURCE / "shoal.yaml"))
            box = nodes.container(classes=["settings"])
            self.state.nested_parse(StringList(lines), self.content_offset, box)
            return list(box.children)

    app.add_directive("settings", SettingsTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
