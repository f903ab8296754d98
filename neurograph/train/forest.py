"""Forests: batches of trees joined into index arrays, and values for every node of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from neurograph.errors import DataError, NeurographError, ShapeError
from neurograph.graph.network import Network
from neurograph.graph.tree import Array, Indices, Tree
from neurograph.graph.tree_fit import fitted_tree, tree_layer
from neurograph.kernels.trees import (
    ChildSumPlan,
    TreePlan,
    child_sum_plan,
    join_trees,
    tree_plan,
)


@dataclass(frozen=True, slots=True)
class Rows:
    """What a batch needs of one tree: its children as a kernel takes them, and its values.

    ``children`` is (nodes, k) with -1 for none, or (edges,) where any number is allowed; ``given``
    are the nodes that have a value, ``values`` theirs.
    """

    tree: Tree
    children: Indices
    given: Indices
    values: Array

    @classmethod
    def of(cls, tree: Tree, arity: int | None) -> Rows:
        """Return the rows of a tree that was found to fit."""
        children = tree.children
        if arity is not None:
            inner = np.diff(tree.starts) > 0
            children = np.full((len(tree), arity), -1, np.int64)
            children[inner] = tree.children.reshape(-1, arity)
        assert tree.values is not None
        given = np.flatnonzero(tree.given)
        return cls(tree, children, given, tree.values[given])


class Trees(Sequence[Tree]):
    """Trees that fit a network; a part of them, by slice or indices, is a ``Trees`` too."""

    def __init__(self, rows: Sequence[Rows], arity: int | None) -> None:
        self.rows = list(rows)
        self.arity = arity

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Tree: ...
    @overload
    def __getitem__(self, index: slice | Indices) -> Trees: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Trees(self.rows[index], self.arity)
        if isinstance(index, np.ndarray):
            return Trees([self.rows[each] for each in index.tolist()], self.arity)
        return self.rows[index].tree

    @property
    def sizes(self) -> list[int]:
        """The number of nodes of each."""
        return [len(row.tree) for row in self.rows]


def as_trees(network: Network, x: Any, what: str = "x") -> Trees:
    """Return the trees of a batch or data set, each found to fit the network.

    Raises
    ------
    GraphError, DataError
        One does not; the message gives its number and the place in it.
    """
    if isinstance(x, Trees):
        return x
    layer = tree_layer(network)
    arity = int(layer.config["children"]) if layer.config["cell"] == "recursive" else None
    if isinstance(x, (Tree, tuple)) or not isinstance(x, (Iterable, Sequence)):
        raise DataError(
            f"{what}: a batch for network {network.name!r} is a list of trees, got one "
            f"{type(x).__name__}; give [tree] for one tree"
        )
    rows = []
    for number, each in enumerate(x):
        try:
            rows.append(Rows.of(fitted_tree(network, each), arity))
        except NeurographError as error:
            raise type(error)(f"{what}: tree {number}: {error}") from error
    if not rows:
        raise DataError(f"{what}: there are no trees")
    return Trees(rows, arity)


class NodeRows(Sequence[Array]):
    """Values for every node of several trees, tree by tree; ``np.asarray`` joins them.

    Parameters
    ----------
    rows : sequence of array, (nodes of the tree, …)
    """

    def __init__(self, rows: Sequence[Array]) -> None:
        self.rows = list(rows)

    @classmethod
    def cut(cls, joined: Array, sizes: Sequence[int]) -> NodeRows:
        """Return joined values as those of trees with so many nodes."""
        return cls(np.split(joined, np.cumsum(sizes)[:-1]))

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Array: ...
    @overload
    def __getitem__(self, index: slice | Indices) -> NodeRows: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return NodeRows(self.rows[index])
        if isinstance(index, np.ndarray):
            return NodeRows([self.rows[each] for each in index.tolist()])
        return self.rows[index]

    def __iter__(self) -> Iterator[Array]:
        return iter(self.rows)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        joined = np.concatenate(self.rows)
        return joined if dtype is None else joined.astype(dtype, copy=False)


def as_node_rows(y: Any, what: str) -> NodeRows:
    """Return what is given for every node of several trees: a list with an array for each tree.

    Raises
    ------
    DataError, ShapeError
        It is no such list.
    """
    if isinstance(y, NodeRows):
        return y
    if not isinstance(y, (list, tuple)) or not len(y):
        raise ShapeError(
            f"{what}: the network has an output at every node, so give a list with one array for "
            f"each tree, one row for each of its nodes, children first"
        )
    rows = []
    for number, each in enumerate(y):
        array = np.asarray(each)
        if array.dtype.kind not in "fiub" or array.ndim == 0:
            raise DataError(
                f"{what}: tree {number} has {array.dtype.name} of shape {array.shape}, expected "
                f"numbers, one row for each node"
            )
        rows.append(array)
    shapes = {row.shape[1:] for row in rows}
    if len(shapes) > 1:
        raise ShapeError(f"{what}: the rows of the trees differ in shape: {sorted(shapes)}")
    return NodeRows(rows)


def check_sizes(trees: Trees, rows: NodeRows, what: str) -> None:
    """Refuse rows that are not one for each node."""
    for number, (nodes, each) in enumerate(zip(trees.sizes, rows, strict=False)):
        if len(each) != nodes:
            raise ShapeError(
                f"{what}: tree {number} has {nodes} nodes, but {len(each)} rows are given for it"
            )


@dataclass(frozen=True, slots=True)
class Forest:
    """A batch of trees as one graph; the nodes of the trees follow one another.

    Attributes
    ----------
    nodes : int
    given : (given nodes,)
        The nodes that have a value, ascending.
    values : (given nodes, shape)
    plan : TreePlan or ChildSumPlan
    """

    nodes: int
    given: Indices
    values: Array
    plan: TreePlan | ChildSumPlan

    @classmethod
    def of(cls, trees: Trees) -> Forest:
        """Join trees."""
        rows, sizes = trees.rows, trees.sizes
        begin = np.cumsum([0, *sizes[:-1]])
        plan: TreePlan | ChildSumPlan
        if trees.arity is not None:
            plan = tree_plan(join_trees([row.children for row in rows]))
        else:
            edges = np.cumsum([0, *(len(row.children) for row in rows)])
            starts = [row.tree.starts[:-1] + edge for row, edge in zip(rows, edges, strict=False)]
            children = [row.children + first for row, first in zip(rows, begin, strict=True)]
            plan = child_sum_plan(np.concatenate([*starts, edges[-1:]]), np.concatenate(children))
        given = [row.given + first for row, first in zip(rows, begin, strict=True)]
        values = np.concatenate([row.values for row in rows])
        return cls(sum(sizes), np.concatenate(given), values, plan)
