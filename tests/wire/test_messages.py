"""The messages: each says who sends it, when, and what the other side does."""

from __future__ import annotations

import ast

import pytest
from helpers import SOURCE

FOLDER = SOURCE / "wire" / "messages"
CLASSES = [
    node
    for path in sorted(FOLDER.glob("*.py"))
    for node in ast.parse(path.read_text(encoding="utf-8")).body
    if isinstance(node, ast.ClassDef)
]


@pytest.mark.parametrize("node", CLASSES, ids=lambda node: node.name)
def test_every_message_says_what_it_is_for(node: ast.ClassDef) -> None:
    text = ast.get_docstring(node)
    assert text and len(text.split()) >= 5


def test_there_are_messages() -> None:
    assert len(CLASSES) > 40
