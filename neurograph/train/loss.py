"""What a loss is: one number for targets and outputs, and its gradient with respect to the outputs.

Every loss has two forms. ``value_and_gradient`` is the definition, in the words of the formula.
``lines`` is the same arithmetic in place, which the compiler puts into its source text. Its slots:

========== =====================================================================================
target     what the network should give: float, of the shape and dtype of `output`; class numbers
           (intp, without the last axis) for the sparse loss
output     what it gave: (…, values)
d_output   to be written: the gradient of `loss`
loss       to be assigned: a Python float
batch      a Python int: the number of samples, read by ``sse``
weight     only in the weighted variants: broadcasts against `output`, its last axis is 1
========== =====================================================================================

Losses are means over every axis but the last, as Keras's ``"sum_over_batch_size"``; the arithmetic
does not depend on the order of those axes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurograph.errors import DataError, ShapeError
from neurograph.lines import Lines
from neurograph.options import config_of

Array = NDArray[Any]


class Loss:
    """A loss: called with (target, output), it gives the mean over the batch.

    Attributes
    ----------
    name : str
        The name it goes by in messages and in the history.
    class_numbers : bool
        Whether targets are class numbers, of the shape of the output without its last axis.
    counts_steps : bool or None
        Whether its mean is over steps as well as samples, so that under a mask it is one over the
        steps that count; None for a function of one's own, which no mask can be taken into.
    """

    name: str = "loss"
    class_numbers: ClassVar[bool] = False
    counts_steps: ClassVar[bool | None] = True

    def __call__(self, target: ArrayLike, output: ArrayLike) -> float:
        """Return the mean loss over the batch."""
        return self.value_and_gradient(target, output)[0]

    def value_and_gradient(
        self, target: ArrayLike, output: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> tuple[float, Array]:
        """Return the mean loss over the batch and its gradient with respect to the output.

        Parameters
        ----------
        target : array-like
            As ``check`` returns it; one sample may come without its batch axis.
        output : array-like, (batch, …, values) or (values,)
        sample_weight : array-like, (batch,) or (batch, …), optional
            A factor for each sample or each of its steps. As in Keras the sum is still divided by
            their number, not by the sum of the weights.

        Raises
        ------
        ShapeError
            Target or weights do not fit the output.
        """
        output = as_floats(output)
        if output.ndim == 1:
            weight = None if sample_weight is None else np.reshape(sample_weight, (1,))
            value, gradient = self.value_and_gradient(
                np.asarray(target)[None], output[None], weight
            )
            return value, gradient[0]
        target = self._fit(np.asarray(target), output.shape[1:])
        if not output.size:
            raise DataError(f"{self.name}: there are no outputs, their shape is {output.shape}")
        if len(target) != len(output):
            raise ShapeError(f"{self.name}: {len(target)} targets for {len(output)} outputs")
        losses, gradient = self._rows(target, output)
        if sample_weight is not None:
            weight = as_weights(sample_weight, losses.shape)
            losses = losses * weight
            gradient = gradient * weight[..., None]
        count = self.count(output.shape)
        return float(losses.sum(dtype=np.float64)) / count, np.asarray(gradient / count)

    def step_weight(self, mask: Array | None, sample_weight: Array | None = None) -> Array | None:
        """Return the weights of samples and steps under a mask, as ``value_and_gradient`` takes it.

        As in Keras a mean is then one over the steps that count.

        Parameters
        ----------
        mask : array of bool, (batch, steps), or None
        sample_weight : array, (batch,) or (batch, steps), or None

        Examples
        --------
        >>> Loss().step_weight(np.array([[True, True], [True, False]])).round(3).tolist()
        [[1.333, 1.333], [1.333, 0.0]]
        """
        if mask is None or self.counts_steps is None:
            return sample_weight
        share = mask.size / max(1, int(np.count_nonzero(mask))) if self.counts_steps else 1.0
        weight = mask * share
        if sample_weight is not None:
            ones = (1,) * (mask.ndim - sample_weight.ndim)
            weight = weight * sample_weight.reshape(sample_weight.shape + ones)
        return weight

    def check(self, target: ArrayLike, output_shape: Sequence[int | None]) -> Array:
        r"""Return targets in the shape this loss works on, or refuse them.

        Parameters
        ----------
        target : array-like, (samples, …)
            All targets of a data set or batch.
        output_shape : sequence of int or None
            The shape of the output for one sample; None for a length that may vary.

        Returns
        -------
        array
            (samples, \*output_shape); for class numbers without the last axis and as intp. Float
            dtypes are left as they are.

        Raises
        ------
        ShapeError, DataError
            The targets do not fit the outputs or the loss; the message names the sample.
        """
        target = np.asarray(target)
        if target.dtype.kind not in "fiub":
            raise DataError(
                f"{self.name}: targets must be numbers, got an array of {target.dtype.name}"
            )
        if target.size == 0:
            raise DataError(f"{self.name}: there are no targets, their shape is {target.shape}")
        target = self._fit(target, tuple(output_shape))
        self._check_values(target)
        return target

    def check_activation(self, activation: str) -> None:
        """Refuse an output activation whose values this loss cannot take.

        Raises
        ------
        OptionError
            For example probabilities are wanted and the outputs are any numbers.
        """

    def lines(self, weighted: bool = False) -> Lines | None:
        """Return loss and gradient as in-place statements, None where there is no such form."""
        return None

    def fused_softmax(self, weighted: bool = False) -> Lines | None:
        """Return lines where `output` is a softmax and `d_output` becomes the gradient of its net.

        None for losses that do not simplify so.
        """
        return None

    def fused_sigmoid(self, weighted: bool = False) -> Lines | None:
        """Return lines where `output` is a sigmoid and `d_output` becomes the gradient of its net.

        None for losses that do not simplify so.
        """
        return None

    def to_config(self) -> dict[str, Any]:
        """Return the loss as plain data for ``get_loss``."""
        return config_of(self.name, self)

    def _rows(self, target: Array, output: Array) -> tuple[Array, Array]:
        """Return each row's loss and the gradient of that loss: shapes (…,) and (…, values)."""
        raise NotImplementedError

    def count(self, shape: tuple[int, ...]) -> int:
        """Return how many terms the mean has for outputs of `shape`, (batch, …, values)."""
        return math.prod(shape[:-1])

    def _fit(self, target: Array, output_shape: tuple[int | None, ...]) -> Array:
        wanted = output_shape
        if output_shape and output_shape[-1] == 1 and target.ndim == len(output_shape):
            target = target[..., None]
        if not fits(target.shape[1:], wanted) or target.ndim == 0:
            raise ShapeError(
                f"{self.name}: targets of shape {target.shape} do not fit outputs of shape "
                f"{shown(output_shape)}" + self._hint(target, output_shape)
            )
        return target

    def _hint(self, target: Array, output_shape: tuple[int | None, ...]) -> str:
        return ""

    def _check_values(self, target: Array) -> None:
        check_range(self.name, target)


