"""The network of one tree: what a network that goes along trees means, written out.

Every layer gets a copy for each node of the tree at which it has something to do, all copies with
the same parameters. The result is an ordinary network without time: it can be run node by node,
checked, drawn and exported.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from neurograph.errors import GraphError
from neurograph.graph.bundles import OneToOneConnections
from neurograph.graph.connections import Bundle
from neurograph.graph.layer import Layer
from neurograph.graph.network import Network, Port
from neurograph.graph.temporal import BridgeConnections
from neurograph.graph.tree import Tree, check_arity
from neurograph.graph.trees import TreeConnections, goes_along_trees

Copies = dict[tuple[int, int], Layer]  # (id of the layer, node of the tree; -1 outside)


def tree_network(network: Network, tree: Any) -> Network:
    """Return the network that stands for one tree: a copy of each layer at every node.

    The copies share the network's parameters; a change of a weight or of what is trained holds for
    both. A copy at node 3 (children come first, the root last) is called ``name@3``, the last copy
    of each layer has the layer's own name. Inputs are the values of the nodes that have one, in
    order, as ``tree_values`` gives them; outputs are those of the network: at the root, or at every
    node in order.

    Parameters
    ----------
    network : Network
        With a layer such as ``Recursive`` or ``ChildSumTreeLSTM``.
    tree : Tree, or nested tuples as the layer takes them

    Raises
    ------
    GraphError
        The network has no tree layer, or the tree does not fit; with the place in the tree.
    DataError
        A value is no vector.

    Examples
    --------
    >>> import neurograph as ng
    >>> net = ng.Network([ng.Input((2,)), ng.Recursive(2, name="p")], seed=0)
    >>> grown = ng.tree_network(net, (([1, 2], [3, 4]), [5, 6]))
    >>> print(grown)
    network: 2 + 2 + 2 -> 2, 1 layers with weights, 40 connections, 10 parameters
    >>> grown.layer("p/inner@2")[0].upstream[0].parameter is net.parameters["p/kernel"]
    True
    """
    root = tree_layer(network)
    fitted = fitted_tree(network, tree)
    copies: Copies = {}
    for layer in network.layers:
        places = _places(network, layer, root, fitted)
        for node in places:
            copies[id(layer), node] = _copy(layer, node, is_last=node == places[-1])
    for layer in network.layers:
        for node in _places(network, layer, root, fitted):
            for bundle in layer.incoming:
                _join(bundle, node, copies, fitted)
    _drop_zeros(list(copies.values()))
    grown = Network(
        inputs=_ends(network.inputs, copies),
        outputs=_ends(network.outputs, copies),
        name=network.name,
    )
    share_parameters(network, grown)
    return grown


def tree_values(network: Network, tree: Any) -> list[Any]:
    """Return the values of a tree's nodes as the inputs of its ``tree_network``.

    Examples
    --------
    >>> import neurograph as ng
    >>> net = ng.Network([ng.Input((2,)), ng.Recursive(2)])
    >>> [each.tolist() for each in tree_values(net, ([1, 2], [3, 4]))]
    [[1.0, 2.0], [3.0, 4.0]]
    """
    fitted = fitted_tree(network, tree)
    assert fitted.values is not None
    return [fitted.values[node] for node in np.flatnonzero(fitted.given)]


# what a network says of its trees -----------------------------------------------------------------


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
        for layer in network.layers
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
    if layer.config["cell"] == "recursive":
        found = Tree.of(tree, port.shape)
        check_arity(found, int(layer.config["children"]))
        _check_values(found, port, at_leaves=True)
    else:
        found = Tree.with_values(tree, port.shape)
        _check_values(found, port, at_leaves=False)
    return found


def _check_values(tree: Tree, port: Port, at_leaves: bool) -> None:
    if tree.values is None and len(tree.words):
        raise GraphError(
            "the tree holds words; tree.encode(vocabulary) turns them into indices for ng.Embedding"
        )
    if tree.values is None or tree.values.shape[1:] != port.shape:
        got = "no values" if tree.values is None else f"values of shape {tree.values.shape[1:]}"
        raise GraphError(f"the tree has {got}; input {port.name!r} takes {port.shape}")
    if at_leaves:
        inner = np.diff(tree.starts) > 0
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
            raise GraphError(
                f"at {tree.path(node)}: {values[node]} is no index from 0 to {limit - 1}, the rows "
                f"of the embedding"
            )


def layers_below(network: Network, root: Layer) -> set[int]:
    """Return the ids of the layers whose values go into a tree layer: they are there by value."""
    own = {id(layer) for layer in network.layers if top_of(layer) is root}
    stack = [
        bundle.source
        for layer in network.layers
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


def top_of(layer: Layer) -> Layer:
    """Return the layer that a recipe made, of which this one is a part or the whole."""
    while layer.root is not None:
        layer = layer.root
    return layer


# copies -------------------------------------------------------------------------------------------


def _places(network: Network, layer: Layer, root: Layer, tree: Tree) -> list[int]:
    """Return the nodes of a tree at which a layer has a copy; [-1] if it has one for all."""
    if not layer.sequence:
        return [-1]
    if id(layer) in layers_below(network, root):
        return [int(node) for node in np.flatnonzero(tree.given)]
    return list(range(len(tree)))


def _copy(layer: Layer, node: int, is_last: bool) -> Layer:
    made = copied_layer(layer)
    made.name = layer.name if is_last or node < 0 else f"{layer.name}@{node}"
    if not (is_last or node < 0):
        made.parameters = {}
    return made


def copied_layer(layer: Layer) -> Layer:
    """Return a layer outside of time with the same nodes and parameters, that nothing feeds yet."""
    made = Layer(
        layer.shape,
        kind=layer.kind,
        name=layer.name,
        activation=layer.function or layer.activation,
        aggregation=layer.aggregation,
        role=layer.role,
    )
    made.parameters = dict(layer.parameters)
    made.config = {key: value for key, value in layer.config.items() if key != "trees"}
    return made


def copied_bundle(bundle: Bundle, source: Layer, target: Layer) -> Bundle:
    """Return a bundle with the same pattern and parameter between other layers of those shapes."""
    made = copy.copy(bundle)
    made.source, made.target, made.delay = source, target, 0
    made._handles = WeakValueDictionary()
    target.incoming.append(made)
    return made


def _join(bundle: Bundle, node: int, copies: Copies, tree: Tree) -> None:
    target = copies[id(bundle.target), node]
    if isinstance(bundle, TreeConnections):
        for other in bundle.sources_of(tree, node):
            source = copies.get((id(bundle.source), other))
            if source is not None:
                OneToOneConnections(source, target, target_start=(bundle.start,))
        return
    if isinstance(bundle, BridgeConnections) or bundle.delay:
        raise GraphError(
            f"{bundle.label}: it goes through time, but in a network along trees there is none"
        )
    source = copies.get((id(bundle.source), node if bundle.source.sequence else -1))
    if source is not None:
        copied_bundle(bundle, source, target)


def _drop_zeros(copies: list[Layer]) -> None:
    """Take out what nothing feeds, such as the sum of a leaf's children, where it adds nothing."""
    readers: dict[int, list[Bundle]] = {}
    for layer in copies:
        for bundle in layer.incoming:
            readers.setdefault(id(bundle.source), []).append(bundle)
    unfed = [layer for layer in copies if layer.role == "units" and not layer.incoming]
    while unfed:
        layer = unfed.pop()
        bundles = readers.get(id(layer), [])
        adds = all(bundle.target.aggregation == "sum" for bundle in bundles)
        if layer.function is None and layer.activation.function(0.0) == 0.0 and adds:
            for bundle in bundles:
                bundle.target.incoming.remove(bundle)
                if not bundle.target.incoming:
                    unfed.append(bundle.target)


def _ends(ports: Sequence[Port], copies: Mapping[tuple[int, int], Layer]) -> list[Layer]:
    return [
        layer for port in ports for (owner, _), layer in copies.items() if owner == id(port.layer)
    ]


def share_parameters(network: Network, other: Network) -> None:
    """Let a network made of another's parameters see its changes, and leave it their names."""
    other.version = network.version
    for name, parameter in network.parameters.items():
        parameter.name, parameter.version = name, network.version
