"""Clocks: which sequences of a network share their steps of time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neurograph.graph.layer import Layer

if TYPE_CHECKING:
    from neurograph.graph.network import Network


def clocks(network: Network) -> list[list[Layer]]:
    """Return the sequences of a network in groups: those joined by connections go together."""
    leader: dict[int, Layer] = {}

    def find(layer: Layer) -> Layer:
        while leader.setdefault(id(layer), layer) is not layer:
            layer = leader[id(layer)]
        return layer

    pairs = [(bundle.source, bundle.target) for bundle in network.bundles]
    pairs += [(layer.mask, layer) for layer in network.all_layers if layer.mask is not None]
    pairs += [
        (each.upstream_node.layer, each.downstream_node.layer)
        for node in network.handmade.anchors.values()
        for each in [*node._upstream, *node._downstream]
    ]
    for up, down in pairs:
        if up.sequence and down.sequence:
            leader[id(find(up))] = find(down)
    groups: dict[int, list[Layer]] = {}
    for layer in network.all_layers:
        if layer.sequence:
            groups.setdefault(id(find(layer)), []).append(layer)
    return list(groups.values())
