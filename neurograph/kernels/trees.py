"""Plans for batches of trees: which cells run together, and where each finds its children.

A batch of trees is one forest. Its nodes are put in order of height (leaves first), so that all
cells of one height, over all trees, are a block of rows that one product serves, and every child
lies above its parent. In a tree a node has one parent, so gradients come back by gathering too,
never by scattering. A plan is index arrays only; another batch is another plan, not another
program.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurograph.errors import DataError, ShapeError

Array = NDArray[Any]
Index = NDArray[np.intp]


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
    blocks : list of list of (int, int)
        For each height, the bounds in ``child`` of the edges of each place.
    edge : (nodes,)
        For each row, the edge to its parent; the number of edges for a root.
    roots : (trees,)
        Rows of the nodes without parent, in the order of the nodes.
    """

    order: Index
    bounds: list[int]
    child: Index
    blocks: list[list[tuple[int, int]]]
    edge: Index
    roots: Index


def join_trees(trees: Sequence[Array]) -> Index:
    """Return the children of a batch of trees as one forest, numbered through.

    Parameters
    ----------
    trees : sequence of (nodes, k)
        For every node of a tree its children, -1 for none.

    Examples
    --------
    >>> small = np.array([[-1, -1], [-1, -1], [0, 1]])
    >>> join_trees([small, small])[[2, 5]]
    array([[0, 1],
           [3, 4]])
    """
    children = np.concatenate(trees).astype(np.intp, copy=False)
    sizes = [len(tree) for tree in trees]
    starts = np.repeat(np.cumsum([0, *sizes[:-1]]), sizes)
    return np.where(children < 0, -1, children + starts[:, None])


def tree_plan(children: Array) -> TreePlan:
    """Plan a batch of trees whose inner nodes have up to ``k`` children, each in its place.

    Parameters
    ----------
    children : (nodes, k), integer
        For every node its children, -1 where one is missing; a leaf has only -1.

    Returns
    -------
    TreePlan

    Raises
    ------
    ShapeError
        If ``children`` is not a matrix of integers.
    DataError
        If a child is no node, has two parents, or is its own ancestor.

    Notes
    -----
    Time grows with nodes and with height; 32 trees of 10 to 30 leaves take about 0.1 ms.

    Examples
    --------
    The tree ((0, 1), 2), its inner nodes 3 and 4:

    >>> plan = tree_plan(np.array([[-1, -1], [-1, -1], [-1, -1], [0, 1], [3, 2]]))
    >>> plan.bounds, plan.children.tolist(), plan.roots.tolist()
    ([0, 3, 4, 5], [[0, 1], [3, 2]], [4])
    """
    children = _integers(children, 2)
    nodes, k = children.shape
    flat = children.ravel()
    places = np.flatnonzero(flat >= 0)
    slots = np.full(nodes, -1, np.intp)
    slots[_checked(flat[places], nodes)] = places
    parent = slots // k  # -1 stays -1
    _check_parents(flat[places], parent, places // k)
    inner = np.zeros(nodes, bool)
    inner[places // k] = True
    height = _heights(parent, inner)
    order = np.argsort(height, kind="stable")
    bounds = [0, *np.cumsum(np.bincount(height)).tolist()] if nodes else [0, 0]
    row = np.empty(nodes + 1, np.intp)
    row[order] = np.arange(nodes)
    row[nodes] = nodes  # node -1, the missing one, is the row after the last
    leaves = bounds[1]
    slot = slots[order]
    has_parent = slot >= 0
    up = slot[has_parent]
    slot[has_parent] = k * (row[up // k] - leaves) + up % k
    slot[~has_parent] = k * (nodes - leaves)
    roots = row[np.flatnonzero(parent < 0)]
    return TreePlan(order, bounds, row[children[order[leaves:]]], slot, roots)


def child_sum_plan(starts: Array, children: Array) -> ChildSumPlan:
    """Plan a batch of trees whose nodes have any number of children, whose order does not matter.

    Parameters
    ----------
    starts : (nodes + 1,), integer
        Node ``j`` has the children ``children[starts[j] : starts[j + 1]]``.
    children : (edges,), integer
        The child of each edge.

    Returns
    -------
    ChildSumPlan

    Raises
    ------
    ShapeError
        If the arguments are not two lists of integers, or ``starts`` does not run from 0 to the
        number of edges without falling.
    DataError
        If a child is no node, has two parents, or is its own ancestor.

    Examples
    --------
    Node 3 over 0, 1, 2:

    >>> plan = child_sum_plan(np.array([0, 0, 0, 0, 3]), np.array([0, 1, 2]))
    >>> plan.bounds, plan.child.tolist(), plan.blocks
    ([0, 3, 4], [0, 1, 2], [[], [(0, 1), (1, 2), (2, 3)]])
    """
    starts, children = _integers(starts, 1), _integers(children, 1)
    counts = np.diff(starts)
    nodes, edges = len(counts), len(children)
    if not len(starts) or starts[0] or starts[-1] != edges or (counts < 0).any():
        raise ShapeError(
            f"child_sum_plan was called with starts that do not run from 0 to {edges}, the number "
            f"of edges, without falling. Give nodes + 1 bounds, as scipy's CSR matrices have them."
        )
    above = np.repeat(np.arange(nodes), counts)
    parent = np.full(nodes, -1, np.intp)
    parent[_checked(children, nodes)] = above
    _check_parents(children, parent, above)
    height = _heights(parent, counts > 0)
    most = int(counts.max(initial=0))
    order = np.argsort((height + 1) * (most + 1) - counts, kind="stable")
    bounds = [0, *np.cumsum(np.bincount(height)).tolist()] if nodes else [0, 0]
    row = np.empty(nodes, np.intp)
    row[order] = np.arange(nodes)
    place = np.arange(edges) - starts[above]
    group = height[above] * most + place
    by_group = np.argsort(group * nodes + row[above], kind="stable")
    edge = np.full(nodes, edges, np.intp)
    child = row[children[by_group]]
    edge[child] = np.arange(edges)
    ends = np.cumsum(np.bincount(group, minlength=most * (len(bounds) - 1))).tolist()
    blocks = [
        [(begin, end) for begin, end in _pairs([0, *ends], level * most, most) if end > begin]
        for level in range(len(bounds) - 1)
    ]
    roots = row[np.flatnonzero(parent < 0)]
    return ChildSumPlan(order, bounds, child, blocks, edge, roots)


def _pairs(ends: list[int], first: int, count: int) -> list[tuple[int, int]]:
    """Return ``count`` neighbouring pairs of a list, from ``first`` on."""
    return list(zip(ends[first : first + count], ends[first + 1 : first + count + 1], strict=True))


def _heights(parent: Index, inner: NDArray[np.bool_]) -> NDArray[Any]:
    """Return the longest way down from each node, by walking up from all leaves at once."""
    height = np.zeros(len(parent), np.int32)
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
