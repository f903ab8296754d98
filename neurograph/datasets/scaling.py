"""Scaling that remembers the training part's statistics, so that all data are treated alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurograph.datasets.checks import Array, as_floats, as_labels
from neurograph.errors import DataError, FormatError, OptionError, ShapeError, unknown
from neurograph.options import number


class Scaler:
    """A line per feature, ``(x - offset) / unit``, learned from the training part.

    Use ``MinMaxScaler`` or ``Standardizer``. Features are the last axis of the data; all other
    axes (samples, time steps) are taken together. A feature that never changes is only moved,
    not stretched.
    """

    kind: ClassVar[str]

    def __init__(self) -> None:
        self.offset: NDArray[np.float64] | None = None
        self.unit: NDArray[np.float64] | None = None

    def fit(self, x: ArrayLike) -> Self:
        """Learn offset and unit of each feature.

        Parameters
        ----------
        x : (samples, features), or any shape whose last axis is the features

        Returns
        -------
        the scaler itself
        """
        values = as_floats(f"the data for {type(self).__name__}.fit()", x)
        if values.ndim < 2:
            raise ShapeError(
                f"{type(self).__name__}.fit() got an array of shape {values.shape}: it takes "
                "(samples, features); one series of numbers is values[:, np.newaxis]"
            )
        rows = values.reshape(-1, values.shape[-1]).astype(np.float64)
        self.offset, unit = self._learn(rows)
        if not (np.isfinite(self.offset).all() and np.isfinite(unit).all()):
            raise DataError(f"{type(self).__name__}.fit() got numbers too large to scale")
        self.unit = np.where(unit > 0, unit, 1.0)
        return self

    def transform(self, x: ArrayLike) -> Array:
        """Return the data scaled; float32 stays float32, everything else becomes float64."""
        offset, unit = self._fitted("transform")
        values = self._matching("transform", x, len(offset))
        return ((values - offset) / unit).astype(values.dtype)

    def fit_transform(self, x: ArrayLike) -> Array:
        """Learn from the data and return them scaled."""
        return self.fit(x).transform(x)

    def inverse(self, x: ArrayLike, columns: int | Sequence[int] | None = None) -> Array:
        """Return scaled numbers, a network's predictions for example, in their old units.

        Parameters
        ----------
        x : (…, features)
        columns : int or sequence of int, optional
            Which features the last axis of ``x`` holds, where it holds not all of them.

        Examples
        --------
        >>> scaler = MinMaxScaler().fit([[0.0, 100.0], [10.0, 300.0]])
        >>> scaler.inverse([[0.5, 0.5]])
        array([[  5., 200.]])
        >>> scaler.inverse([[0.5], [1.0]], columns=1)
        array([[200.],
               [300.]])
        """
        offset, unit = self._fitted("inverse")
        if columns is not None:
            picked = as_labels("columns", np.atleast_1d(columns), len(offset))
            offset, unit = offset[picked], unit[picked]
        values = self._matching("inverse", x, len(offset))
        return (values * unit + offset).astype(values.dtype)

    def to_dict(self) -> dict[str, Any]:
        """Return what the scaler has learned, for JSON."""
        offset, unit = self._fitted("to_dict")
        return {"kind": self.kind, "offset": offset.tolist(), "unit": unit.tolist()}

    @staticmethod
    def from_dict(state: Mapping[str, Any]) -> Scaler:
        """Return the scaler that ``to_dict`` described."""
        if not isinstance(state, Mapping) or not {"kind", "offset", "unit"} <= set(state):
            raise FormatError("a scaler is described by 'kind', 'offset' and 'unit'")
        if state["kind"] not in _KINDS:
            raise unknown("scaler", state["kind"], _KINDS)
        scaler = _KINDS[state["kind"]]()
        scaler.offset = as_floats("offset", state["offset"]).astype(np.float64)
        scaler.unit = as_floats("unit", state["unit"]).astype(np.float64)
        if scaler.offset.ndim != 1 or scaler.offset.shape != scaler.unit.shape:
            raise FormatError("'offset' and 'unit' of a scaler need one number a feature each")
        if (scaler.unit <= 0).any():
            raise FormatError("the units of a scaler must be above 0")
        return scaler

    def __repr__(self) -> str:
        state = "not fitted" if self.offset is None else f"{len(self.offset)} features"
        return f"<{type(self).__name__}, {state}>"

    def _learn(self, rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        raise OptionError("Scaler itself learns nothing: use MinMaxScaler or Standardizer")

    def _fitted(self, what: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        if self.offset is None or self.unit is None:
            raise DataError(
                f"{type(self).__name__}.{what}() was called before fit(): "
                "fit it on the training part"
            )
        return self.offset, self.unit

    def _matching(self, what: str, x: ArrayLike, features: int) -> Array:
        values = as_floats(f"the data for {type(self).__name__}.{what}()", x)
        if values.ndim == 0 or values.shape[-1] != features:
            raise ShapeError(
                f"{type(self).__name__}.{what}() got an array of shape {values.shape}: "
                f"its last axis must hold {features} feature{'s' if features > 1 else ''}"
            )
        return values


class MinMaxScaler(Scaler):
    """Bring each feature of the training part to ``low..high``.

    Examples
    --------
    >>> scaler = MinMaxScaler().fit([[1.0, 5.0], [3.0, 5.0]])
    >>> scaler.transform([[2.0, 5.0], [4.0, 6.0]])
    array([[0.5, 0. ],
           [1.5, 1. ]])
    """

    kind = "minmax"

    def __init__(self, low: float = 0.0, high: float = 1.0) -> None:
        super().__init__()
        self.low, self.high = number("low", low), number("high", high)
        if not self.low < self.high:
            raise OptionError(f"MinMaxScaler needs low below high, not {low!r} and {high!r}")

    def _learn(self, rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        least, most = rows.min(axis=0), rows.max(axis=0)
        with np.errstate(over="ignore", invalid="ignore"):
            unit = (most - least) / (self.high - self.low)
            return least - self.low * np.where(unit > 0, unit, 1.0), unit


class Standardizer(Scaler):
    """Bring each feature of the training part to mean 0 and variance 1.

    Examples
    --------
    >>> scaler = Standardizer().fit([[1.0], [3.0]])
    >>> scaler.transform([[3.0], [4.0]])
    array([[1.],
           [2.]])
    >>> Scaler.from_dict(scaler.to_dict()).inverse([[2.0]])
    array([[4.]])
    """

    kind = "standard"

    def _learn(self, rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        with np.errstate(over="ignore", invalid="ignore"):
            return rows.mean(axis=0), rows.std(axis=0)


_KINDS: dict[str, type[Scaler]] = {each.kind: each for each in (MinMaxScaler, Standardizer)}
