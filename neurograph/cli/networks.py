"""Networks named on the command line: a zoo name, a saved network, or ``file.py:function``."""

from __future__ import annotations

import argparse
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

from neurograph import zoo
from neurograph.errors import FormatError, unknown
from neurograph.graph.network import Network
from neurograph.storage.file import load


def add_network(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names a network."""
    parser.add_argument(
        "network", metavar="SPEC", help="a zoo name, a saved network, or file.py:function"
    )


def loaded(spec: str) -> Any:
    """Return what a SPEC names: a Network, or a Model if a model was saved.

    Raises
    ------
    UnknownNameError, FormatError
        If it names nothing, or what it names is no network.
    """
    path, _, function = spec.partition(":")
    if function and path.endswith(".py"):
        return _called(path, function)
    if Path(spec).exists():
        return load(spec)
    if spec in zoo.NAMES:
        return zoo.get(spec)()
    raise unknown("network", spec, zoo.NAMES)


def network_of(spec: str) -> Network:
    """Return the network that a SPEC names."""
    found = loaded(spec)
    network = found if isinstance(found, Network) else getattr(found, "network", None)
    if not isinstance(network, Network):
        raise FormatError(f"{spec}: it gave {type(found).__name__}, expected a network")
    return network


def _called(path: str, name: str) -> Any:
    if not Path(path).exists():
        raise FormatError(f"{path}: there is no such file")
    names = runpy.run_path(path)
    function: Callable[[], Any] | None = names.get(name)
    if not callable(function):
        made = [key for key, value in names.items() if callable(value) and key[0] != "_"]
        raise unknown(f"function in {path}", name, made)
    return function()
