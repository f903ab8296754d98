"""Plans for batches of trees: which cells run together, and where each finds its children.

A batch of trees is one forest. Its nodes are put in order of height (leaves first), so that all
cells of one height, over all trees, are a block of rows that one product serves, and every child
lies above its parent. In a tree a node has one parent, so gradients come back by gathering too,
never by scattering. A plan is index arrays only; another batch is another plan, not another
program. What can be known of a tree alone is its `Links`, found and checked once; a batch joins
those of its trees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurograph.errors import DataError, ShapeError

Array = NDArray[Any]
Index = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Links:
    """Nodes and edges of a tree or a forest.

    Parameters
    ----------
    nodes : (2, nodes)
        The height of each node, and its number of children.
    edges : (3, edges)
        The child of each edge, its parent, and its place among the parent's children.
    """

    nodes: Index
    edges: Index

    @classmethod
    def of_lists(cls, starts: Array, children: Array) -> Links:
        """Return the links of trees whose nodes have any number of children.

        Parameters
        ----------
        starts : (nodes + 1,), integer
            Node ``j`` has the children ``children[starts[j] : starts[j + 1]]``.
        children : (edges,), integer

        Raises
        ------
        ShapeError
            If the arguments are not two lists of integers, or ``starts`` does not run from 0 to the
            number of edges without falling.
        DataError
            If a child is no node, has two parents, or is its own ancestor.

        Examples
        --------
        >>> Links.of_lists(np.array([0, 0, 0, 2]), np.array([0, 1])).nodes
        array([[0, 0, 1],
               [0, 0, 2]])
        """
        starts, children = _integers(starts, 1), _integers(children, 1)
        counts, edges = np.diff(starts), len(children)
        if not len(starts) or starts[0] or starts[-1] != edges or (counts < 0).any():
            raise ShapeError(
                f"A tree plan was called with starts that do not run from 0 to {edges}, the number "
                f"of edges, without falling. Give nodes + 1 bounds, as scipy's CSR matrices have "
                f"them."
            )
        above = np.repeat(np.arange(len(counts)), counts)
        return cls._of(counts, children, above, np.arange(edges) - starts[above])

    @classmethod
    def of_matrix(cls, children: Array) -> Links:
        """Return the links of trees whose nodes have up to ``k`` children, each in its place.

        Parameters
        ----------
        children : (nodes, k), integer
            For every node its children, -1 where one is missing; a leaf has only -1.

        Raises
        ------
        ShapeError
            If ``children`` is not a matrix of integers.
        DataError
            If a child is no node, has two parents, or is its own ancestor.
        """
        children = _integers(children, 2)
        above, place = np.nonzero(children >= 0)
        counts = np.bincount(above, minlength=len(children))
        return cls._of(counts, children[above, place], above, place)

    @classmethod
    def _of(cls, counts: Index, children: Index, above: Index, place: Index) -> Links:
        nodes = len(counts)
        parent = np.full(nodes, -1, np.intp)
        parent[_checked(children, nodes)] = above
        _check_parents(children, parent, above)
        return cls(
            np.stack([_heights(parent, counts > 0), counts]), np.stack([children, above, place])
        )

    @classmethod
    def join(cls, trees: Sequence[Links]) -> Links:
        """Return the links of several trees as one forest, the nodes numbered through.

        >>> small = Links.of_matrix(np.array([[-1, -1], [-1, -1], [0, 1]]))
        >>> Links.join([small, small]).edges
        array([[0, 1, 3, 4],
               [2, 2, 5, 5],
               [0, 1, 0, 1]])
        """
        edges = np.concatenate([tree.edges for tree in trees], axis=1)
        starts = np.cumsum([0, *(tree.nodes.shape[1] for tree in trees[:-1])])
        edges[:2] += np.repeat(starts, [tree.edges.shape[1] for tree in trees])
        return cls(np.concatenate([tree.nodes for tree in trees], axis=1), edges)


@dataclass(frozen=True, slots=True)
class TreePlan:
    """The order of work for a batch of trees whose nodes have ``k`` children or none.

    Rows are nodes by height; a node's row is its place in all arrays of the kernels.

    Parameters
    ----------
    order : (nodes,)
        The node at each row.
    bounds : list of int
        Row at which each height begins, and the number of nodes at the end: ``bounds[1]`` is the
        number of leaves.
    children : (inner nodes, k)
        Rows of the children of each node that has some; ``nodes`` where one is missing.
    slot : (nodes,)
        For each row, ``k * (row of the parent - leaves) + place among its children``; for a root
        ``k * inner nodes``.
    roots : (trees,)
        Rows of the nodes without parent, in the order of the nodes.
    """

    order: Index
    bounds: list[int]
    children: Index
    slot: Index
    roots: Index


@dataclass(frozen=True, slots=True)
class ChildSumPlan:
    """The order of work for a batch of trees with any number of children.

    Rows are nodes by height, within a height by falling number of children. Edges (child to parent)
    are sorted by the height of the parent, then by their place among its children, then by the
    parent's row: so the edges of one place are the first rows of that height, in order.

    Parameters
    ----------
    order : (nodes,)
        The node at each row.
    bounds : list of int
        Row at which each height begins, and the number of nodes at the end.
    child : (edges,)
        Row of each edge's child.
    runs : list of list of (int, int, int)
        For each height, places that have equally many edges: the first edge of the first of them,
        the number of edges of each, the number of places.
    edge : (nodes,)
        For each row, the edge to its parent; for roots, in their order, the numbers after those.
    roots : (trees,)
        Rows of the nodes without parent, in the order of the nodes.
    """

    order: Index
    bounds: list[int]
    child: Index
    runs: list[list[tuple[int, int, int]]]
    edge: Index
    roots: Index


def tree_plan(links: Links, k: int) -> TreePlan:
    """Plan a batch of trees whose inner nodes have up to ``k`` children, each in its place.

    Notes
    -----
    Time grows with nodes and with height; 32 trees of 10 to 30 leaves take about 0.05 ms.

    Examples
    --------
    The tree ((0, 1), 2), its inner nodes 3 and 4:

    >>> links = Links.of_matrix(np.array([[-1, -1], [-1, -1], [-1, -1], [0, 1], [3, 2]]))
    >>> plan = tree_plan(links, 2)
    >>> plan.bounds, plan.children.tolist(), plan.roots.tolist()
    ([0, 3, 4, 5], [[0, 1], [3, 2]], [4])
    """
    height = links.nodes[0]
    nodes = len(height)
    order, row, bounds = _by_height(height, height)
    leaves = bounds[1]
    child, above = row[links.edges[0]], row[links.edges[1]]
    up = k * (above - leaves) + links.edges[2]
    slot = np.full(nodes, k * (nodes - leaves), np.intp)
    slot[child] = up
    children = np.full(k * (nodes - leaves), nodes, np.intp)
    children[up] = child
    return TreePlan(order, bounds, children.reshape(-1, k), slot, _roots(links, row))


def child_sum_plan(links: Links) -> ChildSumPlan:
    """Plan a batch of trees whose nodes have any number of children, whose order does not matter.

    Examples
    --------
    Node 3 over 0, 1, 2:

    >>> plan = child_sum_plan(Links.of_lists(np.array([0, 0, 0, 0, 3]), np.array([0, 1, 2])))
    >>> plan.bounds, plan.child.tolist(), plan.runs
    ([0, 3, 4], [0, 1, 2], [[], [(0, 1, 3)]])
    """
    (height, counts), (child, above, place) = links.nodes, links.edges
    edges, most = len(child), int(counts.max(initial=0))
    order, row, bounds = _by_height(height, (height + 1) * (most + 1) - counts)
    level = height[above]
    group = level * most + place
    sizes = np.bincount(group, minlength=most * (len(bounds) - 1))
    starts = np.cumsum(sizes) - sizes
    place_of = starts[group] + row[above] - np.asarray(bounds)[level]
    below = row[child]
    sorted_child = np.empty(edges, np.intp)
    sorted_child[place_of] = below
    roots = _roots(links, row)
    edge = np.empty(len(height), np.intp)
    edge[below] = place_of
    edge[roots] = np.arange(edges, len(height))
    runs: list[list[tuple[int, int, int]]] = []
    first = 0
    for some in sizes.reshape(len(bounds) - 1, -1).tolist():
        runs.append([])
        for size, places in groupby(filter(None, some)):
            count = len(list(places))
            runs[-1].append((first, size, count))
            first += size * count
    return ChildSumPlan(order, bounds, sorted_child, runs, edge, roots)


def _by_height(height: Index, key: Index) -> tuple[Index, Index, list[int]]:
    """Return the nodes sorted by a key, the row of each, and the bounds of the heights."""
    nodes = len(height)
    order = np.argsort(key, kind="stable")
    row = np.empty(nodes, np.intp)
    row[order] = np.arange(nodes)
    return order, row, [0, *np.cumsum(np.bincount(height)).tolist()] if nodes else [0, 0]


def _roots(links: Links, row: Index) -> Index:
    orphan = np.ones(len(row), bool)
    orphan[links.edges[0]] = False
    found: Index = row[np.flatnonzero(orphan)]
    return found


def _heights(parent: Index, inner: NDArray[np.bool_]) -> Index:
    """Return the longest way down from each node, by walking up from all leaves at once."""
    height = np.zeros(len(parent), np.intp)
    level, front = 0, parent[~inner]
    while True:
        front = front[front >= 0]
        if not len(front):
            break
        level += 1
        height[front] = level  # a later, longer way overwrites a shorter one
        front = parent[front]
        if level > len(parent):
            raise DataError(f"The trees are none: node {front[0]} is its own ancestor.")
    if (height[inner] == 0).any():
        node = int(np.flatnonzero(inner & (height == 0))[0])
        raise DataError(f"The trees are none: node {node} is its own ancestor.")
    return height


def _integers(array: Array, dimensions: int) -> Index:
    """Return an index array of so many dimensions."""
    given = np.asarray(array)
    if given.ndim != dimensions or (given.dtype.kind not in "iu" and given.size):
        wanted = "a matrix" if dimensions == 2 else "a list"
        raise ShapeError(
            f"A tree plan was called with an array of shape {given.shape} and dtype {given.dtype}; "
            f"it needs {wanted} of integers: the numbers of each node's children."
        )
    return given.astype(np.intp, copy=False)


def _checked(children: Index, nodes: int) -> Index:
    """Return the children if all are nodes."""
    if len(children) and (children.max() >= nodes or children.min() < 0):
        wrong = int(children.max() if children.max() >= nodes else children.min())
        raise DataError(f"The trees have a child {wrong}, but their nodes are 0 to {nodes - 1}.")
    return children


def _check_parents(children: Index, parent: Index, above: Index) -> None:
    """Refuse a child that is named twice: the last of its parents is the one that is kept."""
    other = parent[children] != above
    if other.any():
        k = int(np.flatnonzero(other)[0])
        child = int(children[k])
        raise DataError(
            f"Node {child} is a child of node {above[k]} and of node {parent[child]}; in a tree a "
            f"node has one parent."
        )
    if len(children) and np.bincount(children).max() > 1:
        child = int(np.bincount(children).argmax())
        raise DataError(f"Node {child} is a child of node {parent[child]} more than once.")
