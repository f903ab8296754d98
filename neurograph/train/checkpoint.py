"""Checkpoints: a whole model in one file, so that a training can go on as if it never stopped."""

from __future__ import annotations

import json
import string
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurograph.errors import FormatError, OptionError, StorageError
from neurograph.graph.states import states_of
from neurograph.options import number, path_text, whole
from neurograph.parameter import Array
from neurograph.storage.atomic import StrPath
from neurograph.storage.file import save
from neurograph.storage.randomness import generator_state
from neurograph.train.callback import Callback, Logs
from neurograph.train.monitoring import Monitor

if TYPE_CHECKING:
    from neurograph.train.model import Model

SUFFIX = ".safetensors"


def save_model(model: Model, path: StrPath) -> None:
    """Save a model: see ``Model.save``."""
    model.refresh()
    section = {
        "dtype": model.dtype,
        "optimizer": model.optimizer.to_config(),
        "losses": [loss.to_config() for loss in model.losses],
        "loss_weights": list(model.loss_weights),
        "metrics": [
            {"name": each.name, "config": each.to_config(), "output": place}
            for each, place in zip(model.metrics, model.metric_outputs, strict=True)
        ],
        "passes": None if model.passes is None else list(model.passes),
        "threads": model.threads,
        "truncate": model.truncate,
        "step": model.update.step,
        "generator": generator_state(model.generator),
        "states": states_of(model.network),
        "history": None if model.history is None else model.history.to_config(),
        "training": None if model.session is None else model.session.get_state(),
    }
    save(path, model.network, optimizer_arrays(model), {"model": section})


def optimizer_arrays(model: Model) -> dict[str, Array]:
    """Return views of the optimizer's state: ``"optimizer/square_sum/dense/kernel"`` and so on."""
    arena = model.update.arena
    names = {id(parameter): name for name, parameter in model.network.parameters.items()}
    found = {}
    for parameter in arena.ordered:
        if parameter.trainable:
            start = arena.offsets[id(parameter)]
            for slot, state in model.update.state.items():
                own = state[start : start + parameter.size].reshape(parameter.shape)
                found[f"optimizer/{slot}/{names[id(parameter)]}"] = own
    return found


