"""Recognise: which kernel fits a set of explicit edges, by guess and verify.

A guess counts only if the pattern's own connections equal the table, so a wrong guess can cost
speed, never correctness. What has no pattern is sparse, or dense with zeros where that is small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurograph.graph.distinct import all_differ, distinct
from neurograph.parameter import Parameter

Indices = NDArray[np.int64]

SMALL = 4096  # a dense matrix of so many elements beats any sparse form
DENSE_ENOUGH = 0.25  # above this share of edges a dense product with zeros is faster
FULL = "every node feeds every node"


@dataclass(frozen=True, slots=True)
class Edges:
    """Edges between rows of values and nodes of a block; any order.

    ``ups`` are row numbers, ``downs`` numbers within the block, ``owners`` which parameter, and
    ``addresses`` flat indices in it.
    """

    ups: Indices
    downs: Indices
    owners: Indices
    addresses: Indices

    def __len__(self) -> int:
        return len(self.ups)

    def where(self, chosen: NDArray[np.bool_] | Indices) -> Edges:
        """Return some of the edges."""
        return Edges(
            self.ups[chosen], self.downs[chosen], self.owners[chosen], self.addresses[chosen]
        )


def constant_weights(
    parameters: Sequence[Parameter], owners: Indices, addresses: Indices
) -> NDArray[np.float64]:
    """Return the weights at some addresses: nan where training may change them."""
    weights = np.full(len(owners), np.nan)
    for owner in distinct(owners).tolist():
        parameter, some = parameters[owner], owners == owner
        values = parameter.value.reshape(-1)[addresses[some]].astype(np.float64)
        if parameter.trainable and parameter.frozen is None:
            continue
        if parameter.trainable:
            values[~parameter.frozen.reshape(-1)[addresses[some]]] = np.nan
        weights[some] = values
    return weights


@dataclass(frozen=True, slots=True)
class Pattern:
    """How a set of edges is calculated.

    ``kind`` is dense, padded (dense with zeros), one-to-one or sparse; ``rows`` are the source
    rows in the order of the kernel's columns; ``order`` sorts the edges into the order of the
    kernel's weights (for padded: their places in the matrix are ``places``).
    """

    kind: str
    rows: Indices
    order: Indices
    places: Indices
    reason: str


def recognise(edges: Edges, nodes: int) -> Pattern:
    """Return the pattern of the edges into a block of ``nodes`` nodes.

    Examples
    --------
    >>> import numpy as np
    >>> ups, downs = np.array([4, 5, 4, 5]), np.array([0, 0, 1, 1])
    >>> pattern = recognise(Edges(ups, downs, ups * 0, np.arange(4)), 2)
    >>> pattern.kind, pattern.rows
    ('dense', array([4, 5]))
    """
    order = np.lexsort((edges.ups, edges.downs))
    ups, downs = edges.ups[order], edges.downs[order]
    rows = distinct(ups)
    full = nodes * len(rows)
    columns = np.searchsorted(rows, ups)
    places = downs * len(rows) + columns
    single = all_differ(places)
    if len(edges) == full and single:
        return Pattern("dense", rows, order, places, FULL)
    if len(edges) == nodes and len(rows) == nodes and (downs == np.arange(nodes)).all():
        return Pattern("one-to-one", ups, order, places, "node i feeds node i")
    share = len(edges) / full
    if single and (full <= SMALL or share >= DENSE_ENOUGH):
        return Pattern("padded", rows, order, places, padded(share))
    several = "several connections between the same two nodes"
    reason = f"{share:.2%} of all pairs are connected" if single else several
    return Pattern("sparse", rows, order, places, reason)


def padded(share: float) -> str:
    """Return why edges of a share of all pairs are calculated as a dense product."""
    return f"{share:.0%} of all pairs are connected: dense with zeros"


def affine(addresses: Indices, shape: tuple[int, int]) -> tuple[int, int] | None:
    """Return (start, row stride) if ``addresses`` is a matrix with unit column stride, else None.

    >>> affine(np.array([5, 6, 9, 10]), (2, 2)), affine(np.array([5, 7, 9, 11]), (2, 2))
    ((5, 4), None)
    """
    matrix = addresses.reshape(shape)
    start = int(matrix[0, 0])
    stride = int(matrix[1, 0]) - start if shape[0] > 1 else shape[1]
    guess = start + stride * np.arange(shape[0])[:, None] + np.arange(shape[1])
    if stride < shape[1] or not np.array_equal(matrix, guess):
        return None
    return start, stride