@dataclass(frozen=True)
class OwnLoss(Loss):
    """A function ``(target, output) -> (mean over the batch, gradient)`` of one's own.

    Parameters
    ----------
    function : callable
        Given target and output, (batch, …), it returns the mean loss over the batch and the
        gradient of that mean with respect to the output.

    Examples
    --------
    >>> def cubic(target, output):
    ...     error = abs(output - target)
    ...     gradient = 3 * error**2 * np.sign(output - target) / len(output)
    ...     return (error**3).sum() / len(output), gradient
    >>> OwnLoss(cubic).value_and_gradient([[0.0], [1.0]], [[2.0], [1.0]])
    (4.0, array([[6.],
           [0.]]))
    """

    function: Callable[[Array, Array], tuple[float, Array]]
    counts_steps: ClassVar[bool | None] = None

    @property
    def name(self) -> str:  # type: ignore[override]
        """The function's name."""
        return getattr(self.function, "__name__", type(self.function).__name__)

    def value_and_gradient(
        self, target: ArrayLike, output: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> tuple[float, Array]:
        """Return the function's loss and gradient, checked.

        With `sample_weight` the function is called for each sample alone, since a mean cannot be
        taken apart.

        Raises
        ------
        DataError, ShapeError
            The function returned something else than (number, array of the output's shape).
        """
        target, output = np.asarray(target), as_floats(output)
        value, gradient = self._call(target, output)
        if sample_weight is None:
            return value, gradient
        weight = as_weights(sample_weight, output.shape[:1])
        alone = [self._call(target[i : i + 1], output[i : i + 1])[0] for i in range(len(output))]
        spread = weight.reshape(-1, *(1,) * (output.ndim - 1))
        return float(np.dot(weight, alone)) / len(output), gradient * spread

    def _call(self, target: Array, output: Array) -> tuple[float, Array]:
        result = self.function(target, output)
        try:
            value, gradient = result
            value, gradient = float(value), np.asarray(gradient, dtype=output.dtype)
        except (TypeError, ValueError) as error:
            raise DataError(
                f"the loss {self.name} must return (mean loss, gradient with respect to the "
                f"output), got {type(result).__name__}"
            ) from error
        if gradient.shape != output.shape:
            raise ShapeError(
                f"the loss {self.name} returned a gradient of shape {gradient.shape} for outputs "
                f"of shape {output.shape}"
            )
        return value, gradient

    def _fit(self, target: Array, output_shape: tuple[int | None, ...]) -> Array:
        return target  # what its targets mean is the function's own affair

    def to_config(self) -> dict[str, Any]:
        """Return the function's name; the function itself cannot be saved."""
        return {"name": "function", "function": self.name}


def as_floats(values: ArrayLike) -> Array:
    """Return an array of floats: float32 stays, everything else becomes float64."""
    array = np.asarray(values)
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)


