"""``neurograph export``: write a network in another format."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from neurograph.cli.networks import add_network, network_of
from neurograph.errors import unknown
from neurograph.graph.network import Network
from neurograph.interop.tables import to_edges, to_graphml
from neurograph.storage.onnx_export import export_onnx


def _script(network: Network, path: str) -> None:
    network.compile().export(path)


FORMATS: dict[str, tuple[str, Callable[[Network, str], object]]] = {
    ".safetensors": ("structure and weights, for ng.load", Network.save),
    ".json": ("structure and weights as text, for ng.from_json", Network.to_json),
    ".txt": ("weights as readable text", Network.to_text),
    ".npz": ("weights, for numpy.load", Network.save_npz),
    ".graphml": ("every node and connection, for graph programs", to_graphml),
    ".csv": ("every connection, a row each", to_edges),
    ".onnx": ("a feed-forward network for onnxruntime and others", export_onnx),
    ".py": (
        "prediction as a script that needs NumPy alone; large weights are in a .npz beside it",
        _script,
    ),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_network(parser)
    kinds = "; ".join(f"{ending} {what}" for ending, (what, _) in FORMATS.items())
    parser.add_argument("path", metavar="FILE", help=kinds)


def run(arguments: argparse.Namespace) -> int:
    """Write the file."""
    ending = Path(arguments.path).suffix.lower()
    if ending not in FORMATS:
        raise unknown("format", ending, FORMATS, of=repr(arguments.path))
    network = network_of(arguments.network)
    what, write = FORMATS[ending]
    write(network, arguments.path)
    print(f"{arguments.path}: {what}")
    return 0
