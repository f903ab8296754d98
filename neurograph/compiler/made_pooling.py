"""Pooling made by hand: maximum or mean nodes with coordinates over windows of a grid of nodes.

It counts only if every connection is the pooling's own and every weight is 1 and left alone by
training; the executable sees to it that they are still 1 before every run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurograph.compiler.recognise import Edges, constant_weights
from neurograph.compiler.windows import grid_of, pooling_of
from neurograph.graph.handmade import EdgeTable
from neurograph.graph.node import Node
from neurograph.kernels.geometry import Geometry2D

Indices = NDArray[np.int64]

SHARED = 4  # means in fewer windows a node are faster as a sparse product


@dataclass(frozen=True, slots=True)
class MadePooling:
    """A recognised pooling: its nodes and those it reads, row by row; its edges in the table."""

    nodes: Indices
    sources: Indices
    geometry: Geometry2D
    edges: Indices


def find_poolings(
    nodes: Sequence[Node], table: EdgeTable, start: int, members: Indices, block_of: Indices
) -> list[MadePooling]:
    """Return the poolings among some hand-made nodes that do not feed each other.

    Parameters
    ----------
    nodes : all hand-made nodes
    table : EdgeTable
    start : int
        The number of the first hand-made node in the network.
    members : array of int
        The nodes to look at.
    block_of : array of int
        The block in which each node is calculated that they may read.
    """
    groups: dict[tuple[object, ...], list[int]] = {}
    for index in members.tolist():
        node = nodes[index]
        if node.aggregation in ("max", "mean") and node.position is not None:
            low, high = np.searchsorted(table.downs, [start + index, start + index + 1])
            if high > low and table.ups[low:high].min() >= start:
                block = int(block_of[table.ups[low] - start])
                key = (node.activation, node.aggregation, block)
                groups.setdefault(key, []).append(index)
    found = [_pooling(nodes, table, start, np.array(group)) for group in groups.values()]
    return [each for each in found if each is not None]


def _pooling(
    nodes: Sequence[Node], table: EdgeTable, start: int, members: Indices
) -> MadePooling | None:
    target = grid_of([nodes[index].position for index in members.tolist()])
    inside = np.zeros(start + len(nodes), dtype=bool)
    inside[start + members] = True
    edges = np.flatnonzero(inside[table.downs])
    if target is None or table.ups[edges].min() < start or table.delays[edges].any():
        return None
    own = table.owners[edges], table.addresses[edges]
    if (constant_weights(table.parameters, *own) != 1.0).any():
        return None
    sources, ups = np.unique(table.ups[edges] - start, return_inverse=True)
    source = grid_of([nodes[index].position for index in sources.tolist()])
    if source is None:
        return None
    downs = np.searchsorted(members, table.downs[edges] - start)
    geometry = pooling_of(Edges(ups, downs, *own), source, target)
    if geometry is None:
        return None
    windows = np.prod(geometry.kernel) / np.prod(geometry.strides)
    if nodes[members[0]].aggregation == "mean" and windows < SHARED:
        return None
    return MadePooling(members[target.nodes], sources[source.nodes], geometry, edges)
