"""``neurograph explain``: what a network is compiled to, and why."""

from __future__ import annotations

import argparse

from neurograph.cli.networks import add_network, model_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_network(parser)
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--program", action="store_true", help="the typed operations instead")
    shown.add_argument("--source", action="store_true", help="the NumPy text that runs instead")


def run(arguments: argparse.Namespace) -> int:
    """Print the table of blocks, the program, or its source."""
    model = model_of(arguments.network)
    if arguments.program:
        print(model.program)
    elif arguments.source:
        print(model.source)
    else:
        print(model.explain())
    return 0
