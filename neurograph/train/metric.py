"""What a metric is: a number to follow while training, gathered over the batches of an epoch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurograph.errors import ShapeError
from neurograph.options import config_of
from neurograph.train.loss import as_weights

Array = NDArray[Any]


@dataclass
class Metric:
    """A mean over everything seen since ``reset``.

    Attributes
    ----------
    name : str
        The name in the history.
    total, count : float
        What was gathered: the (weighted) sum and the number (or weight) of its terms.
    """

    name: str = field(default="metric", init=False)
    total: float = field(default=0.0, init=False, repr=False)
    count: float = field(default=0.0, init=False, repr=False)
    kind: ClassVar[str] = "metric"

    def __post_init__(self) -> None:
        self.name = self.kind

    @property
    def counts_steps(self) -> bool:
        """Whether it leaves out steps that a mask says do not count: Keras's means do."""
        return True

    def reset(self) -> None:
        """Forget everything seen."""
        self.total = self.count = 0.0

    def update(self, target: Array, output: Array, sample_weight: ArrayLike | None = None) -> None:
        """Add a batch.

        Parameters
        ----------
        target : array
            (batch, …, values), or class numbers (batch, …) where the metric takes them.
        output : array, (batch, …, values)
        sample_weight : array-like, (batch,) or (batch, …), optional

        Raises
        ------
        ShapeError
            The target does not fit the output.
        """
        rows = self._rows(target, output)
        if sample_weight is None:
            # counting truth values costs a tenth of summing them
            self.total += int(np.count_nonzero(rows)) if rows.dtype == bool else float(rows.sum())
            self.count += rows.size
        else:
            weight = as_weights(sample_weight, rows.shape)
            self.total += float((rows * weight).sum())
            self.count += float(weight.sum())

    def result(self) -> float:
        """Return the metric over everything seen, NaN if that is nothing."""
        return self.total / self.count if self.count else float("nan")

    def to_config(self) -> dict[str, Any]:
        """Return the metric's options as plain data for ``get_metric``."""
        return config_of(self.kind, self)

    def _rows(self, target: Array, output: Array) -> Array:
        """Return one number for each row of the output, or truth values."""
        raise NotImplementedError

    def _misfit(self, target: Array, output: Array) -> ShapeError:
        return ShapeError(
            f"{self.name}: targets of shape {target.shape} do not fit outputs of shape "
            f"{output.shape}"
        )

    def _values(self, target: Array, output: Array) -> Array:
        """Return targets in the shape of the outputs."""
        if target.shape == output.shape:
            return target
        if output.shape[-1:] == (1,) and target.shape == output.shape[:-1]:
            return target[..., None]
        raise self._misfit(target, output)

    def _classes(self, target: Array, output: Array) -> Array:
        """Return targets, one-hot or numbers, as class numbers."""
        if target.shape == output.shape[:-1]:
            return target
        if target.shape == output.shape:
            return np.asarray(target.argmax(-1))
        if target.shape == (*output.shape[:-1], 1):
            return target[..., 0]
        raise self._misfit(target, output)
