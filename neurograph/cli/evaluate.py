"""``neurograph evaluate``: loss and accuracy of a saved model on a data set."""

from __future__ import annotations

import argparse
from typing import Any

from neurograph.cli.data import add_data, data_of, fitted, loss_for, metrics_for, needed
from neurograph.cli.networks import add_network, loaded, network_in, warn_if_new
from neurograph.cli.runs import read_settings
from neurograph.train.model import Model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_network(parser)
    add_data(parser, "what to evaluate on; left out, what it was trained on")
    parser.add_argument("--part", choices=("test", "train"), default="test")
    parser.add_argument("--batch-size", type=int, default=256, metavar="N")


def run(arguments: argparse.Namespace) -> int:
    """Print loss and metrics."""
    spec = arguments.network
    raw = needed(data_of(arguments, read_settings(spec)), spec)
    found = loaded(spec, raw)
    if not isinstance(found, Model):
        network = network_in(found, spec)
        found = Model(network, loss=loss_for(raw, network), metrics=metrics_for(raw))
    data = fitted(raw, found.network)
    x, y = data.test if arguments.part == "test" else data.train
    print(f"{found.network.name} on the {len(x):,} samples of {data.name} ({arguments.part})")
    show_scores(found, x, y, arguments.batch_size)
    warn_if_new(spec)
    return 0


def show_scores(model: Model, x: Any, y: Any, batch_size: int) -> None:
    """Print the loss and the metrics of a model, one a line."""
    scores = model.evaluate(x, y, batch_size)
    values = scores if isinstance(scores, list) else [scores]
    width = max(map(len, model.score_names))
    for name, value in zip(model.score_names, values, strict=True):
        print(f"  {name.ljust(width)}  {value:.4f}")
