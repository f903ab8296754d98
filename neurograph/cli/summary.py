"""``neurograph summary``: the table of layers of a network."""

from __future__ import annotations

import argparse

from neurograph.cli.networks import add_network, network_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_network(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the table."""
    network_of(arguments.network).summary()
    return 0