class ModelCheckpoint(Callback):
    """Save the model while it trains.

    The file holds everything: network, weights, optimizer, random generator, history, the place in
    the epoch and what the other callbacks count, so that ``fit(…, resume=path)`` after a crash ends
    with the same weights, bit for bit, as a training that was never stopped. It is there whole or
    not at all, whenever the process is killed.

    Parameters
    ----------
    filepath : str or path
        May name numbers of the epoch, which are filled in:
        ``"run/epoch-{epoch:03d}-{val_loss:.3f}.safetensors"`` (``epoch`` and ``batch`` count
        from 1).
    monitor : str
        The number that ``save_best_only`` goes by.
    verbose : int
        1 prints each file.
    save_best_only : bool
        Save only when `monitor` is better than ever before.
    save_weights_only : bool
        Save the network alone, as ``net.save`` does; training cannot go on from such a file.
    mode : {"auto", "min", "max"}
        Whether smaller or larger is better; auto goes by the name.
    save_freq : "epoch" or int
        Save after epochs, or whenever so many batches were trained on, also inside an epoch.
    initial_value_threshold : float, optional
        With `save_best_only`: what the first number must be better than.
    every : int
        With ``save_freq="epoch"``: save after every so many epochs.

    Raises
    ------
    OptionError
        An option is not possible, or `filepath` names a number that the logs will not have.
    StorageError
        A file cannot be written; the one before is whole, and the model can be used and saved.
    """

    runs_last = True

    def __init__(
        self,
        filepath: StrPath,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
        *,
        every: int = 1,
    ) -> None:
        self.filepath = path_text("ModelCheckpoint: filepath", filepath)
        self._monitor = Monitor("ModelCheckpoint", monitor, mode)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.every = whole("ModelCheckpoint: every", every, least=1)
        self.batches = 0
        if save_freq != "epoch":
            self.batches = whole("ModelCheckpoint: save_freq", save_freq, least=1)
        else:  # nobody need gather the numbers of every batch
            self.on_train_batch_end = super().on_train_batch_end  # type: ignore[method-assign]
        self._threshold = self._monitor.worst
        if initial_value_threshold is not None:
            what = "ModelCheckpoint: initial_value_threshold"
            self._threshold = number(what, initial_value_threshold)
        if not self.filepath.endswith(SUFFIX):
            raise OptionError(
                f"ModelCheckpoint: {self.filepath!r} should end in {SUFFIX}, the kind of file it is"
            )

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Make sure that names and numbers of the files can be had."""
        self.best = self._threshold
        self._seen = self._epoch = 0
        if self.save_best_only:
            self._monitor.check(self.params)
        self._path({"epoch": 1, "batch": 1, **dict.fromkeys(self.params["metrics"], 0.0)})

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Note the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Save, if so many batches have gone by."""
        self._seen += 1
        if self._seen >= self.batches:
            self._seen = 0
            self._save(self._epoch, batch, logs or {})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Save, if so many epochs have gone by."""
        self._epoch = epoch + 1
        if not self.batches and (epoch + 1) % self.every == 0:
            self._save(epoch, None, logs or {})

    def _save(self, epoch: int, batch: int | None, logs: Mapping[str, float]) -> None:
        if self.save_best_only:
            value = logs.get(self._monitor.name)
            if value is None or not self._monitor.is_better(value, self.best):
                return
            self.best = value
        numbers = {"epoch": epoch + 1, **logs} | ({} if batch is None else {"batch": batch + 1})
        path = self._path(numbers)
        if self.save_weights_only:
            self.model.network.save(path)
        else:
            save_model(self.model, path)
        if self.verbose:
            print(f"epoch {epoch + 1}: saved {path}")

    def _path(self, numbers: Mapping[str, Any]) -> str:
        try:
            return self.filepath.format(**numbers)
        except (KeyError, IndexError, ValueError) as error:
            fields = [name for _, name, _, _ in string.Formatter().parse(self.filepath) if name]
            raise OptionError(
                f"ModelCheckpoint: {self.filepath!r} cannot be filled in ({error}); it names "
                f"{', '.join(fields)}, there are {', '.join(numbers)}"
            ) from error

    def get_state(self) -> dict[str, Any]:
        """Return the best number, and what was counted."""
        return {"best": self.best, "seen": self._seen, "epoch": self._epoch}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take over what ``get_state`` returned."""
        self.best = float(state["best"])
        self._seen, self._epoch = int(state["seen"]), int(state["epoch"])


def newest_checkpoint(path: StrPath) -> str | None:
    """Return the file from which a training goes on: the path itself, or the furthest in a folder.

    None if there is no such file, or no file of the folder from which training can go on.

    Raises
    ------
    FormatError
        All the folder's files that could be checkpoints are damaged.
    """
    place = Path(path_text("a checkpoint", path))
    if not place.is_dir():
        return str(place) if place.exists() else None
    found, damaged = [], []
    for file in sorted(place.glob(f"*{SUFFIX}")):
        try:
            where = _position(file)
        except (FormatError, StorageError) as error:
            damaged.append(error)
            continue
        if where is not None:
            found.append((where, file.stat().st_mtime_ns, str(file)))
    if damaged and not found:
        raise damaged[0]
    return max(found)[2] if found else None


def _position(file: Path) -> tuple[int, int] | None:
    """Return the epoch and batch of a file without reading its arrays; None if it has none."""
    import safetensors

    try:
        with safetensors.safe_open(str(file), framework="np") as opened:
            metadata = dict(opened.metadata() or {})
    except (safetensors.SafetensorError, OSError) as error:
        raise FormatError(f"{str(file)!r} is truncated or damaged: {error}") from error
    try:
        training = json.loads(metadata.get("extras", "{}"))["model"]["training"]
        return int(training["epoch"]), int(training["batch"])
    except (ValueError, KeyError, TypeError):
        return None
