"""Losses by name: squared, absolute and Huber errors here, cross-entropies next door.

Keras's formulas and defaults, plus ``sse``, the tutorial's sum of squares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from neurograph.lines import Lines
from neurograph.options import Table, number
from neurograph.train.categorical import (
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
)
from neurograph.train.crossentropy import BinaryCrossentropy
from neurograph.train.loss import Loss, OwnLoss

__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "Huber",
    "Loss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "OwnLoss",
    "SparseCategoricalCrossentropy",
    "SumSquaredError",
    "get_loss",
]

Array = NDArray[Any]


class _ErrorLoss(Loss):
    """A loss of ``output - target`` that a regression would use."""

    def _hint(self, target: Array, output_shape: tuple[int | None, ...]) -> str:
        if target.ndim == len(output_shape) and target.dtype.kind in "iu":
            return "; class numbers need the loss sparse_categorical_crossentropy"
        return ""


@dataclass(frozen=True)
class SumSquaredError(_ErrorLoss):
    """Half the sum of squared errors of a sample, averaged over the batch; name ``sse``.

    ``loss = sum((output - target)**2) / 2 / batch``, the sum running over everything but the batch
    axis: the error of Rumelhart, Hinton & Williams (1986), whose gradient is ``output - target``.

    Examples
    --------
    >>> SumSquaredError().value_and_gradient([[1.0, 0.0]], [[0.5, 2.0]])
    (2.125, array([[-0.5,  2. ]]))
    """

    name = "sse"
    counts_steps: ClassVar[bool | None] = False

    def _rows(self, target: Array, output: Array) -> tuple[Array, Array]:
        error = output - target
        return (error**2).sum(axis=-1) / 2, error

    def count(self, shape: tuple[int, ...]) -> int:
        """Return the number of samples, whatever axes follow."""
        return shape[0]

    def lines(self, weighted: bool = False) -> Lines:
        """Return loss and gradient as in-place statements."""
        return _squares(weighted, "0.5 / batch *", "1 / batch")


@dataclass(frozen=True)
class MeanSquaredError(_ErrorLoss):
    """The mean of squared errors over outputs and batch; name ``mse``.

    Examples
    --------
    >>> MeanSquaredError().value_and_gradient([[1.0, 0.0]], [[0.5, 2.0]])
    (2.125, array([[-0.5,  2. ]]))
    """

    name = "mse"

    def _rows(self, target: Array, output: Array) -> tuple[Array, Array]:
        error = output - target
        return (error**2).mean(axis=-1), 2 * error / output.shape[-1]

    def lines(self, weighted: bool = False) -> Lines:
        """Return loss and gradient as in-place statements."""
        return _squares(weighted, "1 / output.size *", "2 / output.size")


@dataclass(frozen=True)
class MeanAbsoluteError(_ErrorLoss):
    """The mean of absolute errors over outputs and batch; name ``mae``.

    The gradient of an error of exactly 0 is 0.

    Examples
    --------
    >>> MeanAbsoluteError().value_and_gradient([[1.0, 0.0]], [[0.5, 2.0]])
    (1.25, array([[-0.5,  0.5]]))
    """

    name = "mae"

    def _rows(self, target: Array, output: Array) -> tuple[Array, Array]:
        error = output - target
        return np.abs(error).mean(axis=-1), np.sign(error) / output.shape[-1]

    def lines(self, weighted: bool = False) -> Lines:
        """Return loss and gradient as in-place statements."""
        text = [
            "np.subtract(output, target, out=error)",
            "np.sign(error, out=d_output)",
            *(["d_output *= weight"] if weighted else []),
            "loss = float(np.vdot(d_output, error)) / output.size",
            "d_output *= scale",
        ]
        scale = ("scale", "np.array(1 / output.size, output.dtype)")
        return Lines("\n".join(text), scratch=("error",), setup=(scale,))


@dataclass(frozen=True)
class Huber(_ErrorLoss):
    """Squares for errors up to `delta`, straight lines beyond (Huber, 1964); name ``huber``.

    ``error**2 / 2`` up to `delta`, then ``delta * (abs(error) - delta / 2)``; averaged over outputs
    and batch.

    Examples
    --------
    >>> Huber().value_and_gradient([[1.0, 0.0]], [[0.5, 2.0]])
    (0.8125, array([[-0.25,  0.5 ]]))
    """

    delta: float = 1.0
    name = "huber"

    def __post_init__(self) -> None:
        object.__setattr__(self, "delta", number("huber: delta", self.delta, above=0))

    def _rows(self, target: Array, output: Array) -> tuple[Array, Array]:
        error = output - target
        held = np.clip(error, -self.delta, self.delta)
        return (held * (error - held / 2)).mean(axis=-1), held / output.shape[-1]

    def lines(self, weighted: bool = False) -> Lines:
        """Return loss and gradient as in-place statements."""
        text = [
            "np.subtract(output, target, out=error)",
            "np.minimum(error, delta, out=d_output)",
            "np.maximum(d_output, minus_delta, out=d_output)",
            "np.multiply(d_output, half, out=part)",
            "error -= part",
            *(["d_output *= weight"] if weighted else []),
            "loss = float(np.vdot(d_output, error)) / output.size",
            "d_output *= scale",
        ]
        setup = (
            ("delta", f"np.array({self.delta!r}, output.dtype)"),
            ("minus_delta", f"np.array({-self.delta!r}, output.dtype)"),
            ("half", "np.array(0.5, output.dtype)"),
            ("scale", "np.array(1 / output.size, output.dtype)"),
        )
        return Lines("\n".join(text), scratch=("error", "part"), setup=setup)


def _squares(weighted: bool, mean: str, scale: str) -> Lines:
    if weighted:
        text = [
            "np.subtract(output, target, out=error)",
            "np.multiply(error, weight, out=d_output)",
            f"loss = {mean} float(np.vdot(d_output, error))",
        ]
    else:
        text = [
            "np.subtract(output, target, out=d_output)",
            f"loss = {mean} float(np.vdot(d_output, d_output))",
        ]
    return Lines(
        "\n".join([*text, "d_output *= scale"]),
        scratch=("error",) if weighted else (),
        setup=(("scale", f"np.array({scale}, output.dtype)"),),
    )


TABLE: Table[Loss] = Table(
    "loss",
    {
        "sse": SumSquaredError,
        "mse": MeanSquaredError,
        "mae": MeanAbsoluteError,
        "huber": Huber,
        "binary_crossentropy": BinaryCrossentropy,
        "categorical_crossentropy": CategoricalCrossentropy,
        "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
        "sum_squared_error": SumSquaredError,
        "mean_squared_error": MeanSquaredError,
        "mean_absolute_error": MeanAbsoluteError,
    },
)


def get_loss(spec: object) -> Loss:
    """Return the loss that `spec` stands for.

    Parameters
    ----------
    spec : str, mapping, class, function or Loss
        ``"mse"``, ``"huber(0.5)"``, ``CategoricalCrossentropy(from_logits=True)``, what
        ``to_config`` returned, or a function ``(target, output) -> (mean, gradient)``.

    Raises
    ------
    UnknownNameError, OptionError
        The name is not known, or a parameter is not possible.

    Examples
    --------
    >>> get_loss("huber(0.5)")
    Huber(delta=0.5)
    """
    return TABLE.get(spec, Loss, OwnLoss)
