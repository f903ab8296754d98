"""Sequences of different length, brought to one length."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from neurograph.datasets.checks import Array, as_numbers
from neurograph.errors import DataError, ShapeError, unknown
from neurograph.options import whole

_SIDES = ("pre", "post")


def pad_sequences(
    sequences: Sequence[ArrayLike],
    maxlen: int | None = None,
    dtype: DTypeLike | None = None,
    padding: Literal["pre", "post"] = "pre",
    truncating: Literal["pre", "post"] = "pre",
    value: float = 0,
) -> Array:
    r"""Return sequences as one array of one length, as Keras's function of that name does.

    What is filled in is skipped by ``Masking(value)``, or by ``Embedding(…, mask_zero=True)``.

    Parameters
    ----------
    sequences : sequence of array-like, each (steps,) or (steps, \*features)
    maxlen : int, optional
        Steps of the result; those of the longest sequence when left out.
    dtype : dtype, optional
        Of the result; the common one of the sequences when left out.
    padding, truncating : "pre" or "post"
        Where short sequences are filled, and where long ones are cut: before or after.
    value : float
        What short sequences are filled with.

    Returns
    -------
    array, (sequences, maxlen) or (sequences, maxlen, \*features)

    Raises
    ------
    ShapeError
        For sequences whose steps differ in shape, with their numbers.
    DataError
        For none at all, or for what is no number.

    Examples
    --------
    >>> pad_sequences([[1, 2, 3], [4]])
    array([[1, 2, 3],
           [0, 0, 4]])
    >>> pad_sequences([[1.5], [2, 3, 4]], maxlen=2, padding="post").tolist()
    [[1.5, 0.0], [3.0, 4.0]]
    """
    for name, side in (("padding", padding), ("truncating", truncating)):
        if side not in _SIDES:
            raise unknown(name, side, _SIDES, of="pad_sequences()")
    if not isinstance(sequences, Iterable):
        raise DataError(f"pad_sequences() takes a list of sequences, got {sequences!r}")
    arrays = [_steps(number, each) for number, each in enumerate(sequences)]
    filled = [each for each in arrays if each.size]
    if not filled:
        raise DataError("pad_sequences() got no sequence with a step in it")
    features = filled[0].shape[1:]
    for number, each in enumerate(arrays):
        if each.ndim == 0 or (each.size and each.shape[1:] != features):
            raise ShapeError(
                f"pad_sequences(): sequence {number} has shape {each.shape}, expected "
                f"(steps{''.join(f', {size}' for size in features)}{'' if features else ','}) "
                "as that of the first"
            )
    longest = max(map(len, arrays))
    steps = longest if maxlen is None else whole("maxlen", maxlen, least=1)
    kind: Any = np.result_type(*filled) if dtype is None else dtype
    result = np.full((len(arrays), steps, *features), value, kind)
    for row, each in zip(result, arrays, strict=True):
        kept = each[-steps:] if truncating == "pre" else each[:steps]
        if len(kept):
            row[slice(-len(kept), None) if padding == "pre" else slice(len(kept))] = kept
    return result


def _steps(number: int, sequence: Any) -> Array:
    """Return a sequence as an array; one without a step may have any shape."""
    try:
        empty = np.size(sequence) == 0
    except ValueError:  # its steps differ in shape, as as_numbers says
        empty = False
    return np.asarray(sequence) if empty else as_numbers(f"sequence {number}", sequence)
