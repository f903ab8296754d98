"""The linear maps of Winograd's algorithm, as prepared NumPy calls.

A polynomial of degree n - 1 is given by its values at n points, and a product of two polynomials
by the products of their values. The maps here evaluate at, and interpolate from, the points
0, 1, -1 (n = 4) or 0, 1, -1, 2, -2 (n = 6), and infinity: one axis at a time, on whole blocks of
tiles and channels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Steps = list[tuple[Callable[..., object], tuple[Any, ...]]]


def run(steps: Steps) -> None:
    """Do prepared NumPy calls one after another."""
    for function, arguments in steps:
        function(*arguments)


def kernel_matrix(tile: int, size: int, dtype: npt.DTypeLike) -> Array:
    """Return the matrix (n*n, size*size) that transforms a kernel: G times G, Kronecker's product.

    >>> kernel_matrix(2, 3, "float64")[:, 0][:3]
    array([1. , 0.5, 0.5])
    """
    four = tile + size - 1 == 4
    points = [0, 1, -1] if four else [0, 1, -1, 2, -2]
    scales = [1.0, 2.0, 2.0] if four else [4.0, -6.0, -6.0, 24.0, 24.0]
    rows = [
        [point**power / scale for power in range(size)]
        for point, scale in zip(points, scales, strict=True)
    ]
    rows.append([0.0] * (size - 1) + [1.0])
    return np.kron(rows, rows).astype(dtype)


def input_steps(d: Sequence[Array], v: Sequence[Array], t: Sequence[Array]) -> Steps:
    """Return the steps for v = B' d along one axis: len(d) == len(v) == n."""
    if len(v) == 4:
        return [
            (np.subtract, (d[0], d[2], v[0])),
            (np.add, (d[1], d[2], v[1])),
            (np.subtract, (d[2], d[1], v[2])),
            (np.subtract, (d[3], d[1], v[3])),
        ]
    two, four = _numbers(v[0], 2, 4)
    a, b = t
    return [
        (np.multiply, (d[2], four, a)),
        (np.subtract, (d[4], a, a)),
        (np.multiply, (d[1], four, b)),
        (np.subtract, (d[3], b, b)),
        (np.add, (a, b, v[1])),
        (np.subtract, (a, b, v[2])),
        (np.subtract, (d[4], d[2], a)),
        (np.subtract, (d[3], d[1], b)),
        (np.multiply, (b, two, b)),
        (np.add, (a, b, v[3])),
        (np.subtract, (a, b, v[4])),
        (np.subtract, (d[0], d[2], v[0])),
        (np.multiply, (v[0], four, v[0])),
        (np.add, (v[0], a, v[0])),
        (np.multiply, (b, two, b)),
        (np.subtract, (d[5], b, v[5])),
        (np.subtract, (v[5], d[3], v[5])),
    ]


def delta_steps(y: Sequence[Array], v: Sequence[Array], t: Sequence[Array]) -> Steps:
    """Return the steps for v = A y along one axis: len(y) == m, len(v) == n."""
    last = len(v) - 1
    steps: Steps = [(np.copyto, (v[0], y[0])), (np.copyto, (v[last], y[-1]))]
    if len(y) == 2:
        steps += [(np.add, (y[0], y[1], v[1])), (np.subtract, (y[0], y[1], v[2]))]
        if last == 5:
            (two,) = _numbers(v[0], 2)
            a = t[0]
            steps += [
                (np.multiply, (y[1], two, a)),
                (np.add, (y[0], a, v[3])),
                (np.subtract, (y[0], a, v[4])),
            ]
        return steps
    two, four = _numbers(v[0], 2, 4)
    a, b = t
    return [
        *steps,
        (np.add, (y[0], y[2], a)),
        (np.add, (y[1], y[3], b)),
        (np.add, (a, b, v[1])),
        (np.subtract, (a, b, v[2])),
        (np.multiply, (y[2], four, a)),
        (np.add, (y[0], a, a)),
        (np.multiply, (y[3], four, b)),
        (np.add, (y[1], b, b)),
        (np.multiply, (b, two, b)),
        (np.add, (a, b, v[3])),
        (np.subtract, (a, b, v[4])),
    ]


def output_steps(v: Sequence[Array], y: Sequence[Array], t: Sequence[Array]) -> Steps:
    """Return the steps for y = A' v along one axis; v is used up, and y may be its beginning."""
    if len(v) == 4:
        return [
            (np.add, (v[0], v[1], v[0])),
            (np.add, (v[0], v[2], y[0])),
            (np.subtract, (v[1], v[2], v[1])),
            (np.add, (v[1], v[3], y[1])),
        ]
    two, four, eight = _numbers(v[0], 2, 4, 8)
    a, b = t
    steps: Steps = [
        (np.add, (v[1], v[2], a)),
        (np.subtract, (v[1], v[2], v[1])),
        (np.add, (v[3], v[4], b)),
        (np.subtract, (v[3], v[4], v[3])),
        (np.add, (v[0], a, v[0])),
        (np.add, (v[0], b, y[0])),
    ]
    if len(y) == 2:
        return [
            *steps,
            (np.multiply, (v[3], two, v[3])),
            (np.add, (v[1], v[3], v[1])),
            (np.add, (v[1], v[5], y[1])),
        ]
    return [
        *steps,
        (np.multiply, (b, four, b)),
        (np.add, (a, b, y[2])),
        (np.multiply, (v[3], two, b)),
        (np.multiply, (v[3], eight, v[4])),
        (np.add, (v[4], v[5], v[4])),
        (np.add, (v[4], v[1], y[3])),
        (np.add, (v[1], b, y[1])),
    ]


def _numbers(like: Array, *values: float) -> list[Array]:
    """Return constants of the dtype of an array, made once."""
    return [np.array(value, like.dtype) for value in values]
