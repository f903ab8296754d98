"""Naming: another name for a node or layer, in all that goes by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neurograph.errors import GraphError
from neurograph.options import text

if TYPE_CHECKING:
    from neurograph.graph.layer import Layer
    from neurograph.graph.node import Node


def free_node_name(node: Node, name: str) -> str:
    """Return a node's new name, under which its network finds it from now on."""
    name, layer = text(f"{node.label}: its name", name), node._layer
    if layer is not None and layer.role != "group":
        raise GraphError(
            f"{node.label}: a node of a library layer goes by its layer's name and its place; "
            f"set layer.name instead"
        )
    network = None if layer is None else layer.network
    if network is None or name == node.name:
        return name
    if not name:
        raise GraphError(f"{node.label}: a node of a network needs a name")
    if name in network._named:
        raise GraphError(
            f"node {node.label!r} cannot be called {name!r}: another node of network "
            f"{network.name!r} has that name"
        )
    del network._named[node.name]
    network._named[name] = node
    network.version.number += 1
    return name


def rename_layer(layer: Layer, name: str) -> None:
    """Give a layer another name, and those of its parts and parameters that begin with it."""
    old, name = layer.name, text(f"layer {layer.name or layer.kind!r}: its name", name)
    network = layer.network
    if name == old:
        return
    if network is not None and not name:
        raise GraphError(f"layer {old!r}: a layer of a network needs a name")
    new = {layer: name}
    if old:
        for part in layer._whole()[1:]:
            if part.name.startswith(f"{old}/"):
                new[part] = name + part.name[len(old) :]
    if network is not None:
        taken = {each.name for each in network.all_layers if each not in new}
        clash = next((each for each in new if new[each] in taken), None)
        if clash is not None:
            raise GraphError(
                f"layer {clash.name!r} cannot be called {new[clash]!r}: another layer of network "
                f"{network.name!r} has that name"
            )
    for each, its in new.items():
        each._name = its
    if network is not None:
        for key, parameter in network.parameters.items():
            parameter.name = key
        network.version.number += 1
