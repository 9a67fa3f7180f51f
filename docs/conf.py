"""How Sphinx builds the documentation: `make docs`."""

from __future__ import annotations

import os
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "_ext"))

import shoal  # noqa: E402

_project = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = "shoal"
author = _project["authors"][0]["name"]
copyright = f"2026, {author}"
version = release = shoal.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx_copybutton",
    "sphinx_design",
    "settings_table",
]
exclude_patterns = ["_build", "_ext"]
suppress_warnings = ["misc.highlighting_failure"]

# -- pages, in Markdown
myst_enable_extensions = ["colon_fence", "attrs_inline", "attrs_block", "deflist"]
myst_heading_anchors = 3

# -- the API, from the docstrings
default_role = "py:obj"  # `name` in a docstring is a link where there is one, and code where not
autodoc_member_order = "alphabetical"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
add_module_names = False

# -- the site: nothing of it comes from another host
html_theme = "furo"
html_title = f"shoal {release}"
html_static_path = ["_static"]
html_css_files = ["shoal.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options: dict[str, Any] = {
    "light_css_variables": {"color-brand-primary": "#0b6e75", "color-brand-content": "#0b6e75"},
    "dark_css_variables": {"color-brand-primary": "#4fc3c9", "color-brand-content": "#4fc3c9"},
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# Pages that are files elsewhere in the repository: page -> file. A link in any page that leads to
# one of these files, or to a folder, leads to its page in the site.
ELSEWHERE = {
    "contributing": "CONTRIBUTING.md",
    "changelog": "CHANGELOG.md",
    "benchmarks": "benchmarks/README.md",
    "index": "README.md",
}
FOLDERS = {"decisions": "decisions/README", "reference": "reference/README"}


def _read(app: Any, docname: str, source: list[str]) -> None:
    """Put the text of a file elsewhere into its page; have links lead to pages of the site."""
    folder = (HERE / docname).parent
    if docname in ELSEWHERE and docname != "index":
        file = HERE.parent / ELSEWHERE[docname]
        if file.exists():
            folder, source[0] = file.parent, file.read_text(encoding="utf-8")
    page = (HERE / docname).parent

    def lead(found: re.Match[str]) -> str:
        text, (target, hash_, anchor) = found[1], found[2].partition("#")
        if "://" in target or not target:
            return found[0]
        path = (folder / target).resolve()
        for name, file in ELSEWHERE.items():
            if path == HERE.parent / file:
                path = HERE / f"{name}.md"
        for name, index in FOLDERS.items():
            if path == HERE / name:
                path = HERE / f"{index}.md"
        if path.is_dir() or (path.suffix == ".md" and not path.is_relative_to(HERE)):
            return text  # the site has no page of it
        return f"[{text}]({os.path.relpath(path, page)}{hash_}{anchor})"

    source[0] = re.sub(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)", lead, source[0])
    if docname == "index":
        others = {p.stem for p in HERE.glob("*.md")} - {docname, *source[0].splitlines()}
        source[0] = source[0].rstrip().removesuffix("```") + "\n".join(sorted(others)) + "\n```\n"
    if docname in FOLDERS.values():
        source[0] += "\n```{toctree}\n:hidden:\n:glob:\n\n*\n```\n"


def setup(app: Any) -> dict[str, bool]:
    """Show diagrams that are written as text as what they are, and files as pages."""
    from pygments.lexers.special import TextLexer

    app.add_lexer("mermaid", TextLexer)
    app.connect("source-read", _read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
