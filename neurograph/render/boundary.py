"""Where classes divide: the answers of a network of two inputs, over the plane."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurograph.errors import OptionError, ShapeError, short
from neurograph.options import whole
from neurograph.render.style import GROUPS
from neurograph.samples import number_array
from neurograph.storage.atomic import StrPath
from neurograph.storage.figures import needed, new_figure, write_figure

Array = NDArray[Any]
MARKERS = "os^Dv*PX"
BELOW, ABOVE = "#8fbfe6", "#fbd9bd"  # in grey print the first is the darker one
TINTS = (0.42, 0.14, 0.27)  # of the areas of classes that follow each other, for grey print too


def decision_boundary(
    predict: Callable[[Array], Any] | Any,
    x: ArrayLike,
    y: ArrayLike,
    path: StrPath | None = None,
    *,
    resolution: int = 200,
    title: str = "",
) -> Any:
    """Draw what a network of two inputs answers everywhere, with the points it learned from.

    Parameters
    ----------
    predict : callable, Network or Model
        Takes points (n, 2), returns (n,), (n, 1) or one column a class.
    x : array_like, (samples, 2)
    y : array_like, (samples,), (samples, 1) or (samples, classes)
        Classes as numbers, or one column a class.
    path : path, optional
        Ends in .svg, .png or .pdf.
    resolution : int
        Points along each side.
    title : str

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ShapeError, DataError
        x or y does not have such a shape, or predict returns another; they are no numbers.
    OptionError
        predict cannot be asked.
    MissingDependencyError
        matplotlib, of the extra ``plot``, is not installed.

    Examples
    --------
    >>> points = [[0, 0], [0, 1], [1, 0], [1, 1]]
    >>> figure = decision_boundary(lambda p: p[:, 0] * p[:, 1], points, [0, 0, 0, 1], resolution=20)
    >>> len(figure.axes)  # the plane and its scale
    2
    """
    points = number_array(x, "decision_boundary: x")
    classes = _classes(number_array(y, "decision_boundary: y"))
    if points.ndim != 2 or points.shape[1] != 2 or len(points) != len(classes):
        raise ShapeError(
            f"decision_boundary: x has shape {points.shape} and y {np.shape(y)}; expected "
            f"(samples, 2) and as many classes"
        )
    side = whole("decision_boundary: resolution", resolution, least=2)
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.12 * np.where(high > low, high - low, 1.0)
    axis = [np.linspace(low[k] - margin[k], high[k] + margin[k], side) for k in (0, 1)]
    plane = np.stack(np.meshgrid(*axis), axis=-1).reshape(-1, 2)
    ask = getattr(predict, "predict", predict)
    if not callable(ask):
        raise OptionError(
            f"decision_boundary: predict is a network, a model or a function, got {short(predict)}"
        )
    answers = number_array(ask(plane), "decision_boundary: what predict returned").astype(float)
    if answers.shape[0] != len(plane) or answers.ndim > 2:
        raise ShapeError(
            f"decision_boundary: predict returned shape {answers.shape} for {len(plane)} points"
        )
    figure = new_figure("a decision boundary", 5.2, 4.4)
    axes = figure.add_subplot()
    if answers.ndim == 1 or answers.shape[1] == 1:
        _one_answer(figure, axes, axis, answers.reshape(side, side))
    else:
        _several(axes, axis, answers.reshape(side, side, -1))
    for place, each in enumerate(np.unique(classes)):
        chosen = classes == each
        axes.scatter(
            points[chosen, 0],
            points[chosen, 1],
            c=GROUPS[place % len(GROUPS)],
            marker=MARKERS[place % len(MARKERS)],
            edgecolors="white",
            linewidths=0.7,
            s=36,
            label=f"{each:g}",
        )
    axes.legend(title="class", loc="best", fontsize=8)
    axes.set_xlabel("x1")
    axes.set_ylabel("x2")
    axes.set_title(title, fontsize=10)
    return write_figure(figure, path)


def _classes(labels: Array) -> Array:
    if labels.ndim == 2 and labels.shape[1] > 1:
        return np.asarray(labels.argmax(axis=1))
    if labels.ndim not in (1, 2):
        raise ShapeError(f"decision_boundary: y has shape {labels.shape}, expected (samples,)")
    return labels.reshape(-1)


def _one_answer(figure: Any, axes: Any, axis: list[Array], answers: Array) -> None:
    colours = needed("matplotlib.colors", "a decision boundary")
    scale = colours.LinearSegmentedColormap.from_list("answer", [BELOW, "#ffffff", ABOVE])
    low, high = float(answers.min()), float(answers.max())
    middle = 0.5 if low >= 0.0 and high <= 1.0 else 0.0
    reach = max(high - middle, middle - low, 1e-9)
    mesh = axes.pcolormesh(
        *axis,
        answers,
        cmap=scale,
        vmin=middle - reach,
        vmax=middle + reach,
        shading="auto",
        rasterized=True,
    )
    if low < middle < high:
        axes.contour(*axis, answers, levels=[middle], colors="#222222", linewidths=1.4)
    figure.colorbar(mesh, ax=axes, label="answer")


def _several(axes: Any, axis: list[Array], answers: Array) -> None:
    colours = needed("matplotlib.colors", "a decision boundary")
    winners, classes = answers.argmax(axis=-1), answers.shape[-1]
    tints = [
        colours.to_rgba(GROUPS[k % len(GROUPS)], TINTS[k % len(TINTS)]) for k in range(classes)
    ]
    axes.pcolormesh(
        *axis,
        winners,
        cmap=colours.ListedColormap(tints),
        vmin=-0.5,
        vmax=classes - 0.5,
        shading="auto",
        rasterized=True,
    )
    for k in range(classes):
        if (winners == k).any() and (winners != k).any():
            lead = answers[..., k] - np.delete(answers, k, axis=-1).max(axis=-1)
            axes.contour(*axis, lead, levels=[0.0], colors="#222222", linewidths=1.0)
