"""Forests: batches of trees joined into index arrays, and values for every node of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from neurograph.errors import DataError, ShapeError
from neurograph.graph.network import Network
from neurograph.graph.tree import Array, Indices, Tree
from neurograph.graph.tree_fit import fitted_trees, tree_layer
from neurograph.kernels.trees import (
    ChildSumPlan,
    Links,
    TreePlan,
    child_sum_plan,
    tree_plan,
)


@dataclass(frozen=True, slots=True)
class Pieces:
    """Where each of some pieces begins in a joined array, and the end of the last."""

    bounds: Indices

    @classmethod
    def of(cls, sizes: Iterable[int]) -> Pieces:
        """Return the pieces of so many elements each."""
        return cls(np.cumsum([0, *sizes]))

    def pick(self, numbers: Indices) -> tuple[Any, Indices, Indices]:
        """Return what picks some pieces out of the joined array, their sizes, and their moves.

        A piece's move is the place where it begins now less the place where it began.
        """
        starts = self.bounds[numbers]
        sizes = self.bounds[numbers + 1] - starts
        moves = np.cumsum(sizes) - sizes - starts
        first, count = int(starts[0]), int(sizes.sum())
        if (moves == -first).all():  # they follow one another
            return slice(first, first + count), sizes, moves
        return np.arange(count) - np.repeat(moves, sizes), sizes, moves


@dataclass(frozen=True, slots=True)
class Joined:
    """Trees as one forest, from which batches are picked without touching the trees again.

    Attributes
    ----------
    links : Links
    given : (given nodes,)
        The nodes that have a value.
    values : (given nodes, shape)
    of_nodes, of_edges, of_given : Pieces
        Which of them belong to each tree.
    """

    links: Links
    given: Indices
    values: Array
    of_nodes: Pieces
    of_edges: Pieces
    of_given: Pieces

    @classmethod
    def of(cls, trees: Sequence[Tree]) -> Joined:
        """Join trees that were found to fit."""
        nodes = Pieces.of(len(tree) for tree in trees)
        edges = Pieces.of(len(tree.children) for tree in trees)
        begins = list(zip(nodes.bounds.tolist(), edges.bounds.tolist(), strict=True))
        starts = [tree.starts[:-1] + edge for tree, (_, edge) in zip(trees, begins, strict=False)]
        children = [tree.children + node for tree, (node, _) in zip(trees, begins, strict=False)]
        given = [np.flatnonzero(tree.given) for tree in trees]
        values = [tree.values[some] for tree, some in zip(trees, given, strict=True)]  # type: ignore[index]
        return cls(
            Links.of_lists(np.concatenate([*starts, edges.bounds[-1:]]), np.concatenate(children)),
            np.concatenate([some + node for some, (node, _) in zip(given, begins, strict=False)]),
            np.concatenate(values),
            nodes,
            edges,
            Pieces.of(map(len, given)),
        )


class Trees(Sequence[Tree]):
    """Trees that fit a network; a part of them, by slice or indices, is a ``Trees`` too.

    Parameters
    ----------
    trees : sequence of Tree
    arity : int or None
        How many children an inner node has, if there is such a number.
    joined : Joined, optional
    numbers : array of int, optional
        Which of the joined trees these are.
    """

    def __init__(
        self,
        trees: Sequence[Tree],
        arity: int | None,
        joined: Joined | None = None,
        numbers: Indices | None = None,
    ) -> None:
        self.trees = trees
        self.arity = arity
        self.joined = Joined.of(trees) if joined is None else joined
        self.numbers = np.arange(len(trees)) if numbers is None else numbers

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, index: int) -> Tree: ...
    @overload
    def __getitem__(self, index: slice | Indices) -> Trees: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, (slice, np.ndarray)):
            return Trees(self.trees, self.arity, self.joined, self.numbers[index])
        return self.trees[self.numbers[index]]

    @property
    def sizes(self) -> Indices:
        """The number of nodes of each."""
        sizes: Indices = np.diff(self.joined.of_nodes.bounds)[self.numbers]
        return sizes


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
    alone = isinstance(x, (Tree, tuple, str)) or hasattr(x, "is_directed")
    if alone or not isinstance(x, (Iterable, Sequence)):
        raise DataError(
            f"{what}: a batch for network {network.name!r} is a list of trees, got one "
            f"{type(x).__name__}; give [tree] for one tree"
        )
    trees = fitted_trees(network, x, what)
    if not trees:
        raise DataError(f"{what}: there are no trees")
    return Trees(trees, arity)


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
        try:
            array = np.asarray(each)
        except ValueError as error:
            raise ShapeError(
                f"{what}: the rows of tree {number} differ in shape; give one for each node, all "
                f"alike"
            ) from error
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


def check_sizes(sizes: Iterable[int], rows: NodeRows, what: str) -> None:
    """Refuse rows that are not one for each node of trees with so many."""
    for number, (nodes, each) in enumerate(zip(sizes, rows, strict=False)):
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
        joined, numbers = trees.joined, trees.numbers
        nodes, sizes, moves = joined.of_nodes.pick(numbers)
        some, counts, _ = joined.of_edges.pick(numbers)
        edges = joined.links.edges[:, some].copy()
        edges[:2] += np.repeat(moves, counts)
        links = Links(joined.links.nodes[:, nodes], edges)
        some, counts, _ = joined.of_given.pick(numbers)
        given = joined.given[some] + np.repeat(moves, counts)
        plan = child_sum_plan(links) if trees.arity is None else tree_plan(links, trees.arity)
        return cls(int(sizes.sum()), given, joined.values[some], plan)
