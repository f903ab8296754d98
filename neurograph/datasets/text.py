"""Trees of words in the form of the Stanford Sentiment Treebank: one bracketed text a line."""

from __future__ import annotations

import os
import re

from neurograph.datasets.checks import as_text, contents
from neurograph.errors import DataError, FormatError

_BRACKET = re.compile(r"[()]")


def read_trees(path: str | os.PathLike[str]) -> list[str]:
    """Read a file of bracketed trees, such as ``(3 (2 It) (4 (2 's) (4 lovely)))``.

    Socher et al., Recursive Deep Models for Semantic Compositionality (2013), give every node of a
    sentence's tree a label from 0 (very negative) to 4 (very positive). The texts are checked for
    their brackets and returned as they are.

    Parameters
    ----------
    path : a UTF-8 text file, one tree a line

    Returns
    -------
    list of str

    Raises
    ------
    FormatError
        For a line that is no single bracketed tree, with its number.
    DataError
        For a missing file or one without trees.
    """
    raw, name = contents("read_trees()", path)
    text = as_text(raw, name)
    trees: list[str] = []
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), start=1):
        tree = line.strip()
        if not tree:
            continue
        fault = _fault(tree)
        if fault:
            raise FormatError(f"line {number} of {name} is no tree: {fault}")
        trees.append(tree)
    if not trees:
        raise DataError(f"{name} holds no trees")
    return trees


def _fault(tree: str) -> str:
    """Return what is wrong with the brackets of a tree, or nothing."""
    if not tree.startswith("("):
        return f"it starts with {tree[0]!r}, not with a bracket"
    depth = 0
    for match in _BRACKET.finditer(tree):
        depth += 1 if match.group() == "(" else -1
        if depth == 0 and match.end() != len(tree):
            return f"its first bracket closes at character {match.end()}, before the end"
    return f"{depth} brackets are left open" if depth else ""
