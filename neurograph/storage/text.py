"""Weights as plain text: name, shape and type, then one row of numbers a line."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurograph.errors import FormatError
from neurograph.graph.network import Network
from neurograph.storage.atomic import StrPath, atomic_write
from neurograph.storage.weights import weight_arrays

Array = NDArray[Any]
TITLE = "# neurograph weights, format 1"
_HEAD = re.compile(r'parameter ("(?:[^"\\]|\\.)*") shape \(([\d, ]*)\) (float16|float32|float64)')
_MOST = 2**31


def to_text(network: Network, path: StrPath | None = None) -> str:
    """Return the weights of a network as plain text, and write it to a file if a path is given.

    One block a parameter: its name, shape and type, then its numbers, one line a row (the last
    axis). The numbers have as many digits as it takes to get the same bits back.

    Parameters
    ----------
    network : Network
    path : str or path, optional

    Returns
    -------
    str

    Raises
    ------
    StorageError, DataError
        The file cannot be written, or a weight is not finite.

    Examples
    --------
    >>> net = Network([2, 1])
    >>> net.parameters["layer_1/kernel"].value = [[0.1], [-2.5]]
    >>> net.parameters["layer_1/bias"].value = [1e-9]
    >>> print(to_text(net))
    # neurograph weights, format 1
    # network: 2 -> 1, 1 layer with weights, 3 connections, 3 parameters
    <BLANKLINE>
    parameter "layer_1/kernel" shape (2, 1) float64
    0.1
    -2.5
    <BLANKLINE>
    parameter "layer_1/bias" shape (1) float64
    1e-09
    <BLANKLINE>
    """
    blocks = [f"{TITLE}\n# {' '.join(str(network).split())}\n"]
    blocks += [_block(name, array) for name, array in weight_arrays(network).items()]
    text = "\n".join(blocks)
    if path is not None:
        with atomic_write(path) as file:
            file.write(text.encode())
    return text


def read_text(text: str) -> dict[str, Array]:
    r"""Return the named arrays of a text that ``to_text`` made; hand-edited numbers are fine.

    Lines that begin with ``#`` and empty lines are skipped.

    Raises
    ------
    FormatError
        A line is not what it should be; the message says which.

    Examples
    --------
    >>> read_text('parameter "w" shape (2) float64\n0.5 1')
    {'w': array([0.5, 1. ])}
    """
    arrays: dict[str, Array] = {}
    lines = _lines(text)
    for number, line in lines:
        name, shape, dtype = _read_head(number, line)
        if name in arrays:
            raise FormatError(f"line {number}: parameter {name!r} is there twice")
        arrays[name] = _read_values(lines, name, shape, dtype)
    if not arrays:
        raise FormatError("it holds no parameters")
    return arrays


def _block(name: str, array: Array) -> str:
    shape = ", ".join(map(str, array.shape))
    lines = [f"parameter {json.dumps(name)} shape ({shape}) {array.dtype.name}"]
    if array.size:
        rows = array.reshape(-1, array.shape[-1] if array.ndim else 1)
        lines += [" ".join(_digits(row)) for row in rows]
    return "\n".join(lines) + "\n"


def _digits(row: Array) -> list[str]:
    """Return the shortest digits that give the same bits back when read as a double and rounded."""
    if row.dtype == np.float64:
        return [repr(each) for each in row.tolist()]
    short = [str(each) for each in row]
    same = np.array(short, dtype=np.float64).astype(row.dtype) == row
    return [s if ok else repr(float(x)) for s, ok, x in zip(short, same, row, strict=True)]


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            yield number, stripped


def _read_head(number: int, line: str) -> tuple[str, tuple[int, ...], str]:
    match = _HEAD.fullmatch(line)
    try:
        if match is None:
            raise ValueError
        name = str(json.loads(match[1]))
        shape = tuple(int(side) for side in match[2].split(",") if side.strip())
    except ValueError:
        raise FormatError(
            f'line {number}: expected a line such as parameter "dense/kernel" shape (3, 4) '
            f"float64, got {line[:60]!r}"
        ) from None
    if math.prod(shape) > _MOST:
        raise FormatError(f"line {number}: parameter {name!r} of shape {shape} is too large")
    return name, shape, match[3]


def _read_values(
    lines: Iterator[tuple[int, str]], name: str, shape: tuple[int, ...], dtype: str
) -> Array:
    width = shape[-1] if shape else 1
    rows: list[Array] = []
    for _ in range(math.prod(shape) // width if width else 0):
        number, line = next(lines, (0, ""))
        if not number:
            raise FormatError(f"parameter {name!r}: the text ends after {len(rows)} of its rows")
        words = line.split()
        try:
            row = np.array([float(word) for word in words])
        except ValueError:
            raise FormatError(
                f"line {number}: parameter {name!r} needs numbers, got {line[:60]!r}"
            ) from None
        if len(words) != width:
            raise FormatError(
                f"line {number}: parameter {name!r} needs {width} numbers a row, got {len(words)}"
            )
        rows.append(row)
    with np.errstate(over="ignore"):
        return np.array(rows, dtype=np.float64).reshape(shape).astype(dtype)
