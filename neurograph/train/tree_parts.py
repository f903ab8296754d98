"""The parts of a network along trees: below the tree layer, the tree layer, and above it.

The two outer parts work node by node on many nodes at once, as an ordinary network works on a
batch; so each becomes a network of its own, with copies of the layers and the same parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from neurograph.errors import GraphError
from neurograph.graph.bundles import OneToOneConnections
from neurograph.graph.layer import Layer
from neurograph.graph.network import Network
from neurograph.graph.temporal import BridgeConnections
from neurograph.graph.tree_fit import layers_below, tree_layer
from neurograph.graph.tree_network import copied_bundle, copied_layer, share_parameters
from neurograph.graph.trees import TreeConnections


@dataclass(frozen=True, slots=True)
class TreeParts:
    """A network along trees taken apart.

    Attributes
    ----------
    below : Network or None
        From the values of nodes to the vectors that the tree layer reads; None if it reads the
        values themselves.
    source : Layer
        What the tree layer reads.
    layer : Layer
        The tree layer.
    above : Network
        From the tree layer's vectors to the outputs.
    at_nodes : bool
        Whether outputs are those of all nodes, not of the roots.
    copies : dict
        ``id`` of a layer of the network to its copy in one of the parts.
    """

    below: Network | None
    source: Layer
    layer: Layer
    above: Network
    at_nodes: bool
    copies: dict[int, Layer]

    @classmethod
    def of(cls, network: Network) -> TreeParts:
        """Take a network apart.

        Raises
        ------
        GraphError
            What is above the tree layer reads something else too, or goes through time.
        """
        root = tree_layer(network)
        own = [layer for layer in network.all_layers if layer.top is root]
        under = layers_below(network, root)
        source = next(
            bundle.source
            for layer in own
            for bundle in layer.incoming
            if id(bundle.source) in under
        )
        copies: dict[int, Layer] = {}
        below = None
        if source.role != "input":
            lower = [layer for layer in network.all_layers if id(layer) in under]
            _copy_all(lower, copies)
            below = Network(
                inputs=copies[id(network.inputs[0].layer)],
                outputs=copies[id(source)],
                name=f"{network.name}, below {root.name}",
            )
            share_parameters(network, below)
        left = under | {id(layer) for layer in own}
        upper = [layer for layer in network.all_layers if id(layer) not in left]
        above = _above(network, root, upper, copies)
        _check_apart(network, below, root, above)
        return cls(below, source, root, above, root.sequence, copies)


def _above(network: Network, root: Layer, upper: list[Layer], copies: dict[int, Layer]) -> Network:
    for layer in upper:
        if layer.role == "units" and layer.sequence != root.sequence:
            raise GraphError(
                f"layer {layer.name!r} does not work node by node, as what is above the tree layer "
                f"{root.name!r} has to"
            )
    start = Layer(root.shape, kind="input", name=root.name, role="input")
    known = copies | {id(root): start}
    _copy_all(upper, known, root)
    ends = []
    for port in network.outputs:
        end = known[id(port.layer)]
        if end is start:
            end = Layer(root.shape, kind="identity")
            OneToOneConnections(start, end)
        ends.append(end)
    copies |= known
    above = Network(inputs=start, outputs=ends, name=f"{network.name}, above {root.name}")
    share_parameters(network, above)
    return above


def _copy_all(layers: list[Layer], copies: dict[int, Layer], root: Layer | None = None) -> None:
    """Copy layers and the bundles between them."""
    for layer in layers:
        copies[id(layer)] = copied_layer(layer)
    inside = {id(layer) for layer in layers} | ({id(root)} if root is not None else set())
    for layer in layers:
        for bundle in layer.incoming:
            if id(bundle.source) not in inside:
                raise GraphError(
                    f"{bundle.label}: what is above a tree layer reads that layer alone"
                )
            if bundle.delay or isinstance(bundle, (BridgeConnections, TreeConnections)):
                raise GraphError(
                    f"{bundle.label}: it goes through time, but in a network along trees there is "
                    f"none"
                )
            copied_bundle(bundle, copies[id(bundle.source)], copies[id(layer)])
    for layer in layers:
        for name, part in layer.parts.items():
            if id(part) in copies:
                copies[id(layer)].parts[name] = copies[id(part)]
                copies[id(part)].root = copies[id(layer)]


def _check_apart(network: Network, below: Network | None, root: Layer, above: Network) -> None:
    groups: list[Any] = [root.parameters.values(), above.parameters.values()]
    groups += [] if below is None else [below.parameters.values()]
    seen: set[int] = set()
    for group in groups:
        again = next((each for each in group if id(each) in seen), None)
        if again is not None:
            raise GraphError(
                f"network {network.name!r}: parameter {again.name!r} is used below or in a tree "
                f"layer and above it too; compile the networks of single trees for that"
            )
        seen |= {id(each) for each in group}
