"""Connections along trees: what the past is to a sequence, the children are to a tree.

In a network for trees the time of its sequences is the nodes of a tree, children first. Each layer
has one copy for every node of the tree; these bundles say which copies are joined. Their weights
are 1, all others join a copy to the copies at the same node. ``tree_network`` makes the copies for
one tree, as an ordinary network: that is what these bundles mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from neurograph.errors import GraphError, ShapeError
from neurograph.graph.connection import Connection
from neurograph.graph.connections import NO_EDGES, Bundle, Indices
from neurograph.graph.tree import Tree

if TYPE_CHECKING:
    from neurograph.graph.layer import Layer
    from neurograph.graph.network import Network


class TreeConnections(Bundle):
    """Node i of the source, at certain nodes of the tree, feeds node ``start + i`` of the target.

    Parameters
    ----------
    source, target : Layer
    start : int
        The first node of the target that is fed.
    delay : int
        1 where the copies fed lie higher in the tree than those that feed, else 0.
    """

    along_trees = True
    rising = False  # whether it goes from children to parents

    def __init__(
        self, source: Layer, target: Layer, *, start: int = 0, delay: int | None = None
    ) -> None:
        late = int(self.rising)
        if delay not in (None, late):
            raise GraphError(f"{source.name} -> {target.name}: its delay is {late}, got {delay}")
        if start < 0 or start + source.size > target.size:
            raise ShapeError(
                f"{source.name} -> {target.name}: {source.size} nodes from node {start} on do not "
                f"fit into {target.size}"
            )
        self.start = start
        super().__init__(source, target, None, late)

    def sources_of(self, tree: Tree, node: int) -> list[int]:
        """Return the nodes of a tree whose copies of the source feed the target's copy at one."""
        raise NotImplementedError

    def into(self, down: int) -> tuple[Indices, Indices]:
        """Return the one upstream index and its weight address."""
        up = down - self.start
        if not 0 <= up < self.source.size:
            return NO_EDGES, NO_EDGES
        return np.array([up]), np.zeros(1, np.int64)

    def out_of(self, up: int) -> tuple[Indices, Indices]:
        """Return the one downstream index and its weight address."""
        return np.array([self.start + up]), np.zeros(1, np.int64)

    def __len__(self) -> int:
        return self.source.size

    def remove(self, connection: Connection) -> None:
        """Refuse: the connection stands for one at many nodes of every tree."""
        raise GraphError(
            f"{connection.label}: a connection along trees cannot be removed; remove those into or "
            f"out of its nodes"
        )

    def describe(self) -> dict[str, Any]:
        """Return what, beside source, target and delay, rebuilds it."""
        return {"start": self.start}


class ChildConnections(TreeConnections):
    """From the copies at a node's children to the copy at the node.

    Parameters
    ----------
    child : int or None
        Which child, counted from 0; None for every child.
    """

    rising = True

    def __init__(
        self,
        source: Layer,
        target: Layer,
        *,
        child: int | None = None,
        start: int = 0,
        delay: int | None = None,
    ) -> None:
        self.child = child
        super().__init__(source, target, start=start, delay=delay)

    def sources_of(self, tree: Tree, node: int) -> list[int]:
        """Return the child, or all children."""
        children = tree.children_of(node)
        return children if self.child is None else children[self.child : self.child + 1]

    def describe(self) -> dict[str, Any]:
        """Return what, beside source, target and delay, rebuilds it."""
        return {"child": self.child, "start": self.start}


class ParentConnections(TreeConnections):
    """From the copy at a node to the copies at its children; nothing feeds the one at the root."""

    def sources_of(self, tree: Tree, node: int) -> list[int]:
        """Return the parent, if there is one."""
        parent = int(tree.parents[node])
        return [parent] if parent >= 0 else []


class LeafConnections(TreeConnections):
    """From copy to copy at the same node, at the leaves alone."""

    def sources_of(self, tree: Tree, node: int) -> list[int]:
        """Return the node itself if it is a leaf."""
        return [] if tree.children_of(node) else [node]


class InnerConnections(TreeConnections):
    """From copy to copy at the same node, at the nodes with children alone."""

    def sources_of(self, tree: Tree, node: int) -> list[int]:
        """Return the node itself if it has children."""
        return [node] if tree.children_of(node) else []


class RootConnections(TreeConnections):
    """From the copy at the root to a layer of which there is one for the whole tree."""

    def __init__(
        self, source: Layer, target: Layer, *, start: int = 0, delay: int | None = None
    ) -> None:
        if target.sequence or not source.sequence:
            raise ShapeError(
                f"{source.name} -> {target.name}: it goes from a layer with a copy at every node "
                f"of a tree to one without"
            )
        super().__init__(source, target, start=start, delay=delay)

    def sources_of(self, tree: Tree, node: int) -> list[int]:
        """Return the root."""
        return [len(tree) - 1]


def takes_trees(network: Network) -> bool:
    """Whether samples of a network are trees; this asks its inputs alone."""
    return any(port.layer.config.get("trees", False) for port in network.inputs)


def goes_along_trees(network: Network) -> bool:
    """Whether a network is for trees."""
    return any(
        isinstance(bundle, TreeConnections)
        for layer in network.all_layers
        for bundle in layer.incoming
    )