def as_weights(sample_weight: ArrayLike, rows: tuple[int, ...]) -> Array:
    """Return sample weights broadcast to `rows`, the output's shape without its last axis.

    Raises
    ------
    DataError, ShapeError
        A weight is negative or not finite, or there is not one for each sample.

    Examples
    --------
    >>> as_weights([1, 2], (2, 3))
    array([[1., 1., 1.],
           [2., 2., 2.]])
    """
    weight = as_floats(sample_weight)
    if weight.ndim == 0 or weight.shape != rows[: weight.ndim]:
        raise ShapeError(
            f"sample weights of shape {weight.shape} do not fit {rows[0]} samples; give one weight "
            f"for each sample" + (f" or an array of shape {rows}" if len(rows) > 1 else "")
        )
    check_range("sample weights", weight, low=0.0)
    return np.broadcast_to(weight.reshape(weight.shape + (1,) * (len(rows) - weight.ndim)), rows)


def check_range(
    what: str, values: Array, low: float = -np.inf, high: float = np.inf, cure: str = ""
) -> None:
    """Refuse arrays with NaN, infinity or values outside `low` .. `high`; name the first sample."""
    least, most = float(values.min()), float(values.max())
    if np.isfinite(least) and np.isfinite(most) and least >= low and most <= high:
        return
    bad = ~(np.isfinite(values) & (values >= low) & (values <= high))
    where = np.argwhere(bad)[0]
    limits = f" between {low:g} and {high:g}" if np.isfinite(high) else ""
    limits = f" of at least {low:g}" if np.isfinite(low) and not limits else limits
    raise DataError(
        f"{what}: sample {where[0]} holds {values[tuple(where)]}, expected finite numbers"
        f"{limits}{cure}"
    )


def fits(shape: tuple[int, ...], wanted: Sequence[int | None]) -> bool:
    """Return whether `shape` is `wanted`, in which None stands for any length."""
    return len(shape) == len(wanted) and all(
        b is None or a == b for a, b in zip(shape, wanted, strict=True)
    )


def shown(output_shape: Sequence[int | None]) -> str:
    """Return a shape with its batch axis, as messages print it.

    >>> shown((None, 10))
    '(batch, ?, 10)'
    """
    return "(" + ", ".join(["batch", *("?" if n is None else str(n) for n in output_shape)]) + ")"
