"""Regularizers: a price on large weights, added to the loss.

As in Keras: the penalty is ``l1 * sum(abs(w)) + l2 * sum(w**2)`` (no factor 1/2), so its gradient
is ``l1 * sign(w) + 2 * l2 * w``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurograph.options import Table, number


class Regularizer:
    """A penalty on weights: ``L1``, ``L2`` or ``L1L2``.

    Attributes
    ----------
    l1, l2 : float
        The factors of sum(abs(w)) and of sum(w**2).
    """

    l1: float
    l2: float

    def __post_init__(self) -> None:
        for what in ("l1", "l2"):
            value = number(f"{type(self).__name__}: {what}", getattr(self, what), least=0)
            object.__setattr__(self, what, value)

    def __call__(self, weights: NDArray[np.floating[Any]]) -> float:
        """Return the penalty for `weights`, an array of any shape."""
        flat = np.ravel(weights)
        return self.l1 * float(np.sum(np.abs(flat))) + self.l2 * float(np.dot(flat, flat))

    def gradient(self, weights: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        """Return the penalty's gradient, of the shape of `weights`."""
        return np.asarray(2 * self.l2 * weights + self.l1 * np.sign(weights))

    def to_config(self) -> dict[str, Any]:
        """Return the regularizer as plain data for ``get_regularizer``."""
        return TABLE.config(self)


@dataclass(frozen=True)
class L1(Regularizer):
    """A price on the sum of absolute weights; it drives weights to exactly 0.

    Examples
    --------
    >>> penalty = L1(0.5)
    >>> penalty(np.array([1.0, -2.0])), penalty.gradient(np.array([1.0, -2.0]))
    (1.5, array([ 0.5, -0.5]))
    """

    l1: float = 0.01
    l2: float = field(default=0.0, init=False)


@dataclass(frozen=True)
class L2(Regularizer):
    """A price on the sum of squared weights.

    Examples
    --------
    >>> penalty = L2(0.1)
    >>> penalty(np.array([1.0, -2.0])), penalty.gradient(np.array([1.0, -2.0]))
    (0.5, array([ 0.2, -0.4]))
    """

    l2: float = 0.01
    l1: float = field(default=0.0, init=False)


@dataclass(frozen=True)
class L1L2(Regularizer):
    """Both prices at once, the elastic net (Zou & Hastie, 2005).

    Examples
    --------
    >>> L1L2(l1=0.5, l2=0.1)(np.array([1.0, -2.0]))
    2.0
    """

    l1: float = 0.0
    l2: float = 0.0


TABLE: Table[Regularizer] = Table("regularizer", {"l1": L1, "l2": L2, "l1_l2": L1L2})


def get_regularizer(spec: object) -> Regularizer | None:
    """Return the regularizer that `spec` stands for; None stays None.

    Parameters
    ----------
    spec : None, str, mapping, class or Regularizer
        ``"l2"``, ``"l2(0.001)"``, ``L2(0.001)``, or what ``to_config`` returned.

    Raises
    ------
    UnknownNameError, OptionError
        The name is not known, or a factor is negative.

    Examples
    --------
    >>> get_regularizer("l2(0.001)")
    L2(l2=0.001, l1=0.0)
    """
    return None if spec is None else TABLE.get(spec, Regularizer)
