"""Pictures as blocks of text, for terminals."""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import ArrayLike

SHADES = " ░▒▓█"
PLAIN_SHADES = " .+#@"
GAP = "    "


def as_blocks(picture: ArrayLike, shades: str | None = None) -> list[str]:
    r"""Return a picture as lines of text, two characters a pixel, light on dark.

    Parameters
    ----------
    picture : (height, width) or (height, width, channels), 0..1
    shades : str, optional
        Characters from dark to light; plain ones where the terminal knows no blocks.

    Examples
    --------
    >>> print("|\n".join(as_blocks([[0.0, 0.5], [1.0, 0.0]], " .#")), end="|")
      ..|
    ##  |
    """
    values = np.asarray(picture, np.float64)
    if values.ndim == 3:
        values = values.mean(axis=2)
    shades = shades or (SHADES if _knows_blocks() else PLAIN_SHADES)
    levels = np.clip((values * len(shades)).astype(int), 0, len(shades) - 1)
    return ["".join(shades[level] * 2 for level in row) for row in levels]


def side_by_side(pictures: list[list[str]]) -> list[str]:
    """Return pictures of equal height as one, from left to right.

    >>> side_by_side([["ab", "cd"], ["ef", "gh"]])
    ['ab    ef', 'cd    gh']
    """
    return [GAP.join(rows).rstrip() for rows in zip(*pictures, strict=True)]


def _knows_blocks() -> bool:
    try:
        SHADES.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
