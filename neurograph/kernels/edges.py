"""Kernels for explicit edges."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
_BLOCK = 65536  # elements of a gathered block: two of them stay in the cache


def edge_dots(x: Array, d: Array, ups: Array, downs: Array, out: Array) -> None:
    """Set ``out[e] = sum over the batch (and time) of x[ups[e]] * d[downs[e]]``.

    Parameters
    ----------
    x : (nodes, batch) or (time, nodes, batch)
    d : (nodes below, batch) or (time, nodes below, batch)
    ups, downs : int, (edges,)
    out : (edges,)

    Examples
    --------
    >>> x, d = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 1.0]])
    >>> out = np.empty(2)
    >>> edge_dots(x, d, np.array([0, 1]), np.array([0, 0]), out)
    >>> out
    array([3., 7.])
    """
    if x.ndim == 3:
        total = np.zeros_like(out)
        for step in range(len(x)):
            edge_dots(x[step], d[step], ups, downs, out)
            total += out
        out[...] = total
        return
    batch = x.shape[1]
    block = max(1, _BLOCK // batch)
    left = np.empty((block, batch), x.dtype)
    right = np.empty((block, batch), d.dtype)
    for start in range(0, len(ups), block):
        stop = min(start + block, len(ups))
        count = stop - start
        np.take(x, ups[start:stop], axis=0, out=left[:count], mode="clip")
        np.take(d, downs[start:stop], axis=0, out=right[:count], mode="clip")
        np.einsum("eb,eb->e", left[:count], right[:count], out=out[start:stop])
