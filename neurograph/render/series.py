"""Series over time: what was, and what networks said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from neurograph.errors import DataError, ShapeError
from neurograph.render.style import GROUPS, INK
from neurograph.samples import number_array
from neurograph.storage.atomic import StrPath
from neurograph.storage.figures import new_figure, write_figure

DASHES = ("--", "-.", ":")  # of predictions, which grey print would not tell apart by hue


def show_series(
    curves: Mapping[str, ArrayLike],
    path: StrPath | None = None,
    *,
    time: ArrayLike | None = None,
    title: str = "",
    label: str = "",
) -> Any:
    """Draw series over time as curves: the truth, in black, and predictions of it.

    Parameters
    ----------
    curves : mapping of name to array, (steps,) or (steps, 1)
        The first is the truth. A curve shorter than the longest belongs to its end, where
        predictions lie; NaN leaves gaps.
    path : path, optional
        Ends in .svg, .png or .pdf.
    time : (steps,), optional
        Numbers or dates (datetime64) of the longest curve; 0, 1, 2, ... when left out.
    title, label : str
        Above the picture, and beside its vertical axis.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ShapeError, DataError
        A curve has another shape, ``time`` another length, or there is no curve.
    MissingDependencyError
        matplotlib, of the extra ``plot``, is not installed.

    Examples
    --------
    >>> figure = show_series({"truth": [1, 2, 3, 4], "prediction": [3.5, 4.5]}, time=range(60, 64))
    >>> [line.get_xdata().tolist() for line in figure.axes[0].lines]
    [[60, 61, 62, 63], [62, 63]]
    """
    rows = {name: _row(name, values) for name, values in curves.items()}
    if not rows:
        raise DataError("show_series: there is no curve to draw; give {'truth': values}")
    steps = max(map(len, rows.values()))
    times = np.arange(steps) if time is None else np.asarray(time)
    if times.shape != (steps,):
        raise ShapeError(
            f"show_series: time has shape {times.shape}, but the longest curve has {steps} steps"
        )
    figure = new_figure("a picture of series", 9.0, 3.8)
    axes = figure.add_subplot()
    for place, (name, row) in enumerate(rows.items()):
        colour = INK if place == 0 else GROUPS[(place - 1) % len(GROUPS)]
        dashes = DASHES[(place - 1) % len(DASHES)] if place else "-"
        x = times[steps - len(row) :]
        axes.plot(x, row, label=name, color=colour, linestyle=dashes, linewidth=1.2)
    axes.set_title(title, fontsize=10)
    axes.set_ylabel(label)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8)
    return write_figure(figure, path)


def _row(name: str, values: ArrayLike) -> Any:
    row = number_array(values, f"show_series: {name!r}").astype(float)
    if row.ndim == 2 and row.shape[1] == 1:
        row = row[:, 0]
    if row.ndim != 1 or not len(row):
        raise ShapeError(
            f"show_series: {name!r} has shape {row.shape}, expected (steps,) or (steps, 1)"
        )
    return row
