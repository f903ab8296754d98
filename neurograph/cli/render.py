"""``neurograph render``: draw a network."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

from neurograph.cli.data import add_data, data_of, fitted
from neurograph.cli.networks import add_network, network_of
from neurograph.cli.runs import read_settings
from neurograph.errors import OptionError
from neurograph.render.options import SHOWN, VIEWS
from neurograph.train.model import Model

OPTIONS = ("numbers", "top", "threshold", "limit", "steps", "title")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_network(parser)
    parser.add_argument("path", metavar="FILE", help="ends in .svg, .png, .pdf or .dot")
    parser.add_argument("--view", default="auto", help=", ".join(VIEWS))
    parser.add_argument("--show", metavar="WHAT,…", help=", ".join(SHOWN))
    parser.add_argument(
        "--numbers", action="store_true", default=None, help="write the numbers of what is shown"
    )
    parser.add_argument("--top", type=int, metavar="N", help="only the N strongest connections")
    parser.add_argument("--threshold", type=float, metavar="W", help="only weights of at least W")
    parser.add_argument("--limit", type=int, metavar="N", help="at most N nodes of a layer (10)")
    parser.add_argument("--expand", metavar="NAME,…", help="layers to be opened, or all")
    parser.add_argument("--steps", type=int, metavar="N", help="steps of an unrolled picture")
    parser.add_argument("--title")
    add_data(parser, "run one of its samples, for outputs and deltas")
    parser.add_argument("--sample", type=int, metavar="N", help="the held-out sample to run")


def run(arguments: argparse.Namespace) -> int:
    """Draw, and say where."""
    given = {name: getattr(arguments, name) for name in OPTIONS}
    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    for name in ("show", "expand"):
        if getattr(arguments, name) is not None:
            options[name] = tuple(getattr(arguments, name).split(","))
    network = network_of(arguments.network)
    if arguments.sample is not None or arguments.data is not None:
        data = data_of(arguments, read_settings(arguments.network))
        number = arguments.sample or 0
        if data is None:
            raise OptionError("--sample is of a data set: add --data NAME")
        ready = fitted(data, network)
        if not 0 <= number < len(ready.x_test):
            raise OptionError(f"there is no sample {number}: {len(ready.x_test):,} are held out")
        part = slice(number, number + 1)
        Model(network).inspect(ready.x_test[part], ready.y_test[part])
    with warnings.catch_warnings(record=True) as remarks:
        warnings.simplefilter("always")
        network.render(arguments.path, arguments.view, **options)
    for each in remarks:
        print(each.message)
    if Path(arguments.path).exists() and not remarks:
        print(f"{network.name} is drawn in {arguments.path}")
    return 0
