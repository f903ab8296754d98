"""Data sets on the command line: loaded, scaled and put into the form that a network takes."""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from typing import Any

from neurograph import datasets
from neurograph.cli.runs import Settings
from neurograph.datasets import Dataset, Part
from neurograph.errors import DataError, OptionError, ShapeError
from neurograph.graph.network import Network


def add_data(parser: argparse.ArgumentParser, why: str = "the data set") -> None:
    """Add the arguments that name a data set."""
    parser.add_argument("--data", metavar="NAME", help=f"{why}; see neurograph datasets")
    parser.add_argument("--data-folder", metavar="DIR", help="where its files lie")


def loaded_data(name: str, folder: str | None = None) -> Dataset:
    """Return a data set by its name, its numbers scaled to 0..1.

    Raises
    ------
    UnknownNameError, DataError, OptionError
        There is no such data set, it cannot be had, or it is text.
    """
    data = datasets.load(name, folder)
    if data.kind == "text":
        raise OptionError(
            f"the data set {name!r} is text: it has to be encoded first, train on it in Python"
        )
    return data.scaled()


def data_of(arguments: argparse.Namespace, settings: Settings | None) -> Dataset | None:
    """Return the data set that the command line names, or that a run was trained on."""
    if arguments.data is not None:
        return loaded_data(arguments.data, arguments.data_folder)
    if settings is None:
        return None
    return loaded_data(settings.data, arguments.data_folder or settings.data_folder)


def needed(data: Dataset | None, spec: str) -> Dataset:
    """Return the data set, or say how to name one."""
    if data is None:
        raise OptionError(f"{spec} does not say what it was trained on: add --data NAME")
    return data


def fitted(data: Dataset, network: Network) -> Dataset:
    """Return a data set whose samples and targets have the shapes that a network takes.

    Raises
    ------
    ShapeError, DataError
        They do not fit.
    """
    if len(network.inputs) != 1 or len(network.outputs) != 1:
        raise DataError(
            f"network {network.name!r} has {len(network.inputs)} inputs and "
            f"{len(network.outputs)} outputs: data sets are for one of each"
        )
    source, output = network.inputs[0], network.outputs[0]
    sample = data.x_train.shape[1:]
    wanted = (sample[0], *source.shape) if source.layer.sequence else source.shape
    if math.prod(sample) != math.prod(wanted):
        raise ShapeError(
            f"the data set {data.name!r} has samples of shape {sample}, network {network.name!r} "
            f"takes {wanted}"
        )
    parts = [Part(part.x.reshape(-1, *wanted), _targets(data, part.y, output)) for part in data]
    return replace(data, train=parts[0], test=parts[1])


def _targets(data: Dataset, y: Any, output: Any) -> Any:
    size, classes = math.prod(output.shape), len(data.class_names)
    if not classes:
        if size != math.prod(y.shape[1:]):
            raise ShapeError(
                f"the data set {data.name!r} has targets of shape {y.shape[1:]}, the network's "
                f"output is {output.shape}: give one that fits as file.py:function"
            )
        return y.reshape(-1, *output.shape)
    if size == 1 and classes == 2:
        return y.reshape(-1, *output.shape).astype("float32")
    if size != classes:
        raise ShapeError(
            f"the data set {data.name!r} has {classes} classes, the network has {size} outputs"
        )
    return datasets.to_categorical(y, classes)


def loss_for(data: Dataset, network: Network) -> str:
    """Return the loss that fits a data set and what the network puts out."""
    if not data.class_names:
        return "mse"
    activation = network.outputs[0].layer.activation_name
    if activation == "softmax":
        return "categorical_crossentropy"
    return "binary_crossentropy" if activation == "sigmoid" else "mse"


def metrics_for(data: Dataset) -> list[str]:
    """Return the metrics that people look at for such data."""
    return ["accuracy"] if data.class_names else ["mae"]
