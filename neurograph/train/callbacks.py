"""Callbacks: the whole catalogue; a table of epochs, a guard and plain functions are made here."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO

from neurograph.compiler.plan import Plan
from neurograph.errors import OptionError, failed, short
from neurograph.options import path_text
from neurograph.storage.atomic import StrPath
from neurograph.train.callback import Callback, Logs
from neurograph.train.monitoring import EarlyStopping
from neurograph.train.rates import LearningRateScheduler, ReduceLROnPlateau

if TYPE_CHECKING:
    from neurograph.train.session import Session

__all__ = [
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "LambdaCallback",
    "LearningRateScheduler",
    "ReduceLROnPlateau",
    "TerminateOnNaN",
]


class CSVLogger(Callback):
    """Write every epoch, counted from 1, as a line of a table, at once.

    Parameters
    ----------
    filename : str or path
    separator : str
    append : bool
        Whether lines are added to a table that is there. A training that goes on
        (``fit(resume=…)``) keeps the lines of the epochs before in any case.
    """

    def __init__(self, filename: StrPath, separator: str = ",", append: bool = False) -> None:
        if not isinstance(separator, str) or len(separator) != 1:
            raise OptionError(f"CSVLogger: separator is {short(separator)}, expected one character")
        self.filename = path_text("CSVLogger: filename", filename)
        self.separator = separator
        self.append = append
        self._file: TextIO | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Open the table."""
        self._columns: list[str] = []
        kept: list[list[str]] = []
        try:
            if (self.append or self.params["resumed"]) and os.path.exists(self.filename):
                with open(self.filename, newline="", encoding="utf-8") as file:
                    kept = [row for row in csv.reader(file, delimiter=self.separator) if row]
            if kept:
                self._columns = kept[0]
                last = self.params["initial_epoch"] if self.params["resumed"] else math.inf
                kept = [kept[0], *(row for row in kept[1:] if _epoch(row) <= last)]
            self._file = open(self.filename, "w", newline="", encoding="utf-8")  # noqa: SIM115
        except OSError as error:
            raise failed("CSVLogger: cannot write", self.filename, error) from error
        self._writer = csv.writer(self._file, delimiter=self.separator, lineterminator="\n")
        self._writer.writerows(kept)
        self._file.flush()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write the line; before the first one, the names of the columns."""
        assert self._file is not None
        row: dict[str, Any] = {"epoch": epoch + 1, **(logs or {})}
        if not self._columns:
            self._columns = list(dict.fromkeys(["epoch", *self.params["metrics"], *row]))
            self._writer.writerow(self._columns)
        self._writer.writerow([row.get(name, "") for name in self._columns])
        self._file.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Close the table."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _epoch(row: list[str]) -> float:
    try:
        return float(row[0])
    except ValueError:
        return -1.0


class TerminateOnNaN(Callback):
    """End a training whose loss is no longer finite, and say where that began.

    It is on by default. The batch with that loss leaves the weights as they were; it is run again,
    keeping every value, and the warning names the first operation and node that was not finite, and
    the sample. The same sentence is in ``history.stopped``.

    Parameters
    ----------
    active : bool
        False lets training go on, whatever the loss.
    """

    def __init__(self, active: bool = True) -> None:
        self.active = bool(active)

    def explain(self, session: Session, plan: Plan, loss: float) -> str:
        """Return the sentence for a batch that has just run."""
        from neurograph.train.nonfinite import first_not_finite

        where, row = first_not_finite(session.model, session.source.mode, plan)
        sample = "" if row is None else f", for {session.source.where(row)}"
        return (
            f"fit stopped in epoch {session.epoch + 1}, batch {session.batch}: the loss became "
            f"{loss}; {where}{sample}. The weights are those before this batch; try a smaller "
            f"learning rate, or clipping (clipnorm=1.0)"
        )


class LambdaCallback(Callback):
    """Functions of your own as a callback.

    Parameters
    ----------
    on_epoch_begin, on_epoch_end, on_train_begin, on_train_end, on_train_batch_begin, \
on_train_batch_end : function, optional
        Called with what the methods of ``Callback`` are called with.

    Examples
    --------
    >>> import neurograph as ng
    >>> model = ng.Network([2, 1], seed=0).compile()
    >>> show = LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, list(logs)))
    >>> _ = model.fit([[0.0, 1.0]], [[1.0]], callbacks=[show], verbose=0)
    0 ['loss']
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
    ) -> None:
        given = {name: value for name, value in locals().items() if name.startswith("on_")}
        for name, function in given.items():
            if function is None:
                continue
            if not callable(function):
                raise OptionError(
                    f"LambdaCallback: {name} is {short(function)}, expected a function"
                )
            setattr(self, name, function)
