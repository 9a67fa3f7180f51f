"""A profile as a page: what was running, from the outside in, as wide as it was often seen."""

from __future__ import annotations

from shoal.diagnostics.profile import Tree, describe
from shoal.diagnostics.recording import RecordedPage
from shoal.diagnostics.stream_recording import stream_frame

__all__ = ["profile_page", "small"]

_LEAST_SHARE = 0.0005  # of all samples: what is less wide than that cannot be seen


def profile_page(tree: Tree, title: str = "Profile") -> RecordedPage:
    """Draw a profile.

    Parameters
    ----------
    tree : dict
        Of `shoal.diagnostics.profile`.
    """
    answers = {"profile": small(tree)}
    return RecordedPage(title, ["profile"], [stream_frame(())], answers)


def small(tree: Tree, share: float = _LEAST_SHARE) -> dict[str, object]:
    """Return what a page needs of a tree, the most frequent children first.

    Parameters
    ----------
    tree : dict
        Of `shoal.diagnostics.profile`.
    share : float
        The share of all samples that a node needs to be told.
    """
    tree = describe(tree)
    return _told(tree, tree["count"] * share)


def _told(tree: Tree, least: float) -> dict[str, object]:
    told = tree["description"]
    children = sorted(tree["children"].values(), key=lambda child: -int(child["count"]))
    return {
        "name": told["name"] or "all",
        "where": f"{told['filename']}:{told['line_number']}" if told["filename"] else "",
        "line": told["line"],
        "count": tree["count"],
        "children": [_told(child, least) for child in children if child["count"] >= least],
    }
