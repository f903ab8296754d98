"""Genomes of neat-python as networks: the same numbers, and then everything a network can do.

NEAT's functions have slopes and limits of their own (its sigmoid is 1 / (1 + exp(-5 z))). They are
registered here under their names with ``neat_`` before them; import this module before loading a
saved network that has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from neurograph.errors import GraphError, unknown
from neurograph.functions import ACTIVATIONS, Activation, get_activation, register_activation
from neurograph.graph.connection import Connection
from neurograph.graph.network import Network
from neurograph.graph.node import ConstNode, InputNode, Node

LEAK = 0.005
LEAST = 1e-7  # the logarithm's smallest argument


def _limited(net: Any, limit: float = 60.0) -> Any:
    return np.clip(net, -limit, limit)


def _sigmoid(net: Any) -> Any:
    return 0.5 * (1.0 + np.tanh(0.5 * _limited(5.0 * net)))


def _inside(net: Any, limit: float) -> Any:
    return np.where(np.abs(net) < limit, 1.0, 0.0)


_ROWS: dict[str, tuple[Any, Any, tuple[float, ...]]] = {
    "sigmoid": (_sigmoid, lambda net, y: 5.0 * y * (1.0 - y) * _inside(net, 12.0), ()),
    "tanh": (
        lambda net: np.tanh(_limited(2.5 * net)),
        lambda net, y: 2.5 * (1.0 - y * y) * _inside(net, 24.0),
        (),
    ),
    "sin": (
        lambda net: np.sin(_limited(5.0 * net)),
        lambda net, _: 5.0 * np.cos(5.0 * net) * _inside(net, 12.0),
        (-12.0, 12.0),
    ),
    "gauss": (
        lambda net: np.exp(-5.0 * _limited(net, 3.4) ** 2),
        lambda net, y: -10.0 * net * y * _inside(net, 3.4),
        (),
    ),
    "lelu": (
        lambda net: np.where(net > 0, net, LEAK * net),
        lambda net, _: np.where(net > 0, 1.0, LEAK),
        (0.0,),
    ),
    "softplus": (
        lambda net: 0.2 * np.logaddexp(0.0, _limited(5.0 * net)),
        lambda net, _: _sigmoid(net) * _inside(net, 12.0),
        (-12.0, 12.0),
    ),
    "clamped": (lambda net: _limited(net, 1.0), lambda net, _: _inside(net, 1.0), (-1.0, 1.0)),
    "inv": (
        lambda net: np.where(net == 0, 0.0, 1.0 / np.where(net == 0, 1.0, net)),
        lambda _, y: -y * y,
        (0.0,),
    ),
    "log": (
        lambda net: np.log(np.maximum(net, LEAST)),
        lambda net, _: np.where(net > LEAST, 1.0 / np.maximum(net, LEAST), 0.0),
        (LEAST,),
    ),
    "exp": (lambda net: np.exp(_limited(net)), lambda net, y: y * _inside(net, 60.0), ()),
    "abs": (np.abs, lambda net, _: np.sign(net), (0.0,)),
    "hat": (
        lambda net: np.maximum(0.0, 1.0 - np.abs(net)),
        lambda net, _: -np.sign(net) * _inside(net, 1.0),
        (-1.0, 0.0, 1.0),
    ),
    "square": (lambda net: net * net, lambda net, _: 2.0 * net, ()),
    "cube": (lambda net: net**3, lambda net, _: 3.0 * net * net, ()),
}
_AS_OURS = ("identity", "relu", "elu", "selu")
_AGGREGATIONS = ("sum", "product", "mean", "max", "min")

for _name, (_function, _derivative, _kinks) in _ROWS.items():
    if f"neat_{_name}" not in ACTIVATIONS:
        register_activation(
            f"neat_{_name}", _function, _derivative, kinks=_kinks, notes=f"neat-python's {_name}"
        )


def from_neat(
    genome: Any,
    config: Any,
    *,
    recurrent: bool | None = None,
    names: Mapping[int, str] | None = None,
    name: str = "neat",
) -> Network:
    """Return the network of a neat-python 2 genome.

    It calculates what ``neat.nn.FeedForwardNetwork`` or ``RecurrentNetwork`` does; in the recurrent
    kind every connection from a node (not from an input) carries the step before. A node's response
    multiplies its incoming weights; nodes that take a product, mean, maximum or minimum become two:
    ``"7/product"`` aggregates, ``"7"`` adds the bias and is activated.

    Parameters
    ----------
    genome : neat.DefaultGenome
    config : neat.Config
    recurrent : bool, optional
        By default as the configuration says (``feed_forward``).
    names : mapping of key to name, optional
        Nodes not named are called by their keys: inputs ``"-1"``, ``"-2"``, …, outputs ``"0"``, ….
    name : str

    Raises
    ------
    GraphError
        The genome or configuration is not one of neat-python, or a node has an aggregation that no
        node here has (median, maxabs).
    UnknownNameError
        An activation of your own is not registered: call ``ng.register_activation`` first.
    """
    try:
        settings = config.genome_config
        inputs, outputs = list(settings.input_keys), list(settings.output_keys)
        genes = {key: gene for key, gene in genome.connections.items() if gene.enabled}
        looping = not settings.feed_forward if recurrent is None else recurrent
        kept = _needed(inputs, outputs, genome.connections if looping else genes)
        return _Phenotype(genome, genes, looping, dict(names or {})).build(
            inputs, outputs, [key for key in genome.nodes if key in kept], name
        )
    except AttributeError as error:
        raise GraphError(
            f"from_neat: {type(genome).__name__} and {type(config).__name__} are not a genome and "
            f"a configuration of neat-python 2 ({error})"
        ) from error


def _needed(inputs: list[int], outputs: list[int], connections: Any) -> set[int]:
    """Return the nodes from which an output can be reached."""
    upstream: dict[int, list[int]] = {}
    for up, down in connections:
        upstream.setdefault(down, []).append(up)
    found, waiting = set(outputs), list(outputs)
    while waiting:
        for up in upstream.get(waiting.pop(), ()):
            if up not in found and up not in inputs:
                found.add(up)
                waiting.append(up)
    return found


class _Phenotype:
    """The nodes and connections made of one genome."""

    def __init__(
        self, genome: Any, genes: Mapping[Any, Any], looping: bool, names: dict[int, str]
    ) -> None:
        self.genome, self.genes, self.looping, self.names = genome, genes, looping, names
        self.const = ConstNode("bias")
        self.inputs: dict[int, Node] = {}
        self.nodes: dict[int, Node] = {}
        self.inner: list[Node] = []

    def build(self, inputs: list[int], outputs: list[int], kept: list[int], name: str) -> Network:
        """Return the network."""
        for key in inputs:
            self.inputs[key] = InputNode(self.name(key))
        for key in kept:
            gene = self.genome.nodes[key]
            self.nodes[key] = Node(_activation(gene), name=self.name(key))
        for key in kept:
            self.wire(key)
        constants = [self.const] if self.const.downstream else []
        network = Network.assembled(
            name,
            [],
            [*self.inputs.values(), *constants, *self.inner, *self.nodes.values()],
            wired=[],
            weights=None,
            inputs=list(self.inputs.values()),
            outputs=[self.nodes[key] for key in outputs],
        )
        network.handmade.group.sequence = self.looping  # though no connection may be late
        return network

    def name(self, key: int) -> str:
        """Return how a node is called."""
        return self.names.get(key, str(key))

    def wire(self, key: int) -> None:
        """Make the connections into a node."""
        gene, node = self.genome.nodes[key], self.nodes[key]
        if gene.aggregation not in _AGGREGATIONS:
            raise GraphError(
                f"from_neat: node {key} takes the {gene.aggregation} of its inputs, which no node "
                f"of a network does; possible: {', '.join(_AGGREGATIONS)}"
            )
        links = [
            (up, each.weight)
            for (up, down), each in self.genes.items()
            if down == key and (up in self.inputs or up in self.nodes)
        ]
        if self.looping and not links:  # neat-python never evaluates it: its output stays 0
            node.activation = get_activation("identity")
            return
        if gene.bias:
            Connection(self.const, node, gene.bias)
        if gene.aggregation == "sum" or not links:
            if gene.aggregation == "product":  # an empty product is 1
                Connection(self.const, node, gene.response)
            for up, weight in links:
                self.connect(up, node, weight * gene.response)
            return
        sign = -1.0 if gene.aggregation == "min" else 1.0
        taking = "max" if gene.aggregation == "min" else gene.aggregation
        inner = Node("identity", taking, name=f"{self.name(key)}/{gene.aggregation}")
        self.inner.append(inner)
        for up, weight in links:
            self.connect(up, inner, sign * weight)
        Connection(inner, node, sign * gene.response)

    def connect(self, up: int, node: Node, weight: float) -> None:
        """Make one connection; from another node it is late by a step in a recurrent network."""
        if up in self.inputs:
            Connection(self.inputs[up], node, weight)
        else:
            Connection(self.nodes[up], node, weight, delay=int(self.looping))


def _activation(gene: Any) -> Activation:
    name = gene.activation
    if name in _AS_OURS:
        return get_activation(name)
    row = ACTIVATIONS.get(f"neat_{name}") or ACTIVATIONS.get(name)
    if row is None:
        raise unknown(
            "activation of NEAT (ng.register_activation can add it)",
            name,
            [*_AS_OURS, *_ROWS],
        )
    return row
