"""Networks named on the command line: a zoo name, a saved network, a run, ``file.py:function``."""

from __future__ import annotations

import argparse
import math
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import neurograph as ng
from neurograph import zoo
from neurograph.cli.runs import MODEL_FILE
from neurograph.datasets import Dataset
from neurograph.errors import FormatError, NeurographError, StorageError, unknown
from neurograph.graph.network import Network
from neurograph.storage.loading import load
from neurograph.train.model import Model

READERS: dict[str, Callable[[str], Any]] = {
    ".safetensors": load,
    ".json": lambda path: ng.from_json(Path(path)),
    ".onnx": lambda path: ng.from_onnx(path),  # imported when it is needed
    ".graphml": lambda path: ng.from_graphml(path),
}
FLAT = ("people", "mlp", "fashion_mlp")  # of the zoo: they take vectors


def add_network(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """Add the argument that names a network."""
    parser.add_argument(
        "network",
        metavar="SPEC",
        nargs="?" if optional else None,
        help="a zoo name, a saved network or model (.safetensors, .json, .onnx, .graphml), the "
        "folder of a run, or file.py:function",
    )


def loaded(spec: str, data: Dataset | None = None, seed: int | None = None) -> Any:
    """Return what a SPEC names: a Network, or a Model if a model was saved.

    Parameters
    ----------
    spec : str
    data : Dataset, optional
        Networks of the zoo are built for its samples and classes.
    seed : int, optional
        For the weights of networks of the zoo.

    Raises
    ------
    UnknownNameError, FormatError, StorageError
        If it names nothing, or what it names is no network.
    """
    path, _, function = spec.rpartition(":")
    if path.endswith(".py"):
        return _called(path, function)
    if spec.endswith(".py"):
        raise FormatError(f"{spec}: name the function in it that returns a network, {spec}:NAME")
    if Path(spec).is_dir():
        file = Path(spec, MODEL_FILE)
        if not file.exists():
            raise StorageError(f"{spec}: there is no {MODEL_FILE} in this folder")
        return load(file)
    ending = Path(spec).suffix.lower()
    if Path(spec).exists():
        if ending in (".txt", ".npz", ".csv"):
            raise FormatError(
                f"{spec}: a file that ends in {ending} holds no whole network; give one that ends "
                f"in {', '.join(READERS)}, or file.py:function"
            )
        return READERS.get(ending, load)(spec)
    if spec in zoo.NAMES:
        return zoo.get(spec)(**_options(spec, data), seed=seed)
    if "/" in spec or ending in READERS:
        raise StorageError(f"{spec}: there is no such file or folder")
    raise unknown("file, folder or network of the zoo", spec, zoo.NAMES)


def warn_if_new(spec: str) -> None:
    """Say that a network of the zoo knows nothing yet."""
    if spec in zoo.NAMES and not Path(spec).exists():
        print(f"{spec} is new, with random weights: train it first (neurograph train {spec} …)")


def network_of(spec: str, data: Dataset | None = None, seed: int | None = None) -> Network:
    """Return the network that a SPEC names."""
    return network_in(loaded(spec, data, seed), spec)


def network_in(found: Any, spec: str) -> Network:
    """Return the network that was loaded for a SPEC, or the one of a model."""
    network = found if isinstance(found, Network) else getattr(found, "network", None)
    if not isinstance(network, Network):
        raise FormatError(f"{spec}: it gave {type(found).__name__}, expected a network")
    return network


def model_of(spec: str) -> Model:
    """Return the model that a SPEC names; a network alone is compiled."""
    found = loaded(spec)
    return found if isinstance(found, Model) else Model(network_in(found, spec))


def _options(name: str, data: Dataset | None) -> dict[str, Any]:
    if data is None:
        return {}
    shape: tuple[int, ...] = data.x_train.shape[1:]
    if name in FLAT:
        shape = (math.prod(shape),)
    elif data.kind == "pictures" and len(shape) == 2:
        shape = (*shape, 1)
    classes = {"classes": len(data.class_names)} if data.class_names else {}
    return {"input_shape": shape, **classes}


def _called(path: str, name: str) -> Any:
    if not Path(path).exists():
        raise FormatError(f"{path}: there is no such file")
    names = _tried(path, lambda: runpy.run_path(path))
    function: Callable[[], Any] | None = names.get(name)
    if not callable(function):
        made = [key for key, value in names.items() if callable(value) and key[0] != "_"]
        raise unknown(f"function in {path}", name, made)
    return _tried(f"{path}:{name}", function)


def _tried(what: str, function: Callable[[], Any]) -> Any:
    """Return what a function of the user's gives; if it raises, say so in one sentence."""
    try:
        return function()
    except NeurographError:
        raise
    except Exception as error:
        raised = " ".join(f"{type(error).__name__}: {error}".split())
        raise FormatError(f"{what} raised {raised}; --debug shows where") from error
