"""Metrics of right and wrong answers by kind: precision, recall, F1, the confusion matrix."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurograph.errors import DataError, OptionError
from neurograph.options import number, whole
from neurograph.train.loss import as_weights
from neurograph.train.metric import Metric

Array = NDArray[Any]


@dataclass
class _Hits(Metric):
    """Right and wrong alarms of outputs above a threshold."""

    threshold: float = 0.5
    class_id: int | None = None
    hits: float = field(default=0.0, init=False, repr=False)
    false_alarms: float = field(default=0.0, init=False, repr=False)
    misses: float = field(default=0.0, init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.threshold = number(f"{self.kind}: threshold", self.threshold)
        if self.class_id is not None:
            self.class_id = whole(f"{self.kind}: class_id", self.class_id)

    @property
    def counts_steps(self) -> bool:
        """It looks at all steps, as Keras's."""
        return False

    def reset(self) -> None:
        """Forget everything seen."""
        self.hits = self.false_alarms = self.misses = 0.0

    def update(self, target: Array, output: Array, sample_weight: ArrayLike | None = None) -> None:
        """Add a batch."""
        if target.shape == output.shape[:-1] and output.shape[-1] > 1:
            target = target[..., None] == np.arange(output.shape[-1])
        said, true = output > self.threshold, self._values(target, output).astype(bool)
        if self.class_id is not None:
            if self.class_id >= output.shape[-1]:
                raise OptionError(
                    f"{self.name}: class_id {self.class_id} needs more than the "
                    f"{output.shape[-1]} outputs there are"
                )
            said, true = said[..., self.class_id, None], true[..., self.class_id, None]
        weight: Any = 1.0
        if sample_weight is not None:
            weight = as_weights(sample_weight, output.shape[:-1])[..., None]
        self.hits += float((weight * (said & true)).sum())
        self.false_alarms += float((weight * (said & ~true)).sum())
        self.misses += float((weight * (~said & true)).sum())

    def _share(self, part: float, whole: float) -> float:
        return part / whole if whole else 0.0


@dataclass
class Precision(_Hits):
    """Of the outputs above `threshold`, the share that should be; 0 if there are none.

    Every output is a yes or no of its own; `class_id` looks at one of them alone.

    Examples
    --------
    >>> metric = Precision()
    >>> metric.update(np.array([[1], [0], [1]]), np.array([[0.9], [0.8], [0.2]]))
    >>> metric.result()
    0.5
    """

    kind: ClassVar[str] = "precision"

    def result(self) -> float:
        """Return hits / (hits + false alarms)."""
        return self._share(self.hits, self.hits + self.false_alarms)


@dataclass
class Recall(_Hits):
    """Of the outputs that should be above `threshold`, the share that is; 0 if there are none."""

    kind: ClassVar[str] = "recall"

    def result(self) -> float:
        """Return hits / (hits + misses)."""
        return self._share(self.hits, self.hits + self.misses)


@dataclass
class F1(_Hits):
    """The harmonic mean of precision and recall."""

    kind: ClassVar[str] = "f1"

    def result(self) -> float:
        """Return 2 hits / (2 hits + false alarms + misses)."""
        return self._share(2 * self.hits, 2 * self.hits + self.false_alarms + self.misses)


@dataclass
class ConfusionMatrix(Metric):
    r"""How often each class was taken for each other; its ``result`` is the accuracy.

    Attributes
    ----------
    matrix : array, (classes, classes)
        Counts (or weights): the row is the right class, the column the answer.

    Examples
    --------
    >>> confusion = ConfusionMatrix()
    >>> confusion.update(np.array([0, 1, 1]), np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]]))
    >>> print(confusion)
    right \ answer  0  1
                   0  1  0
                   1  1  1
    >>> confusion.recall
    array([1. , 0.5])
    """

    matrix: Array = field(default_factory=lambda: np.zeros((0, 0)), init=False, repr=False)
    kind: ClassVar[str] = "confusion_matrix"

    def reset(self) -> None:
        """Forget everything seen."""
        self.matrix = np.zeros((0, 0))

    def update(self, target: Array, output: Array, sample_weight: ArrayLike | None = None) -> None:
        """Add a batch; a single output is answered 1 above 1/2."""
        if output.shape[-1] == 1:
            right = self._values(target, output)[..., 0]
            answer, classes = (output[..., 0] > 0.5).astype(np.intp), 2
        else:
            right = self._classes(target, output)
            answer, classes = output.argmax(-1), output.shape[-1]
        right = right.astype(np.intp, copy=False)
        if right.size and not 0 <= right.min() <= right.max() < classes:
            raise DataError(
                f"{self.name}: targets run from {right.min()} to {right.max()}, expected classes 0 "
                f"to {classes - 1}"
            )
        weight = None
        if sample_weight is not None:
            weight = as_weights(sample_weight, output.shape[:-1]).ravel()
        pairs = np.bincount((right * classes + answer).ravel(), weight, minlength=classes**2)
        if self.matrix.shape != (classes, classes):
            self.matrix = np.zeros((classes, classes))
        self.matrix += pairs.reshape(classes, classes)

    def result(self) -> float:
        """Return the share on the diagonal."""
        total = self.matrix.sum()
        return float(np.trace(self.matrix) / total) if total else float("nan")

    @property
    def precision(self) -> Array:
        """For each class, the share of right ones among the answers, (classes,)."""
        return _shares(np.diagonal(self.matrix), self.matrix.sum(axis=0))

    @property
    def recall(self) -> Array:
        """For each class, the share that was recognised, (classes,)."""
        return _shares(np.diagonal(self.matrix), self.matrix.sum(axis=1))

    @property
    def f1(self) -> Array:
        """For each class, the harmonic mean of precision and recall, (classes,)."""
        sums = self.matrix.sum(axis=0) + self.matrix.sum(axis=1)
        return _shares(2 * np.diagonal(self.matrix), sums)

    def __str__(self) -> str:
        cells = [[f"{value:g}" for value in row] for row in self.matrix]
        width = max([len(str(len(cells))), *(len(cell) for row in cells for cell in row)]) + 2
        title = "right \\ answer"
        lines = [title + "".join(f"{i:>{width}}" for i in range(len(cells)))]
        for i, row in enumerate(cells):
            lines.append(f"{i:>{len(title)}}" + "".join(f"{cell:>{width}}" for cell in row))
        return "\n".join(lines)


def _shares(parts: Array, wholes: Array) -> Array:
    return np.divide(parts, wholes, out=np.zeros(len(parts)), where=wholes > 0)
