"""``neurograph check``: the gradients of a network, and its compiled form node by node."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from neurograph.check.gradients import gradient_check
from neurograph.check.parity import parity_check
from neurograph.cli.data import add_data, data_of, fitted, loss_for
from neurograph.cli.networks import add_network, network_of
from neurograph.cli.runs import read_settings
from neurograph.graph.network import Network
from neurograph.graph.tree_fit import fitted_tree, tree_layer
from neurograph.graph.trees import takes_trees
from neurograph.options import random_generator, whole

MOST = 2_000_000  # connections that are walked node by node
STEPS = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_network(parser)
    add_data(parser, "take samples from here; left out, random numbers")
    parser.add_argument("--batch", type=int, default=2, metavar="N", help="samples to run (2)")
    parser.add_argument("--samples", type=int, metavar="N", help="weights to check")
    parser.add_argument("--loss", metavar="NAME", help="left out, sse, or what fits the data")
    parser.add_argument("--seed", type=int, default=0, metavar="N")


def run(arguments: argparse.Namespace) -> int:
    """Print both reports; 1 if something is wrong."""
    batch = whole("--batch", arguments.batch, least=1)
    if arguments.samples is not None:
        whole("--samples", arguments.samples, least=1)
    settings = read_settings(arguments.network)
    raw = data_of(arguments, settings)
    network = network_of(arguments.network, raw, arguments.seed)
    if raw is None:
        loss = arguments.loss or "sse"
        x, y = random_data(network, batch, random_generator("--seed", arguments.seed))
    else:
        data = fitted(raw, network)
        loss = arguments.loss or loss_for(raw, network)
        x, y = data.x_test[:batch], data.y_test[:batch]
    gradients = gradient_check(network, x, y, loss, samples=arguments.samples, seed=arguments.seed)
    print(gradients)
    connections = len(network.connections)
    if connections > MOST:
        print(f"\nno parity check: {connections:,} connections are too many to walk one by one")
        return 0 if gradients.ok else 1
    parity = parity_check(network, x, y, loss)
    print(f"\n{parity}")
    return 0 if gradients.ok and parity.ok else 1


def random_data(network: Network, batch: int, rng: np.random.Generator) -> tuple[Any, Any]:
    """Return random inputs and targets for a network."""
    if takes_trees(network):
        return _random_trees(network, batch, rng)
    steps = (STEPS,) if any(port.layer.sequence for port in network.inputs) else ()
    found = []
    for ports in (network.inputs, network.outputs):
        arrays = []
        for port in ports:
            time = steps if port.layer.sequence else ()
            shape = (batch, *time, *port.shape)
            limit = port.layer.config.get("indices")  # of an embedding's rows
            arrays.append(rng.integers(limit, size=shape) if limit else rng.uniform(size=shape))
        found.append(arrays[0] if len(arrays) == 1 else arrays)
    return found[0], found[1]


def _random_trees(network: Network, batch: int, rng: np.random.Generator) -> tuple[Any, Any]:
    """Return trees of two levels, of the kind that a network reads, and targets."""
    inside, out, config = network.inputs[0], network.outputs[0], tree_layer(network).config
    limit = inside.layer.config.get("indices")

    def value() -> Any:
        return rng.integers(limit, size=inside.shape) if limit else rng.uniform(size=inside.shape)

    def tree() -> Any:
        if config["cell"] == "child_sum_tree_lstm":
            return (value(), [(value(), []), (value(), [(value(), [])])])
        leaves = config["children"] - 1
        return (tuple(value() for _ in range(leaves + 1)), *(value() for _ in range(leaves)))

    trees = [fitted_tree(network, tree()) for _ in range(batch)]
    if out.layer.sequence:
        return trees, [rng.uniform(size=(len(each), *out.shape)) for each in trees]
    return trees, rng.uniform(size=(batch, *out.shape))
