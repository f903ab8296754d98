"""Callbacks that change the learning rate between epochs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from neurograph.errors import OptionError, short
from neurograph.options import number, whole
from neurograph.train.callback import Callback, Logs
from neurograph.train.monitoring import Monitor


class ReduceLROnPlateau(Callback):
    """Multiply the learning rate by a factor when a number has not got better for some epochs.

    Parameters
    ----------
    monitor : str
    factor : float
        Below 1.
    patience : int
        After how many epochs without progress.
    verbose : int
        1 prints each change.
    mode : {"auto", "min", "max"}
    min_delta : float
        Smaller changes do not count as better.
    cooldown : int
        Epochs after a change that do not count.
    min_lr : float
        The rate never falls below this.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        self._monitor = Monitor("ReduceLROnPlateau", monitor, mode, min_delta)
        self.factor = number("ReduceLROnPlateau: factor", factor, above=0, below=1)
        self.patience = whole("ReduceLROnPlateau: patience", patience)
        self.verbose = verbose
        self.cooldown = whole("ReduceLROnPlateau: cooldown", cooldown)
        self.min_lr = number("ReduceLROnPlateau: min_lr", min_lr, least=0)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forget what was best."""
        self._monitor.check(self.params)
        present_rate(self, self.model.optimizer.learning_rate)
        self._best, self._wait, self._cooling = self._monitor.worst, 0, 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Compare, count and perhaps reduce."""
        logs = {} if logs is None else logs
        optimizer = self.model.optimizer
        rate = logs["learning_rate"] = present_rate(self, optimizer.learning_rate)
        value = logs.get(self._monitor.name)
        if value is None:
            return
        if self._cooling:
            self._cooling, self._wait = self._cooling - 1, 0
        if self._monitor.is_better(value, self._best):
            self._best, self._wait = value, 0
        elif not self._cooling:
            self._wait += 1
            if self._wait >= self.patience and rate > self.min_lr:
                optimizer.learning_rate = max(rate * self.factor, self.min_lr)
                self._cooling, self._wait = self.cooldown, 0
                if self.verbose:
                    print(f"epoch {epoch + 1}: the learning rate is now {optimizer.rate(0):g}")

    def get_state(self) -> dict[str, Any]:
        """Return what was best and what was counted; the rate is the optimizer's."""
        return {"best": self._best, "wait": self._wait, "cooling": self._cooling}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take over what ``get_state`` returned."""
        self._best, self._wait = float(state["best"]), int(state["wait"])
        self._cooling = int(state["cooling"])


class LearningRateScheduler(Callback):
    """Set the learning rate before each epoch.

    Parameters
    ----------
    schedule : function
        ``(epoch, rate) -> rate`` or ``epoch -> rate``, epochs from 0.
    verbose : int
        1 prints the rate of each epoch.
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        if not callable(schedule):
            raise OptionError(
                f"LearningRateScheduler: schedule is {short(schedule)}, expected a function "
                f"(epoch, rate) -> rate"
            )
        self.schedule = schedule
        self.verbose = verbose
        try:
            inspect.signature(schedule).bind(0, 0.0)
            self._takes_rate = True
        except (TypeError, ValueError):
            self._takes_rate = False

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Make sure that the rate can be set."""
        present_rate(self, self.model.optimizer.learning_rate)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Set the rate."""
        optimizer = self.model.optimizer
        rate = present_rate(self, optimizer.learning_rate)
        wanted = self.schedule(epoch, rate) if self._takes_rate else self.schedule(epoch)
        optimizer.learning_rate = number("LearningRateScheduler: the rate", wanted, least=0)
        if self.verbose:
            print(f"epoch {epoch + 1}: the learning rate is {wanted:g}")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Note the rate in the history."""
        if logs is not None:
            logs["learning_rate"] = present_rate(self, self.model.optimizer.learning_rate)


def present_rate(callback: Callback, rate: Any) -> float:
    """Return a learning rate that is a number, or refuse a schedule.

    Raises
    ------
    OptionError
        The optimizer has a schedule of its own.
    """
    if not isinstance(rate, float):
        raise OptionError(
            f"{type(callback).__name__}: the optimizer's learning rate follows {rate!r}; compile "
            f"with a number, so that it can be set"
        )
    return rate
