"""What a network along trees says of its trees, and whether a tree fits it."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any

import numpy as np

from neurograph.errors import DataError, GraphError, NeurographError, short
from neurograph.graph.layer import Layer
from neurograph.graph.network import Network, Port
from neurograph.graph.tree import Tree, check_arity
from neurograph.graph.trees import goes_along_trees


def tree_layer(network: Network) -> Layer:
    """Return the layer of a network that goes along trees.

    Raises
    ------
    GraphError
        There is none, or the network has several inputs.
    """
    if not goes_along_trees(network):
        raise GraphError(
            f"network {network.name!r} has no layer that goes along trees, such as ng.Recursive or "
            f"ng.ChildSumTreeLSTM"
        )
    if len(network.inputs) != 1 or network.handmade.nodes:
        raise GraphError(
            f"network {network.name!r} goes along trees; it can have one input, which gives the "
            f"values of a tree's nodes, and no nodes made by hand"
        )
    return next(
        layer
        for layer in network.all_layers
        if layer.config.get("cell") in ("recursive", "child_sum_tree_lstm")
    )


def fitted_tree(network: Network, tree: Any) -> Tree:
    """Return a tree in the form that a network takes, or say what does not fit.

    Raises
    ------
    GraphError, DataError
        With the place in the tree.
    """
    layer, port = tree_layer(network), network.inputs[0]
    if hasattr(tree, "is_directed"):
        tree = Tree.from_networkx(tree)
    elif isinstance(tree, ast.AST):
        tree = Tree.from_ast(tree)
    if layer.config["cell"] == "recursive":
        found = Tree.of(tree, port.shape)
        check_arity(found, int(layer.config["children"]))
        _check_values(found, port, at_leaves=True)
    else:
        found = Tree.with_values(tree, port.shape)
        _check_values(found, port, at_leaves=False)
    return found


def fitted_trees(network: Network, trees: Iterable[Any], what: str = "") -> list[Tree]:
    """Return trees in the form that a network takes, or say which one does not fit, and where.

    Raises
    ------
    GraphError, DataError
        With the number of the tree and the place in it.
    """
    found = []
    for number, each in enumerate(trees):
        try:
            found.append(fitted_tree(network, each))
        except NeurographError as error:
            where = f"{what}: tree {number}" if what else f"tree {number}"
            raise type(error)(f"{where}: {error}") from error
    return found


def _check_values(tree: Tree, port: Port, at_leaves: bool) -> None:
    inner = np.diff(tree.starts) > 0
    for node, word in enumerate(tree.words):
        needed = tree.values is None or (at_leaves and not inner[node])
        if word is not None and needed and not tree.given[node]:
            raise GraphError(
                f"at {tree.path(node)}: the tree holds the word {short(word)}; "
                f"Tree.encode(vocabulary) turns words into indices for ng.Embedding, "
                f"Tree.from_brackets and Tree.from_ast read a whole text"
            )
    if tree.values is None or tree.values.shape[1:] != port.shape:
        got = "no values" if tree.values is None else f"values of shape {tree.values.shape[1:]}"
        raise GraphError(f"the tree has {got}; input {port.name!r} takes {port.shape}")
    if at_leaves:
        for wrong, what in (
            (tree.given & inner, "has a value"),
            (~tree.given & ~inner, "has none"),
        ):
            if wrong.any():
                place = tree.path(int(np.flatnonzero(wrong)[0]))
                kind = "inner node" if what == "has a value" else "leaf"
                raise GraphError(
                    f"at {place}: the {kind} {what}; a recursive layer takes the values of leaves "
                    f"alone"
                )
    limit = port.layer.config.get("indices")
    if limit is not None:
        values = tree.values
        wrong = (values < 0) | (values >= limit) | (values != np.rint(values))
        wrong = wrong.reshape(len(tree), -1).any(axis=1) & tree.given
        if wrong.any():
            node = int(np.flatnonzero(wrong)[0])
            raise DataError(
                f"at {tree.path(node)}: {values[node].item():.15g} is no index from 0 to "
                f"{limit - 1}, the rows of the embedding"
            )


def layers_below(network: Network, root: Layer) -> set[int]:
    """Return the ids of the layers whose values go into a tree layer: they are there by value."""
    own = {id(layer) for layer in network.all_layers if layer.top is root}
    stack = [
        bundle.source
        for layer in network.all_layers
        if id(layer) in own
        for bundle in layer.incoming
        if id(bundle.source) not in own
    ]
    found: set[int] = set()
    while stack:
        layer = stack.pop()
        if id(layer) not in found:
            found.add(id(layer))
            stack += [bundle.source for bundle in layer.incoming]
            stack += layer.parts.values()
    return found
