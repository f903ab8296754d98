"""Samples as one array, or the sentence that names the one that does not fit the others."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurograph.errors import DataError, ShapeError


def stack_samples(samples: Any, what: str, axes: int = 0) -> NDArray[Any]:
    """Return samples, nested lists or arrays of any kind, as one array.

    Parameters
    ----------
    samples : array-like
    what : str
        How messages call it.
    axes : int
        How many axes a sample has at least; what has fewer is called a row, of one sample.

    Raises
    ------
    ShapeError
        They differ in shape; the message has the number of the first that does.

    Examples
    --------
    >>> stack_samples([[1, 2], [3, 4], [5]], "x")
    Traceback (most recent call last):
    neurograph.errors.ShapeError: x: sample 2 has shape (1,), sample 0 has (2,); bring them to one \
length by ng.datasets.pad_sequences(), and mask what it fills in
    """
    if isinstance(samples, np.ndarray) and samples.dtype == object and samples.ndim:
        samples = samples.tolist()  # arrays of lists, as ragged data are often kept
    try:
        array = np.asarray(samples)
        return np.asarray(array.tolist()) if array.dtype == object else array
    except ValueError as error:
        raise ShapeError(f"{what}: {_differing(samples, axes)}") from error


def number_array(samples: Any, what: str) -> NDArray[Any]:
    """Return samples as one array of numbers, which need not be finite.

    Raises
    ------
    ShapeError, DataError
        They differ in shape, or are no numbers.

    Examples
    --------
    >>> number_array(["a"], "x")
    Traceback (most recent call last):
    neurograph.errors.DataError: x: expected numbers, got an array of str32
    """
    array = stack_samples(samples, what)
    if array.dtype.kind not in "fiub":
        raise DataError(f"{what}: expected numbers, got an array of {array.dtype.name}")
    return array


def _differing(samples: Any, axes: int) -> str:
    first: tuple[int, ...] | None = None
    for number, sample in enumerate(samples):
        try:
            shape = np.shape(sample)
        except ValueError:
            return f"sample {number} is ragged itself: its rows differ in length"
        first = shape if first is None else first
        if shape != first:
            kind = "sample" if len(first) >= axes else "row"
            return (
                f"{kind} {number} has shape {shape}, {kind} 0 has {first}; bring them to one "
                "length by ng.datasets.pad_sequences(), and mask what it fills in"
            )
    return "its samples cannot be one array"
