"""Kernels for explicit edges."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
BLOCK = 1 << 18  # elements of a gathered block: few calls, and still in the cache


def edge_dots(
    x: Array, d: Array, ups: Array, downs: Array, out: Array, left: Array, right: Array
) -> None:
    """Set ``out[e] = sum over the batch of x[ups[e]] * d[downs[e]]``.

    Parameters
    ----------
    x : (nodes, batch)
    d : (nodes below, batch)
    ups, downs : int, (edges,)
    out : (edges,)
    left, right : (edges of a block, batch)
        Temporaries.

    Examples
    --------
    >>> x, d = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 1.0]])
    >>> out, left, right = np.empty(2), np.empty((1, 2)), np.empty((1, 2))
    >>> edge_dots(x, d, np.array([0, 1]), np.array([0, 0]), out, left, right)
    >>> out
    array([3., 7.])
    """
    block = len(left)
    for start in range(0, len(ups), block):
        stop = min(start + block, len(ups))
        one, other = left[: stop - start], right[: stop - start]
        np.take(x, ups[start:stop], axis=0, out=one, mode="clip")
        np.take(d, downs[start:stop], axis=0, out=other, mode="clip")
        np.einsum("eb,eb->e", one, other, out=out[start:stop])
