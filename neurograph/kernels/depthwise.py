"""Depthwise convolutions: every channel by itself, tap after tap, in blocks that stay in cache."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from neurograph.kernels.frame import Frame
from neurograph.kernels.geometry import Geometry2D
from neurograph.kernels.team import Blocks, block_size, carve, nbytes_of, share

Array = npt.NDArray[Any]
CELLS = 1 << 16  # numbers of a block of outputs
RUN = 1024  # numbers that one row of repeated weights has, about


def repeats(geometry: Geometry2D) -> int:
    """Return how many outputs side by side share one row of repeated weights.

    A divisor of the width that makes runs of about `RUN` numbers.
    """
    width, channels = geometry.out_shape[1:]
    few = max(RUN // channels, 1)
    return max(each for each in range(1, width + 1) if width % each == 0 and each <= max(few, 1))


class _Taps:
    """A frame of inputs, and what each tap of the kernel sees of it."""

    def __init__(self, geometry: Geometry2D, images: int, rows: int, whole: bool) -> None:
        top, bottom, left, right = geometry.padding
        height, width, channels = geometry.in_shape
        down = geometry.strides[0]
        high = (rows - 1) * down + geometry.extent[0]
        if whole:
            high = height + top + bottom
        # NumPy adds in place only where it sees no overlap: where strides divide one another
        size = (-(-high // down) * down, width + left + right)
        self.geometry, self.rows = geometry, rows
        self.frame = Frame(geometry.in_shape, (top, left), size, images, geometry.strides[1])
        self.lines = (images, rows, geometry.out_shape[1], channels)
        side = repeats(geometry)
        self.shape = (images, rows, geometry.out_shape[1] // side, side * channels)

    def bind(self, cells: Array) -> None:
        """Take an array of the frame's shape, and find what each tap sees."""
        geometry, width = self.geometry, self.geometry.out_shape[1]
        down, right = geometry.strides
        self.frame.bind(cells)
        self.seen, self.lines_seen = [], []
        for row in range(geometry.kernel[0]):
            for column in range(geometry.kernel[1]):
                far = column * geometry.dilation[1]
                first = row * geometry.dilation[0]
                view = cells[far % right][
                    :,
                    first : first + (self.rows - 1) * down + 1 : down,
                    far // right : far // right + width,
                ]
                self.seen.append(view.reshape(self.shape))
                self.lines_seen.append(view.reshape(*view.shape[:2], -1))


