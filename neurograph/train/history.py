"""History: loss and metrics of every epoch; it prints, plots and writes itself as a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from neurograph.errors import DataError
from neurograph.storage.atomic import StrPath, atomic_write
from neurograph.storage.figures import new_figure, write_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_ROWS = 40  # a longer table is printed without its middle


class History:
    """What a training did, epoch by epoch.

    Attributes
    ----------
    history : dict of str to list of float
        ``"loss"``, the metrics, and ``"val_…"`` of them, one entry an epoch in which it was
        calculated; as Keras keeps it.
    epoch : list of int
        The numbers of the epochs, from 0.
    seconds : list of float
        How long each took, validation included.
    stopped : str
        Why the training ended before its last epoch; empty if it did not.

    Examples
    --------
    >>> history = History()
    >>> history.add(0, {"loss": 0.5, "accuracy": 0.75}, seconds=1.25)
    >>> history.add(1, {"loss": 0.25, "accuracy": 1.0}, seconds=1.0)
    >>> history.history
    {'loss': [0.5, 0.25], 'accuracy': [0.75, 1.0]}
    >>> print(history)
    epoch  seconds  loss  accuracy
        1     1.25   0.5      0.75
        2        1  0.25         1
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []
        self.epoch: list[int] = []
        self.seconds: list[float] = []
        self.stopped = ""

    @property
    def history(self) -> dict[str, list[float]]:
        """The columns, as lists."""
        return {name: [row[name] for row in self.rows if name in row] for name in self.names}

    @property
    def names(self) -> list[str]:
        """The names of the columns, in order of their first appearance, validation last."""
        found = list(dict.fromkeys(name for row in self.rows for name in row))
        return sorted(found, key=lambda name: name.startswith("val_"))

    def add(self, epoch: int, logs: Mapping[str, float], seconds: float = 0.0) -> None:
        """Add an epoch."""
        self.epoch.append(epoch)
        self.rows.append({name: float(value) for name, value in logs.items()})
        self.seconds.append(seconds)

    def amend(self, logs: Mapping[str, float]) -> None:
        """Put what callbacks wrote into the logs of the last epoch into its row."""
        self.rows[-1] = {name: float(value) for name, value in logs.items()}

    def keep_before(self, epoch: int) -> None:
        """Forget the epochs from a number on, which are to be done again."""
        kept = sum(1 for each in self.epoch if each < epoch)
        del self.rows[kept:], self.epoch[kept:], self.seconds[kept:]
        self.stopped = ""

    def to_config(self) -> dict[str, Any]:
        """Return the history as plain data for ``from_config``."""
        return {
            "epoch": list(self.epoch),
            "seconds": list(self.seconds),
            "rows": [dict(row) for row in self.rows],
            "stopped": self.stopped,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> History:
        """Return the history that ``to_config`` described.

        Raises
        ------
        DataError
            The data do not describe one.
        """
        found = cls()
        try:
            table = zip(config["epoch"], config["rows"], config["seconds"], strict=True)
            for epoch, row, seconds in table:
                found.add(int(epoch), dict(row), float(seconds))
            found.stopped = str(config["stopped"])
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"this is not a history: {error}") from error
        return found

    # showing ------------------------------------------------------------------------------------

    def to_csv(self, path: StrPath) -> None:
        """Write a table: ``epoch`` (from 1), then the columns; an empty cell is no value.

        Raises
        ------
        StorageError
            The file cannot be written.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["epoch", *self.names])
        for epoch, row in zip(self.epoch, self.rows, strict=True):
            writer.writerow([epoch + 1, *(repr(row[n]) if n in row else "" for n in self.names)])
        with atomic_write(path) as file:
            file.write(text.getvalue().encode())

    def plot(self, path: StrPath | None = None, title: str = "") -> Figure:
        """Draw the loss and every metric over the epochs, training and validation together.

        Parameters
        ----------
        path : str or path, optional
            Where to save the picture: ``.svg``, ``.png`` or ``.pdf``.
        title : str

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        MissingDependencyError
            matplotlib is not installed.
        DataError
            There is no epoch to draw.
        """
        if not self.rows:
            raise DataError("history.plot: no epoch has ended yet, there is nothing to draw")
        panels = [name for name in self.names if not name.startswith("val_")]
        figure = new_figure("history.plot", 4.6 * len(panels), 3.4, title)
        epochs = [epoch + 1 for epoch in self.epoch]
        for place, name in enumerate(panels):
            axes = figure.add_subplot(1, len(panels), place + 1)
            for column, label in ((name, "training"), (f"val_{name}", "validation")):
                self._curve(axes, epochs, column, label)
            axes.set_title(name)
            axes.set_xlabel("epoch")
            axes.locator_params("x", integer=True)
            axes.grid(alpha=0.3)
            if f"val_{name}" in self.names:
                axes.legend(frameon=False)
        return write_figure(figure, path)

    def _curve(self, axes: Any, epochs: Sequence[int], column: str, label: str) -> None:
        points = [
            (x, row[column]) for x, row in zip(epochs, self.rows, strict=True) if column in row
        ]
        if points:
            marker = "." if len(points) < 30 else ""
            style = "--" if label == "validation" else "-"  # two kinds of line in grey print, too
            axes.plot(*zip(*points, strict=True), label=label, marker=marker, linestyle=style)

    def __str__(self) -> str:
        if not self.rows:
            return f"no epochs{f'; {self.stopped}' if self.stopped else ''}"
        head = ["epoch", "seconds", *self.names]
        table = [
            [str(epoch + 1), f"{seconds:.3g}", *(_cell(row, name) for name in self.names)]
            for epoch, row, seconds in zip(self.epoch, self.rows, self.seconds, strict=True)
        ]
        if len(table) > MOST_ROWS:
            half = MOST_ROWS // 2
            table = [*table[:half], ["…"] * len(head), *table[-half:]]
        widths = [max(map(len, column)) for column in zip(head, *table, strict=True)]
        lines = [
            "  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
            for cells in (head, *table)
        ]
        return "\n".join([*lines, *([self.stopped] if self.stopped else [])])

    def __repr__(self) -> str:
        last = ", ".join(f"{name} {_cell(self.rows[-1], name)}" for name in self.names)
        return f"<History of {len(self.rows)} epochs{': ' + last if last else ''}>"


def _cell(row: Mapping[str, float], name: str) -> str:
    return f"{row[name]:.4g}" if name in row else ""
