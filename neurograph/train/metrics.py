"""Metrics by name: accuracies and errors here, precision and its kin next door.

Keras's names and definitions. A metric is fed with ``update(target, output)`` batch by batch and
read with ``result()``; a function ``(target, output) -> float`` of one's own is averaged over the
samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurograph.errors import DataError
from neurograph.options import Table, number, whole
from neurograph.train.confusion import F1, ConfusionMatrix, Precision, Recall
from neurograph.train.loss import Loss, as_weights
from neurograph.train.losses import TABLE as LOSSES
from neurograph.train.losses import get_loss
from neurograph.train.metric import Metric

__all__ = [
    "F1",
    "Accuracy",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "ConfusionMatrix",
    "LossMetric",
    "Metric",
    "OwnMetric",
    "Precision",
    "Recall",
    "RootMeanSquaredError",
    "SparseCategoricalAccuracy",
    "TopK",
    "get_metric",
]

Array = NDArray[Any]


@dataclass
class BinaryAccuracy(Metric):
    """The share of outputs on the right side of `threshold`."""

    threshold: float = 0.5
    kind: ClassVar[str] = "binary_accuracy"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.threshold = number(f"{self.kind}: threshold", self.threshold)

    def _rows(self, target: Array, output: Array) -> Array:
        right = (output > self.threshold) == self._values(target, output)
        return np.asarray(right[..., 0] if right.shape[-1] == 1 else right.mean(axis=-1))


@dataclass
class CategoricalAccuracy(Metric):
    """The share of rows whose largest output is where the one-hot target is largest."""

    kind: ClassVar[str] = "categorical_accuracy"

    def _rows(self, target: Array, output: Array) -> Array:
        if target.shape != output.shape:
            raise self._misfit(target, output)
        return np.asarray(output.argmax(-1) == target.argmax(-1))


@dataclass
class SparseCategoricalAccuracy(Metric):
    """The share of rows whose largest output is at the target's class number."""

    kind: ClassVar[str] = "sparse_categorical_accuracy"

    def _rows(self, target: Array, output: Array) -> Array:
        return np.asarray(output.argmax(-1) == self._classes(target, output))


@dataclass
class Accuracy(BinaryAccuracy):
    """The share of right answers, in the sense that the shapes suggest, as in Keras.

    One output: which side of 1/2 it is on. Several outputs: which is largest, for targets one-hot
    or as class numbers.

    Examples
    --------
    >>> accuracy = Accuracy()
    >>> accuracy.update(np.array([1, 0]), np.array([[0.1, 0.9], [0.2, 0.8]]))
    >>> accuracy.update(np.array([1, 1]), np.array([[0.1, 0.9], [0.2, 0.8]]))
    >>> accuracy.result()
    0.75
    """

    kind: ClassVar[str] = "accuracy"

    def _rows(self, target: Array, output: Array) -> Array:
        if output.shape[-1] == 1:
            return super()._rows(target, output)
        return np.asarray(output.argmax(-1) == self._classes(target, output))


@dataclass
class TopK(Metric):
    """The share of rows whose right class is among the `k` largest outputs.

    Outputs as large as the right one do not count against it.
    """

    k: int = 5
    kind: ClassVar[str] = "top_k_categorical_accuracy"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.k = whole(f"{self.kind}: k", self.k, least=1)

    def _rows(self, target: Array, output: Array) -> Array:
        classes = self._classes(target, output).astype(np.intp, copy=False)[..., None]
        right = np.take_along_axis(output, classes, axis=-1)
        # written so that a NaN counts as larger
        return np.asarray(np.count_nonzero(~(output <= right), axis=-1) < self.k)


