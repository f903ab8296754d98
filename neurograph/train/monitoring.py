"""Monitoring: one number of a training followed from epoch to epoch, and stopping by it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from neurograph.errors import unknown
from neurograph.options import number, text, whole
from neurograph.parameter import Array
from neurograph.train.callback import Callback, Logs

_HIGHER = ("accuracy", "acc", "precision", "recall", "f1", "confusion_matrix")


class Monitor:
    """One number of the logs, and whether it got better.

    Parameters
    ----------
    what : str
        Whose monitor it is, for messages.
    name : str
        ``"val_loss"``, ``"accuracy"``, ….
    mode : {"auto", "min", "max"}
        Whether smaller or larger is better; auto goes by the name.
    min_delta : float
        Smaller changes do not count.
    """

    def __init__(self, what: str, name: str, mode: str = "auto", min_delta: float = 0.0) -> None:
        if mode not in ("auto", "min", "max"):
            raise unknown("mode", mode, ("auto", "min", "max"), of=what)
        self.what = what
        self.name = text(f"{what}: monitor", name)
        higher = "top_k" in name or name.endswith(_HIGHER)
        self.sign = 1.0 if mode == "max" or (mode == "auto" and higher) else -1.0
        self.min_delta = number(f"{what}: min_delta", min_delta, least=0)

    def check(self, params: Mapping[str, Any]) -> None:
        """Refuse a name that the logs will not have.

        Raises
        ------
        UnknownNameError
        """
        if self.name not in params["metrics"]:
            cure = "; give validation_data" if self.name.startswith("val_") else ""
            known = params["metrics"]
            raise unknown(f"number to monitor ({self.what}{cure})", self.name, known)

    @property
    def worst(self) -> float:
        """What every number is better than."""
        return -self.sign * math.inf

    def is_better(self, value: float, than: float) -> bool:
        """Return whether a value is better by more than ``min_delta``."""
        if not math.isfinite(than):
            return math.isfinite(value)
        return self.sign * (value - than) > self.min_delta


class EarlyStopping(Callback):
    """Stop when a monitored number has not got better for some epochs.

    Parameters
    ----------
    monitor : str
    min_delta : float
        Smaller changes do not count as better.
    patience : int
        After how many epochs without progress training stops.
    verbose : int
        1 prints a line when it stops.
    mode : {"auto", "min", "max"}
    baseline : float, optional
        The number must become better than this.
    restore_best_weights : bool
        Whether the network ends with the weights of its best epoch instead of the last.
    start_from_epoch : int
        Epochs before this one do not count.

    Attributes
    ----------
    stopped_epoch : int
        The number of the epoch in which it stopped, 0 if it did not.
    best, best_epoch
        The best number so far and its epoch.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        self._monitor = Monitor("EarlyStopping", monitor, mode, min_delta)
        self.patience = whole("EarlyStopping: patience", patience)
        self.verbose = verbose
        self.baseline = None if baseline is None else number("EarlyStopping: baseline", baseline)
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = whole("EarlyStopping: start_from_epoch", start_from_epoch)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forget what was best."""
        self._monitor.check(self.params)
        self.best, self.best_epoch, self.stopped_epoch = self._monitor.worst, 0, 0
        self._wait = 0
        self._weights: dict[str, Array] = {}

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Compare, count and perhaps stop."""
        value = (logs or {}).get(self._monitor.name)
        if value is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and not self._weights:
            self._keep(epoch)
        self._wait += 1
        if self._monitor.is_better(value, self.best):
            self.best = value
            self._keep(epoch)
            if self.baseline is None or self._monitor.is_better(value, self.baseline):
                self._wait = 0
            return
        if self._wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True
            history = self.model.history
            if history is not None:
                history.stopped = (
                    f"EarlyStopping: {self._monitor.name} was best in epoch "
                    f"{self.best_epoch + 1}, {self.best:.4g}"
                )

    def _keep(self, epoch: int) -> None:
        self.best_epoch = epoch
        if self.restore_best_weights:
            named = self.model.network.parameters
            self._weights = {name: each.value.copy() for name, each in named.items()}

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Restore the best weights, if asked to."""
        if self.verbose and self.stopped_epoch:
            print(f"epoch {self.stopped_epoch + 1}: early stopping")
        for name, parameter in self.model.network.parameters.items():
            kept = self._weights.get(name)
            if kept is not None and kept.shape == parameter.shape:
                parameter.value = kept

    def get_state(self) -> dict[str, Any]:
        """Return what was best, and the weights kept."""
        return {
            "best": self.best,
            "best_epoch": self.best_epoch,
            "stopped_epoch": self.stopped_epoch,
            "wait": self._wait,
            "weights": dict(self._weights),
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take over what ``get_state`` returned."""
        self.best, self.best_epoch = float(state["best"]), int(state["best_epoch"])
        self.stopped_epoch, self._wait = int(state["stopped_epoch"]), int(state["wait"])
        weights = {name: np.array(each, float) for name, each in state["weights"].items()}
        self._weights = weights
