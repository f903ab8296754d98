"""Copies of networks in memory: what saving and loading would give back, without a file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from neurograph.errors import GraphError
from neurograph.graph.connection import Connection
from neurograph.graph.layer import Layer
from neurograph.graph.network import Network
from neurograph.graph.node import Node
from neurograph.graph.states import put_states, states_of
from neurograph.storage.rebuild import network_of
from neurograph.storage.structure import structure_of
from neurograph.storage.weights import named_parameters

Recipe = tuple[Callable[..., Any], tuple[Any, ...]]


def recipe_of_network(network: Network) -> Recipe:
    """Return a function and its arguments that make an equal network: for ``copy`` and ``pickle``.

    >>> make, arguments = recipe_of_network(Network([2, 3, 1]))
    >>> print(make(*arguments))
    network: 2 -> 1, 2 layers with weights, 13 connections, 13 parameters
    """
    arrays: dict[str, Any] = {}
    structure = structure_of(network, arrays)
    weights = {name: each.value.copy() for name, each in named_parameters(network).items()}
    return _network, (structure, weights, arrays, states_of(network))


def recipe_of_layer(layer: Layer) -> Recipe:
    """Return how to find a layer in the copy of its network."""
    assert layer.network is not None
    return _layer, (layer.network, layer.network.all_layers.index(layer))


def recipe_of_node(node: Node) -> Recipe:
    """Return how to find a node in the copy of its network."""
    return _node, (node.layer, node.index)


def recipe_of_connection(connection: Connection) -> Recipe:
    """Return how to find a connection in the copy of its network."""
    node = connection.downstream_node
    places = [k for k, each in enumerate(node.upstream) if each is connection]
    if not places:
        raise GraphError(f"{connection.label}: it was removed from its network, so has no copy")
    return _connection, (node, places[0])


def _network(
    structure: dict[str, Any],
    weights: dict[str, Any],
    arrays: dict[str, Any],
    states: dict[str, Any],
) -> Network:
    network = network_of(structure, weights, arrays)
    put_states(network, states)
    return network


def _layer(network: Network, number: int) -> Layer:
    return network.all_layers[number]


def _node(layer: Layer, index: int) -> Node:
    return layer.own_node(index)


def _connection(node: Node, number: int) -> Connection:
    return node.upstream[number]
