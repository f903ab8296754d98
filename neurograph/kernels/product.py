"""Convolutions that are one matrix product: kernels of one cell, or as large as the image."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from neurograph.kernels.columns import columns_of
from neurograph.kernels.geometry import Geometry2D
from neurograph.kernels.team import carve, nbytes_of, share

Array = npt.NDArray[Any]
NUMBERS = 1 << 17  # numbers that are formed, then added, at a time


def is_product(geometry: Geometry2D) -> bool:
    """Tell whether every window is one contiguous run of the image that no other window shares."""
    if geometry.groups > 1 or max(geometry.padding) > 0:
        return False
    single = geometry.kernel == (1, 1) and geometry.strides == (1, 1)
    return single or (geometry.kernel == geometry.in_shape[:2] and geometry.dilation == (1, 1))


class Product:
    """Outputs from inputs and a kernel, or gradients of inputs from deltas and the kernel.

    Parameters
    ----------
    geometry : Geometry2D
        One for which `is_product` holds.
    dtype : dtype
    batch : int
        Largest number of images of one call.
    turned : bool
        Whether deltas go in and gradients of the inputs come out.
    """

    def __init__(
        self, geometry: Geometry2D, dtype: npt.DTypeLike, batch: int, turned: bool
    ) -> None:
        self.dtype, self.turned = np.dtype(dtype), turned
        self.prepared_shape = (1, columns_of(geometry), geometry.filters)
        self.rows = max(NUMBERS // self.prepared_shape[2 - turned], 1)
        self.nbytes = nbytes_of(dtype, (self.rows, self.prepared_shape[2 - turned]))

    def prepare(self, kernel: Array, prepared: Array, channels: slice) -> None:
        """Do nothing: the kernel is used as it is."""

    def run(self, x: Array, prepared: Array, out: Array, memory: Array, accumulate: bool) -> None:
        """Compute, or add, the outputs of some images."""
        weights = prepared[0].T if self.turned else prepared[0]
        into = out.reshape(-1, weights.shape[1])
        lines = x.reshape(-1, weights.shape[0])
        if not accumulate:
            np.matmul(lines, weights, out=into)
            return
        (spare,) = carve(memory, self.dtype, (self.rows, weights.shape[1]))
        for start in range(0, len(lines), self.rows):
            part = into[start : start + self.rows]
            product = spare[: len(part)]
            np.matmul(lines[start : start + self.rows], weights, out=product)
            np.add(part, product, out=part)


class ProductWeights:
    """The gradient of a kernel from inputs and deltas: one product for each thread."""

    def __init__(self, geometry: Geometry2D, dtype: npt.DTypeLike, batch: int) -> None:
        self.partial_shape = (1, columns_of(geometry), geometry.filters)
        self.nbytes = 0

    def run(self, x: Array, d_out: Array, partial: Array, memory: Array) -> None:
        """Compute the gradient over some images."""
        _, taps, filters = self.partial_shape
        np.matmul(x.reshape(-1, taps).T, d_out.reshape(-1, filters), out=partial[0])

    def finish(self, partials: list[Array], d_kernel: Array, member: int, members: int) -> None:
        """Sum a share of the members' gradients."""
        _, taps, filters = self.partial_shape
        these = slice(*share(taps, member, members))
        total = partials[0][0, these]
        for partial in partials[1:]:
            np.add(total, partial[0, these], out=total)
        if not np.shares_memory(total, d_kernel):
            np.copyto(d_kernel.reshape(taps, filters)[these], total)
