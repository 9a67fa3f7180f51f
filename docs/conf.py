"""How Sphinx builds the documentation: `make docs`."""

from __future__ import annotations

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
    "gallery",
]
exclude_patterns = ["_build", "_ext", "gallery/output"]
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


def setup(app: Any) -> None:
    """Show diagrams that are written as text as what they are."""
    from pygments.lexers.special import TextLexer

    app.add_lexer("mermaid", TextLexer)