class DepthwiseForward:
    """Outputs from inputs and a kernel (rows, columns, 1, channels), in the memory of one thread.

    Parameters
    ----------
    geometry : Geometry2D
        As many groups and filters as channels.
    dtype : dtype
    batch : int
        Largest number of images of one call, for the size of the blocks.
    """

    def __init__(self, geometry: Geometry2D, dtype: npt.DTypeLike, batch: int) -> None:
        self.geometry, self.dtype = geometry, np.dtype(dtype)
        self.prepared_shape = prepared_shape(geometry)
        rows, width, channels = geometry.out_shape
        size = block_size(batch, rows, width, max(CELLS // channels, 1))
        self.nbytes = nbytes_of(dtype, *self._shapes(*size))
        self.blocks = Blocks(rows, size, self._make)

    def _shapes(self, images: int, rows: int) -> list[tuple[int, ...]]:
        taps = _Taps(self.geometry, images, rows, whole=False)
        return [taps.frame.shape, taps.shape, taps.shape]

    def _make(self, images: int, rows: int, memory: Array) -> tuple[_Taps, Array, Array]:
        taps = _Taps(self.geometry, images, rows, whole=False)
        cells, sums, product = carve(memory, self.dtype, *self._shapes(images, rows))
        taps.bind(cells)
        return taps, sums, product

    def prepare(self, kernel: Array, prepared: Array, channels: slice) -> None:
        """Repeat the kernel's filters for outputs side by side."""
        repeat(kernel, prepared, channels)

    def run(self, x: Array, prepared: Array, out: Array, memory: Array, accumulate: bool) -> None:
        """Compute, or add, the outputs of some images."""
        down = self.geometry.strides[0]
        weights = prepared.reshape(len(prepared), -1)
        for (taps, sums, product), fresh, these, row in self.blocks.over(len(x), memory):
            if fresh:
                taps.frame.clear()
            taps.frame.load(x[these], row * down)
            np.multiply(taps.seen[0], weights[0], out=sums)
            for seen, weight in zip(taps.seen[1:], weights[1:], strict=True):
                np.multiply(seen, weight, out=product)
                np.add(sums, product, out=sums)
            lines = out[these, row : row + taps.rows]
            if accumulate:
                np.add(lines, sums.reshape(taps.lines), out=lines)
            else:
                np.copyto(lines, sums.reshape(taps.lines))


class DepthwiseWeights:
    """The gradient of a depthwise kernel, summed over blocks in the memory of one thread."""

    def __init__(self, geometry: Geometry2D, dtype: npt.DTypeLike, batch: int) -> None:
        self.geometry, self.dtype = geometry, np.dtype(dtype)
        self.partial_shape = prepared_shape(geometry)
        rows, width, channels = geometry.out_shape
        size = block_size(batch, rows, width, max(CELLS // channels, 1))
        self.nbytes = nbytes_of(dtype, *self._shapes(*size))
        self.blocks = Blocks(rows, size, self._make)

    def _shapes(self, images: int, rows: int) -> list[tuple[int, ...]]:
        taps = _Taps(self.geometry, images, rows, whole=False)
        return [taps.frame.shape, taps.shape, (1, prod(taps.shape[:3])), (1, taps.shape[3])]

    def _make(self, images: int, rows: int, memory: Array) -> tuple[_Taps, Array, Array, Array]:
        taps = _Taps(self.geometry, images, rows, whole=False)
        cells, *others = carve(memory, self.dtype, *self._shapes(images, rows))
        taps.bind(cells)
        product, ones, sums = others
        return taps, product, ones, sums

    def run(self, x: Array, d_out: Array, partial: Array, memory: Array) -> None:
        """Sum the gradient over some images into `partial`."""
        down = self.geometry.strides[0]
        partial[...] = 0
        flat = partial.reshape(len(partial), 1, -1)
        for (taps, product, ones, sums), fresh, these, row in self.blocks.over(len(x), memory):
            if fresh:
                taps.frame.clear()
                ones[...] = 1
            taps.frame.load(x[these], row * down)
            deltas = d_out[these, row : row + taps.rows].reshape(taps.shape)
            for seen, total in zip(taps.seen, flat, strict=True):
                np.multiply(seen, deltas, out=product)
                np.matmul(ones, product.reshape(-1, taps.shape[3]), out=sums)
                np.add(total, sums, out=total)

    def finish(self, partials: list[Array], d_kernel: Array, member: int, members: int) -> None:
        """Sum a share of the members' gradients of the repeated weights."""
        taps, _, channels = self.partial_shape
        these = slice(*share(channels, member, members))
        total = partials[0][:, :, these]
        for partial in partials[1:]:
            np.add(total, partial[:, :, these], out=total)
        np.add.reduce(total, axis=1, out=d_kernel.reshape(taps, channels)[:, these])


class DepthwiseScatter:
    """Gradients of the inputs of a depthwise convolution."""

    def __init__(self, geometry: Geometry2D, dtype: npt.DTypeLike, batch: int) -> None:
        self.geometry, self.dtype = geometry, np.dtype(dtype)
        self.prepared_shape = prepared_shape(geometry)
        rows, width, channels = geometry.out_shape
        size = block_size(batch, rows, width, max(CELLS // channels, 1))
        self.nbytes = nbytes_of(dtype, *self._shapes(*size))
        self.blocks = Blocks(rows, size, self._make)

    def _taps(self, images: int, rows: int) -> _Taps:
        return _Taps(self.geometry, images, rows, whole=rows == self.geometry.out_shape[0])

    def _shapes(self, images: int, rows: int) -> list[tuple[int, ...]]:
        taps = self._taps(images, rows)
        return [taps.frame.shape, taps.shape]

    def _make(self, images: int, rows: int, memory: Array) -> tuple[_Taps, Array]:
        taps = self._taps(images, rows)
        cells, product = carve(memory, self.dtype, *self._shapes(images, rows))
        taps.bind(cells)
        return taps, product

    def prepare(self, kernel: Array, prepared: Array, channels: slice) -> None:
        """Repeat the kernel's filters for outputs side by side."""
        repeat(kernel, prepared, channels)

    def run(
        self, d_out: Array, prepared: Array, d_x: Array, memory: Array, accumulate: bool
    ) -> None:
        """Compute, or add, the gradients of some images."""
        geometry = self.geometry
        weights = prepared.reshape(len(prepared), -1)
        split = self.blocks.size[1] < geometry.out_shape[0]
        if split and not accumulate:
            d_x[...] = 0
        for (taps, product), _, these, row in self.blocks.over(len(d_out), memory):
            deltas = d_out[these, row : row + taps.rows].reshape(taps.shape)
            taps.frame.cells[...] = 0
            lines = product.reshape(taps.lines_seen[0].shape)
            for seen, weight in zip(taps.lines_seen, weights, strict=True):
                np.multiply(deltas, weight, out=product)
                np.add(seen, lines, out=seen)
            taps.frame.store(d_x[these], row * geometry.strides[0], split or accumulate)


def prepared_shape(geometry: Geometry2D) -> tuple[int, int, int]:
    """Return the shape of repeated weights: (taps, outputs side by side, channels)."""
    return prod(geometry.kernel), repeats(geometry), geometry.filters


def repeat(kernel: Array, prepared: Array, channels: slice) -> None:
    """Repeat the filters of a kernel (rows, columns, 1, filters) for outputs side by side."""
    if channels.stop > channels.start:  # one member has the only channel
        np.copyto(prepared, kernel.reshape(len(prepared), 1, -1))
