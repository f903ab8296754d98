"""``neurograph train``: train a network on a data set, into a folder of its own."""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from neurograph.cli.data import add_data, fitted, loaded_data, loss_for, metrics_for
from neurograph.cli.evaluate import show_scores
from neurograph.cli.networks import add_network, loaded, network_of
from neurograph.cli.runs import (
    MODEL_FILE,
    SETTINGS_FILE,
    Settings,
    free_folder,
    read_settings,
    write_history,
)
from neurograph.datasets import Dataset
from neurograph.errors import OptionError
from neurograph.options import number, whole
from neurograph.train.checkpoint import ModelCheckpoint
from neurograph.train.history import History
from neurograph.train.model import Model
from neurograph.train.optimizers import get_optimizer
from neurograph.train.restore import resume

CHOSEN = ("epochs", "batch_size", "optimizer", "learning_rate", "loss", "validation_split", "seed")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_network(parser, optional=True)
    add_data(parser, "what to train on")
    add = parser.add_argument
    add("--epochs", type=int, metavar="N", help="rounds through the data (5)")
    add("--batch-size", type=int, metavar="N", help="samples of one step (32)")
    add("--optimizer", metavar="NAME", help="such as adam or 'sgd(0.1, momentum=0.9)' (rmsprop)")
    add("--learning-rate", type=float, metavar="RATE", help="of the optimizer")
    add("--loss", metavar="NAME", help="left out, it goes by data and network")
    add("--validation-split", type=float, metavar="PART", help="validate on a part of the training")
    add("--seed", type=int, metavar="N", help="of weights and shuffling (0)")
    add("--out", metavar="DIR", help="the folder of the run (runs/NETWORK-DATA)")
    add("--resume", action="store_true", help="go on with the run in --out")
    add("--quiet", action="store_true", help="no line for every epoch")


def run(arguments: argparse.Namespace) -> int:
    """Train, save, and evaluate; 1 if the loss did not stay finite."""
    folder, settings, begun = _run_folder(arguments)
    whole("--epochs", settings.epochs)
    whole("--batch-size", settings.batch_size, least=1)
    whole("--seed", settings.seed)
    number("--validation-split", settings.validation_split, least=0, below=1)
    raw = loaded_data(settings.data, settings.data_folder)
    model = _resumed(folder, settings) if begun else _fresh(settings, raw)
    data = fitted(raw, model.network)
    folder.mkdir(parents=True, exist_ok=True)
    scaler = None if raw.scaler is None else raw.scaler.to_dict()
    replace(settings, class_names=raw.class_names, scaler=scaler).write(folder)
    history = _trained(model, data, settings, folder, arguments.quiet, begun)
    remarks = write_history(history, folder)
    model.save(folder / MODEL_FILE)
    print(f"\non the {len(data.x_test):,} samples held out:")
    show_scores(model, data.x_test, data.y_test, settings.batch_size)
    print(f"the run is in {folder}")
    for each in remarks:
        print(each)
    if history.stopped:
        print(f"{history.stopped}; to go on: neurograph train --resume --out {folder}")
    return 0 if not history.rows or math.isfinite(history.rows[-1]["loss"]) else 1


def _run_folder(arguments: argparse.Namespace) -> tuple[Path, Settings, bool]:
    """Return the folder, the settings, and whether a model is there to go on with."""
    given = {name: getattr(arguments, name) for name in CHOSEN}
    given = {name: value for name, value in given.items() if value is not None}
    if arguments.resume:
        return _to_go_on(arguments, given)
    if arguments.network is None or arguments.data is None:
        raise OptionError("say what to train on what: neurograph train SPEC --data NAME")
    settings = Settings(arguments.network, arguments.data, arguments.data_folder, **given)
    if arguments.out is None:
        name = f"{Path(arguments.network.split(':')[0]).stem}-{arguments.data}"
        return free_folder(name), settings, False
    folder = Path(arguments.out)
    if (folder / SETTINGS_FILE).exists():
        raise OptionError(f"there is a run in {folder}: add --resume, or choose another --out")
    return folder, settings, False


def _to_go_on(arguments: argparse.Namespace, given: dict[str, Any]) -> tuple[Path, Settings, bool]:
    if arguments.out is None:
        raise OptionError("--resume goes on with the run in a folder: add --out DIR")
    folder = Path(arguments.out)
    settings = read_settings(folder)
    if settings is None:
        raise OptionError(f"there is no run in {folder} to go on with")
    named = {"network": arguments.network, "data": arguments.data, **given}
    epochs = named.pop("epochs", settings.epochs)
    for name, value in named.items():
        if value is not None and value != getattr(settings, name):
            raise OptionError(
                f"the run in {folder} has {name} {getattr(settings, name)!r}, not {value!r}: only "
                f"the number of epochs can be changed"
            )
    if arguments.data_folder is not None:
        settings = replace(settings, data_folder=arguments.data_folder)
    return folder, replace(settings, epochs=epochs), (folder / MODEL_FILE).exists()


def _fresh(settings: Settings, data: Dataset) -> Model:
    optimizer = get_optimizer(settings.optimizer)
    if settings.learning_rate is not None:
        optimizer = get_optimizer(optimizer.to_config() | {"learning_rate": settings.learning_rate})
    network = network_of(settings.network, data, settings.seed)
    loss = settings.loss or loss_for(data, network)
    return Model(network, optimizer, loss, metrics_for(data), seed=settings.seed)


def _resumed(folder: Path, settings: Settings) -> Model:
    if ".py:" in settings.network:
        loaded(settings.network)  # registers the functions that the file defines
    return resume(folder / MODEL_FILE)


def _trained(
    model: Model, data: Dataset, settings: Settings, folder: Path, quiet: bool, begun: bool
) -> History:
    if not quiet:
        print(f"{model.network}")
        print(f"{data.name}: {len(data.x_train):,} samples, {model.optimizer.name}, {folder}\n")
    split = settings.validation_split
    return model.fit(
        data.x_train,
        data.y_train,
        batch_size=settings.batch_size,
        epochs=settings.epochs,
        validation_split=split,
        validation_data=None if split else data.test,
        callbacks=[ModelCheckpoint(folder / MODEL_FILE)],
        verbose=0 if quiet else 1,
        resume=begun,
    )
