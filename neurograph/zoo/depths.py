"""Architectures that come in several depths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from neurograph.errors import unknown

T = TypeVar("T")


def of_depth(depth: int, table: Mapping[int, T], name: str) -> T:
    """Return the row of a depth.

    Raises
    ------
    UnknownNameError
        The architecture has no such depth.
    """
    if depth not in table:
        raise unknown("depth", depth, map(str, table), of=name)
    return table[depth]
