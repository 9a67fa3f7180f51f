"""A profile as a page: what was running, from the outside in, as wide as it was often seen."""

from __future__ import annotations

from shoal.diagnostics.page import Page, script_data
from shoal.diagnostics.profile import Tree, describe

__all__ = ["profile_page"]

_SCRIPT = """
const view = document.getElementById("view"), told = document.getElementById("told"), ROW = 18;
function color(name) {
  let h = 0; for (const c of name) h = (h * 31 + c.charCodeAt(0)) % 360;
  return `hsl(${h} 55% 78%)`;
}
function depth(n) {
  let d = 0; for (const c of n.children) d = Math.max(d, depth(c));
  return d + 1;
}
function draw(root, path) {
  view.textContent = "";
  const width = view.clientWidth;
  function put(node, x, w, level) {
    if (w < 1.5) return;
    const box = document.createElement("div");
    box.style.cssText = `left:${x}px;width:${w}px;top:${level * ROW}px;height:${ROW}px;`;
    box.style.background = color(node.name);
    box.textContent = node.name;
    const share = (100 * node.count / DATA.count).toFixed(1);
    box.onmouseenter = () => { told.textContent =
      `${node.name}  ${share} %  (${node.count} samples)\\n${node.where}\\n${node.line}`; };
    box.onclick = () => draw(node, [...path, root]);
    view.appendChild(box);
    let at = x;
    for (const child of node.children) {
      const part = w * child.count / node.count;
      put(child, at, part, level + 1); at += part;
    }
  }
  view.style.height = `${Math.max(1, depth(root)) * ROW + 2}px`;
  put(root, 0, width, 0);
  document.getElementById("out").onclick = () => {
    if (path.length) draw(path.at(-1), path.slice(0, -1));
  };
}
draw(DATA, []);
window.onresize = () => draw(DATA, []);
"""


def profile_page(tree: Tree, title: str = "Profile") -> Page:
    """Draw a profile.

    Parameters
    ----------
    tree : dict
        Of `shoal.diagnostics.profile`.
    """
    if not tree["count"]:
        return Page(title, '<p id="told">Nothing was seen running.</p>')
    data = script_data(_small(describe(tree)))
    body = (
        f"<p>{tree['count']} samples. Click what you want to see larger; "
        '<button id="out">back out</button></p>\n<div id="view"></div><div id="told"></div>\n'
        f"<script>const DATA = {data};\n{_SCRIPT}</script>"
    )
    return Page(title, body)


def _small(tree: Tree) -> dict[str, object]:
    """Return what the script needs of a tree, most frequent children first."""
    told = tree["description"]
    children = sorted(tree["children"].values(), key=lambda child: -int(child["count"]))
    where = f"{told['filename']}:{told['line_number']}" if told["filename"] else ""
    return {
        "name": told["name"] or "all",
        "where": where,
        "line": told["line"],
        "count": tree["count"],
        "children": [_small(child) for child in children],
    }