@dataclass
class LossMetric(Metric):
    """A loss followed as a metric: ``"mse"``, ``"categorical_crossentropy"`` and so on."""

    loss: Loss
    kind: ClassVar[str] = "loss_metric"

    def __post_init__(self) -> None:
        self.name = self.loss.name

    @property
    def counts_steps(self) -> bool:
        """Whether its loss is a mean over steps."""
        return bool(self.loss.counts_steps)

    def update(self, target: Array, output: Array, sample_weight: ArrayLike | None = None) -> None:
        """Add a batch."""
        value, _ = self.loss.value_and_gradient(target, output, sample_weight)
        terms = self.loss.count(output.shape)
        self.total += value * terms
        self.count += (
            terms
            if sample_weight is None
            else float(as_weights(sample_weight, output.shape[:-1]).sum())
        )

    def to_config(self) -> dict[str, Any]:
        """Return the loss as plain data for ``get_metric``."""
        return self.loss.to_config()


@dataclass
class RootMeanSquaredError(Metric):
    """The root of the mean squared error over everything seen; name ``rmse``."""

    kind: ClassVar[str] = "rmse"

    @property
    def counts_steps(self) -> bool:
        """It looks at all steps, as Keras's."""
        return False

    def _rows(self, target: Array, output: Array) -> Array:
        error = output - self._values(target, output)
        return np.asarray(np.mean(error * error, axis=-1))

    def result(self) -> float:
        """Return the root of the mean."""
        return math.sqrt(super().result())


@dataclass
class OwnMetric(Metric):
    """A function ``(target, output) -> float`` of one's own, averaged over the samples."""

    function: Callable[[Array, Array], float]

    def __post_init__(self) -> None:
        self.name = getattr(self.function, "__name__", type(self.function).__name__)

    @property
    def counts_steps(self) -> bool:
        """It sees all steps."""
        return False

    def update(self, target: Array, output: Array, sample_weight: ArrayLike | None = None) -> None:
        """Add a batch; with weights the function is called for each sample alone."""
        if sample_weight is None:
            self.total += self._call(target, output) * len(output)
            self.count += len(output)
            return
        weight = as_weights(sample_weight, output.shape[:1])
        for i, each in enumerate(weight):
            self.total += float(each) * self._call(target[i : i + 1], output[i : i + 1])
        self.count += float(weight.sum())

    def _call(self, target: Array, output: Array) -> float:
        value = self.function(target, output)
        try:
            return float(value)
        except (TypeError, ValueError) as error:
            raise DataError(
                f"the metric {self.name} must return a number, got {type(value).__name__}"
            ) from error

    def to_config(self) -> dict[str, Any]:
        """Return the function's name; the function itself cannot be saved."""
        return {"name": "function", "function": self.name}


def _loss_metric(name: str) -> Callable[..., Metric]:
    return lambda **options: LossMetric(get_loss({"name": name, **options}))


TABLE: Table[Metric] = Table(
    "metric",
    {
        "accuracy": Accuracy,
        "binary_accuracy": BinaryAccuracy,
        "categorical_accuracy": CategoricalAccuracy,
        "sparse_categorical_accuracy": SparseCategoricalAccuracy,
        "top_k_categorical_accuracy": TopK,
        "rmse": RootMeanSquaredError,
        "precision": Precision,
        "recall": Recall,
        "f1": F1,
        "confusion_matrix": ConfusionMatrix,
        **{name: _loss_metric(name) for name in LOSSES.rows},
        "acc": Accuracy,
        "top_k": TopK,
        "sparse_top_k_categorical_accuracy": TopK,
        "root_mean_squared_error": RootMeanSquaredError,
    },
)


def get_metric(spec: object) -> Metric:
    """Return the metric that `spec` stands for.

    Parameters
    ----------
    spec : str, mapping, class, function, Loss or Metric
        ``"accuracy"``, ``"top_k(3)"``, ``Precision(class_id=1)``, the name of a loss, what
        ``to_config`` returned, or a function ``(target, output) -> float``.

    Raises
    ------
    UnknownNameError, OptionError
        The name is not known, or an option is not possible.

    Examples
    --------
    >>> get_metric("acc")
    Accuracy(name='acc', threshold=0.5)
    """
    if isinstance(spec, Loss):
        return LossMetric(spec)
    metric = TABLE.get(spec, Metric, OwnMetric)
    if isinstance(spec, str) and spec in TABLE.rows:
        metric.name = spec
    return metric
