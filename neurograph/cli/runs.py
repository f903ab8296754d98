"""The folder of a run: the model, its history and curves, and the settings it was made with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from neurograph.errors import FormatError, MissingDependencyError
from neurograph.storage.atomic import atomic_write
from neurograph.train.history import History

MODEL_FILE = "model.safetensors"
SETTINGS_FILE = "settings.json"


@dataclass(frozen=True, slots=True)
class Settings:
    """What a training on the command line was told.

    Attributes
    ----------
    network, data : str
        The SPEC and the name of the data set.
    data_folder : str or None
        Where the files of the data set lie.
    epochs, batch_size : int
    optimizer, loss : str
        ``loss`` is empty where the network and the data decided.
    learning_rate : float or None
    validation_split : float
    seed : int
    class_names : tuple of str
    scaler : mapping or None
        What was done to tables and series, see ``Scaler.to_dict``.
    """

    network: str
    data: str
    data_folder: str | None = None
    epochs: int = 5
    batch_size: int = 32
    optimizer: str = "rmsprop"
    learning_rate: float | None = None
    loss: str = ""
    validation_split: float = 0.0
    seed: int = 0
    class_names: tuple[str, ...] = ()
    scaler: Mapping[str, Any] | None = None

    def write(self, folder: Path) -> None:
        """Write the settings into the folder of a run."""
        with atomic_write(folder / SETTINGS_FILE) as file:
            file.write((json.dumps(asdict(self), indent=2) + "\n").encode())


def read_settings(spec: str | Path) -> Settings | None:
    """Return the settings beside a model, None where there are none.

    Parameters
    ----------
    spec : str or path
        The folder of a run, or a file in it.

    Raises
    ------
    FormatError
        They cannot be read.
    """
    place = Path(spec)
    path = (place if place.is_dir() else place.parent) / SETTINGS_FILE
    if not place.exists() or not path.exists():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        known = {each.name for each in fields(Settings)}
        settings = Settings(**{key: value for key, value in found.items() if key in known})
        names = tuple(str(each) for each in settings.class_names)
        return Settings(**{**asdict(settings), "class_names": names})
    except (ValueError, TypeError, AttributeError) as error:
        raise FormatError(f"{path}: these are no settings of a run: {error}") from error


def free_folder(name: str) -> Path:
    """Return a folder that is not there yet: ``runs/NAME``, ``runs/NAME-2`` and so on."""
    folder, number = Path("runs", name), 1
    while folder.exists():
        number += 1
        folder = Path("runs", f"{name}-{number}")
    return folder


def write_history(history: History, folder: Path) -> list[str]:
    """Write table and curves; return a sentence for what could not be drawn."""
    history.to_csv(folder / "history.csv")
    if not history.rows:
        return []
    try:
        history.plot(folder / "curves.svg")
    except MissingDependencyError as error:
        return [f"no curves were drawn: {error}"]
    return []
