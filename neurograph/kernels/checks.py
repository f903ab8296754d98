"""What kernels ask of their arrays, and the sentence that says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from neurograph.errors import ShapeError


def check_batches(
    name: str,
    most: int,
    dtype: np.dtype[Any],
    arrays: Mapping[str, tuple[npt.NDArray[Any], tuple[int, ...]]],
    contiguous: bool = True,
) -> None:
    """See that arrays are batches of one size, of the shapes and the dtype of a workspace.

    Parameters
    ----------
    name : str
        The function that was called.
    most : int
        Largest batch of the workspace.
    dtype : dtype
    arrays : mapping of str to (array, shape of a sample)
    contiguous : bool
        Whether the arrays must be contiguous, and not slices of the channels of larger arrays.

    Raises
    ------
    ShapeError
        If an array does not fit.
    """
    batch = len(next(iter(arrays.values()))[0])
    for key, (array, shape) in arrays.items():
        fits = array.shape == (batch, *shape) and array.dtype == dtype
        if not fits or not 0 < batch <= most:
            wanted = ", ".join(map(str, ("batch", *shape)))
            raise ShapeError(
                f"{name}: {key} is {array.dtype} {array.shape}, but the workspace is for "
                f"{dtype} ({wanted}), 1 to {most} samples"
            )
        if not array.flags.c_contiguous and (contiguous or not _slice_of_channels(array)):
            raise ShapeError(f"{name}: {key} is not contiguous; pass a contiguous array")


def _slice_of_channels(array: npt.NDArray[Any]) -> bool:
    """Tell whether an array would be contiguous if some more channels belonged to it."""
    step = array.strides[-2]
    for size, stride in zip(array.shape[-2::-1], array.strides[-2::-1], strict=True):
        if stride != step and size > 1:
            return False
        step *= size
    return array.strides[-1] == array.itemsize
