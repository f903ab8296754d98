"""Given: how objects that statements refer to are written into the source text.

Small tables are written out. Larger ones, and objects that have no text (a layer function, a loss
of one's own), come from the mapping ``given``, which is ``plan.given``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from neurograph.compiler.operations.edges import SparseTable, WeightIndex
from neurograph.functions import ACTIVATIONS, Activation
from neurograph.kernels.geometry import Geometry2D

SHORT = 24  # tables of so many elements are written out


def _array(name: str, value: Any, given: dict[str, Any]) -> list[str]:
    array = np.asarray(value)
    if array.size <= SHORT:
        return [f"{name} = np.array({array.tolist()}, np.{array.dtype})"]
    given[name] = array
    shape = "x".join(map(str, array.shape))
    return [f"{name} = given['{name}']  # {array.dtype}, {shape}"]


def _edges(name: str, value: SparseTable, given: dict[str, Any]) -> list[str]:
    return [
        line
        for part in ("indptr", "indices", "downs")
        for line in _array(f"{name}_{part}", getattr(value, part), given)
    ]


def _index(name: str, value: WeightIndex, given: dict[str, Any]) -> list[str]:
    lines = _array(f"{name}_index", value.index, given)
    if value.present is not None:
        lines += _array(f"{name}_present", value.present, given)
    return lines


def _activation(name: str, value: Activation, given: dict[str, Any]) -> list[str]:
    if ACTIVATIONS.get(value.name) is not value:
        return _object(name, value, given)
    return [
        "from neurograph.functions import get_activation",
        f"{name} = get_activation({value.name!r})",
    ]


def _geometry(name: str, value: Geometry2D, given: dict[str, Any]) -> list[str]:
    return ["from neurograph.kernels.geometry import Geometry2D", f"{name} = {value!r}"]


def _object(name: str, value: Any, given: dict[str, Any]) -> list[str]:
    given[name] = value
    return [f"{name} = given['{name}']  # {type(value).__name__}"]


_WRITERS: dict[type, Callable[[str, Any, dict[str, Any]], list[str]]] = {
    np.ndarray: _array,
    SparseTable: _edges,
    WeightIndex: _index,
    Activation: _activation,
    Geometry2D: _geometry,
}


def declare(name: str, value: Any, given: dict[str, Any]) -> list[str]:
    """Return the lines that make an object known by ``name``; put into ``given`` what they need.

    >>> declare("rows", np.array([2, 0]), {})
    ['rows = np.array([2, 0], np.int64)']
    """
    return _WRITERS.get(type(value), _object)(name, value, given)
