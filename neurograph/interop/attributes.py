"""Attributes of nodes and edges, checked: a wrong one is named with its owner."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from neurograph.errors import DataError, unknown


def real(owner: str, name: str, value: Any) -> float:
    """Return a finite number; text that reads as one will do, since files hold text.

    >>> real("edge 'a' -> 'b'", "weight", "0.5")
    0.5
    >>> real("edge 'a' -> 'b'", "weight", "heavy")
    Traceback (most recent call last):
    neurograph.errors.DataError: edge 'a' -> 'b': its weight is 'heavy', expected a finite number
    """
    try:
        found = math.nan if isinstance(value, (bool, bytes)) else float(value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise DataError(f"{owner}: its {name} is {value!r}, expected a finite number")
    return found


def whole_number(owner: str, name: str, value: Any) -> int:
    """Return a whole number.

    >>> whole_number("edge 'a' -> 'b'", "delay", 1.0)
    1
    """
    found = real(owner, name, value)
    if found != int(found) or abs(found) >= 2**31:
        raise DataError(f"{owner}: its {name} is {value!r}, expected a whole number")
    return int(found)


def flag(owner: str, name: str, value: Any) -> bool:
    """Return a truth value; the words of GraphML and of spreadsheets will do.

    >>> flag("edge 'a' -> 'b'", "trainable", "false")
    False
    """
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    found = words.get(str(value).strip().lower())
    if found is None:
        raise DataError(f"{owner}: its {name} is {value!r}, expected true or false")
    return found


def choice(owner: str, name: str, value: Any, known: Sequence[str]) -> str | None:
    """Return one of some words, or None where there is nothing; raise UnknownNameError else."""
    if value is None or value in known:
        return None if value is None else str(value)
    raise unknown(name, value, known, of=owner)
