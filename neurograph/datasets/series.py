"""Windows over time series: what was seen, and what came next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike

from neurograph.datasets.checks import Array, as_labels, as_numbers
from neurograph.datasets.dataset import Dataset, Part
from neurograph.errors import DataError, ShapeError
from neurograph.options import whole


def windows(
    series: ArrayLike,
    length: int,
    *,
    horizon: int = 1,
    step: int = 1,
    targets: int | Sequence[int] | None = None,
    copy: bool = True,
) -> Part:
    """Return every window of a series and the values that follow it.

    Window ``i`` is ``series[i * step : i * step + length]``; its target is what comes next.

    Parameters
    ----------
    series : (time,) or (time, features)
    length : int
        Time steps in a window.
    horizon : int
        Time steps in a target.
    step : int
        Time steps from one window to the next.
    targets : int or sequence of int, optional
        Which features to predict; all of them when left out. An int drops the feature axis.
    copy : bool
        False gives read-only views of the series, which need no memory of their own.

    Returns
    -------
    Part
        ``x`` (windows, length) or (windows, length, features); ``y`` (windows,) or
        (windows, features) for a horizon of 1, with an axis for the horizon in second place
        where it is longer.

    Raises
    ------
    DataError
        When the series is too short for one window and its target.

    Examples
    --------
    >>> x, y = windows([1, 2, 3, 4, 5], 3)
    >>> x, y
    (array([[1, 2, 3],
           [2, 3, 4]]), array([4, 5]))
    >>> x, y = windows([[1, 10], [2, 20], [3, 30], [4, 40]], 2, horizon=2, targets=[0])
    >>> x.shape, y.tolist()
    ((1, 2, 2), [[[3], [4]]])
    """
    values = as_numbers("the series", series)
    if values.ndim not in (1, 2):
        raise ShapeError(
            f"windows() got a series of shape {values.shape}: it takes (time,) or (time, features)"
        )
    length, horizon = whole("length", length, least=1), whole("horizon", horizon, least=1)
    step = whole("step", step, least=1)
    count = len(values) - length - horizon + 1
    if count < 1:
        raise DataError(
            f"windows() got {len(values)} time steps: windows of {length} with {horizon} to "
            f"predict need at least {length + horizon}"
        )
    goal = values
    if targets is not None:
        if values.ndim == 1:
            raise ShapeError("windows() got targets= for a series (time,), which has no features")
        picked = as_labels("targets", targets, values.shape[1])
        goal = values[:, int(picked) if picked.ndim == 0 else picked]
    x = sliding_window_view(values, length, axis=0)[:count:step]
    y = sliding_window_view(goal[length:], horizon, axis=0)[:count:step]
    x, y = np.moveaxis(x, -1, 1), np.moveaxis(y, -1, 1)
    y = y[:, 0] if horizon == 1 else y
    return Part(np.array(x, order="C"), np.array(y, order="C")) if copy else Part(x, y)


def from_series(
    series: ArrayLike,
    window: int,
    *,
    test: int,
    horizon: int = 1,
    name: str = "series",
    description: str = "",
    licence: str = "",
    feature_names: Sequence[str] = (),
    columns: Mapping[str, Array] | None = None,
) -> Dataset:
    """Return a series of one's own as a data set of windows and the values that follow them.

    Its last values are held out: no target of the training part, and nothing in its windows, lies
    among them. ``scaled()`` goes by the training part alone.

    Parameters
    ----------
    series : (time,) or (time, features)
    window, horizon : int
        Time steps that are seen, and that are to be predicted.
    test : int
        How many of the last time steps are targets of the test part.
    name, description, licence, feature_names, columns
        Kept in the data set.

    Returns
    -------
    Dataset
        ``x`` (windows, window, features), ``y`` (windows, features), or (windows, horizon,
        features) for longer horizons

    Raises
    ------
    ShapeError, DataError
        The series has more axes, or is too short.

    Examples
    --------
    >>> data = from_series([1, 2, 4, 8, 16, 32], window=2, test=2, name="powers")
    >>> data.train.x[..., 0].tolist(), data.train.y.ravel(), data.test.x[..., 0].tolist()
    ([[1, 2], [2, 4]], array([4, 8]), [[4, 8], [8, 16]])
    """
    values = as_numbers("the series", series)
    if values.ndim == 1:
        values = values[:, np.newaxis]
    window, horizon = whole("window", window, least=1), whole("horizon", horizon, least=1)
    test = whole("test", test, least=1)
    room = len(values) - window - horizon
    if not horizon <= test <= room:
        raise DataError(
            f"{name} has {len(values)} values: with a window of {window} and a horizon of "
            f"{horizon}, test must lie between {horizon} and {room}, not {test}"
        )
    first = len(values) - test
    return Dataset(
        name,
        windows(values[:first], window, horizon=horizon),
        windows(values[first - window :], window, horizon=horizon),
        "series",
        description,
        licence,
        feature_names=tuple(feature_names),
        columns=columns or {},
    )
