"""Convolutions as products of columns gathered from windows, in blocks that stay in cache."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

from neurograph.kernels.frame import SHORT, Frame
from neurograph.kernels.geometry import Geometry2D
from neurograph.kernels.team import Blocks, block_size, carve, nbytes_of, share

Array = npt.NDArray[Any]
COLUMNS = 1 << 19  # numbers of a block of columns
POSITIONS = 256  # outputs of a block, at least, where the columns are long
SMALL = 1_000_000  # multiplications up to which OpenBLAS does a product without packing it
SUMS = 1 << 17  # numbers of a gradient that are formed, then added, at a time


def columns_of(geometry: Geometry2D) -> int:
    """Return how many numbers the window of one output has, in each group."""
    return prod(geometry.kernel_shape[:3])


def column_block(geometry: Geometry2D, batch: int) -> tuple[int, int]:
    """Return how many images, and rows of outputs of each, make a block."""
    rows, width, _ = geometry.out_shape
    window = columns_of(geometry) * geometry.groups
    target = max(COLUMNS // window, POSITIONS)
    small = SMALL // (window * geometry.filters)
    if small > 4 * POSITIONS:
        target = min(target, small)
    return block_size(batch, rows, width, target)


def tap_major(geometry: Geometry2D) -> bool:
    """Tell whether columns are copied faster tap by tap than window by window.

    A copy costs about 4 ns a run and 0.06 ns a number, or 0.4 ns where the numbers are apart, and
    half of it where a run is copied as one item. Windows give runs of a row of the window, taps
    runs of a row of outputs.
    """
    columns, channels = geometry.kernel_shape[1:3]
    if geometry.groups > 1:
        return False
    merged = columns * channels if geometry.dilation[1] == 1 else channels
    by_window = (2 + 0.06 * merged) / merged
    width = geometry.out_shape[1]
    each = 0.06 if geometry.strides[1] * channels == 1 else 0.4
    return by_window > (4 + each * width) / width


def windows(cells: Array, geometry: Geometry2D, rows: int, by_tap: bool) -> Array:
    """Return the windows of padded images as a view, without copying.

    Parameters
    ----------
    cells : (images, height, width, channels)
        Padded images, from the first window's row on.
    geometry : Geometry2D
    rows : int
        Rows of windows.
    by_tap : bool
        Whether the taps come first.

    Returns
    -------
    view : (groups, images, rows, columns, kernel rows, kernel columns, channels of a group)
        Or, by tap, (1, kernel rows, kernel columns, channels, images, rows, columns).
    """
    image, row, column, channel = cells.strides
    high, wide, channels, _ = geometry.kernel_shape
    down, right = geometry.strides
    places = (len(cells), rows, geometry.out_shape[1])
    steps = (image, down * row, right * column)
    taps = (high, wide, channels)
    hops = (geometry.dilation[0] * row, geometry.dilation[1] * column, channel)
    shape = (geometry.groups, *taps, *places) if by_tap else (geometry.groups, *places, *taps)
    strides = (*hops, *steps) if by_tap else (*steps, *hops)
    return as_strided(cells, shape, (channels * channel, *strides))


def window_items(
    cells: Array, geometry: Geometry2D, rows: int, by_tap: bool, begin: int = 0
) -> Array | None:
    """Return the windows of padded images with short runs as items; see `items`.

    Parameters
    ----------
    cells : (images, height, width, channels)
        Padded images.
    geometry : Geometry2D
    rows : int
        Rows of windows.
    by_tap : bool
        Whether the taps come first; then an item is what a tap sees in a row of windows.
    begin : int
        The first window's row.

    Returns
    -------
    view : (images, rows, columns, kernel rows), or (kernel rows, kernel columns, images, rows)
        None where the items would be long, or not one run.
    """
    image, row, column, number = cells.strides
    down, right = geometry.strides
    high, wide = geometry.kernel
    places, width = (len(cells), rows), geometry.out_shape[1]
    tall, far = geometry.dilation
    if by_tap:
        run, merged = width * number, column * right == number
        shape, strides = (high, wide, *places), (tall * row, far * column, image, down * row)
    else:
        run, merged = wide * geometry.in_shape[2] * number, far == 1 and geometry.groups == 1
        shape, strides = (*places, width, high), (image, down * row, right * column, tall * row)
    if not merged or run == number or run >= 2 * SHORT or not cells.flags.c_contiguous:
        return None
    return np.ndarray(shape, f"V{run}", cells, begin * row, strides)


def grouped(lines: Array, groups: int) -> Array:
    """Return (images, rows, columns, channels) as (groups, positions, channels of a group)."""
    flat = lines.reshape(-1, groups, lines.shape[-1] // groups)
    return flat.transpose(1, 0, 2)


class _Gather:
    """Columns of a block: a frame around the images, the windows in it, and where they go."""

    def __init__(self, geometry: Geometry2D, images: int, rows: int) -> None:
        self.geometry, self.rows, self.by_tap = geometry, rows, tap_major(geometry)
        top, _, left, right = geometry.padding
        self.padded = max(geometry.padding) > 0
        size = (
            (rows - 1) * geometry.strides[0] + geometry.extent[0],
            geometry.in_shape[1] + left + right,
        )
        self.frame = Frame(geometry.in_shape, (top, left), size, images)
        positions, taps = images * rows * geometry.out_shape[1], columns_of(geometry)
        flat = (taps, positions) if self.by_tap else (positions, taps)
        self.shapes = [self.frame.shape if self.padded else (0,), (geometry.groups, *flat)]

    def bind(self, cells: Array, columns: Array) -> None:
        """Take arrays of the shapes."""
        self.target, self.columns = columns, columns
        if self.by_tap:
            self.columns = columns.transpose(0, 2, 1)
        if self.padded:
            self.frame.bind(cells)
            self.source = self._source(cells[0], 0)

    def _source(self, cells: Array, begin: int) -> Array:
        """Return the windows, as items where that is faster."""
        short = window_items(cells, self.geometry, self.rows, self.by_tap, begin)
        if short is not None:
            return short
        return windows(cells[:, begin:], self.geometry, self.rows, self.by_tap)

    def load(self, x: Array, row: int) -> None:
        """Gather the columns of the windows from one row of outputs on."""
        begin = row * self.geometry.strides[0]
        if self.padded:
            self.frame.load(x, begin)
        source = self.source if self.padded else self._source(x, begin)
        target = self.target
        if source.dtype != target.dtype:
            target = target.reshape(*source.shape, -1).view(source.dtype)[..., 0]
        np.copyto(target.reshape(source.shape), source)


class ColumnsForward:
    """Outputs from inputs and a kernel, block by block, in the memory of one thread.

    Parameters
    ----------
    geometry : Geometry2D
    dtype : dtype
    batch : int
        Largest number of images of one call, for the size of the blocks.
    """

    def __init__(self, geometry: Geometry2D, dtype: npt.DTypeLike, batch: int) -> None:
        self.geometry, self.dtype = geometry, np.dtype(dtype)
        self.prepared_shape = grouped_shape(geometry)
        size = column_block(geometry, batch)
        self.nbytes = nbytes_of(dtype, *self._shapes(*size))
        self.blocks = Blocks(geometry.out_shape[0], size, self._make)

    def _shapes(self, images: int, rows: int) -> list[tuple[int, ...]]:
        lines = (images, rows, *self.geometry.out_shape[1:])
        return [*_Gather(self.geometry, images, rows).shapes, lines]

    def _make(self, images: int, rows: int, memory: Array) -> tuple[_Gather, Array]:
        gather = _Gather(self.geometry, images, rows)
        cells, columns, lines = carve(memory, self.dtype, *self._shapes(images, rows))
        gather.bind(cells, columns)
        return gather, lines

    def prepare(self, kernel: Array, prepared: Array, channels: slice) -> None:
        """Sort the filters by group, for some channels of the kernel."""
        sort_groups(kernel, prepared, channels)

    def run(self, x: Array, prepared: Array, out: Array, memory: Array, accumulate: bool) -> None:
        """Compute, or add, the outputs of some images."""
        groups = self.geometry.groups
        for (gather, spare), fresh, these, row in self.blocks.over(len(x), memory):
            if fresh and gather.padded:
                gather.frame.clear()
            gather.load(x[these], row)
            lines = out[these, row : row + gather.rows]
            into = spare if accumulate else lines
            np.matmul(gather.columns, prepared, out=grouped(into, groups))
            if accumulate:
                np.add(lines, spare, out=lines)


class ColumnsWeights:
    """The gradient of a kernel, summed over blocks in the memory of one thread."""

    def __init__(self, geometry: Geometry2D, dtype: npt.DTypeLike, batch: int) -> None:
        self.geometry, self.dtype = geometry, np.dtype(dtype)
        self.partial_shape = grouped_shape(geometry)
        size = column_block(geometry, batch)
        self.nbytes = nbytes_of(dtype, *self._shapes(*size))
        self.blocks = Blocks(geometry.out_shape[0], size, self._make)

    def _shapes(self, images: int, rows: int) -> list[tuple[int, ...]]:
        groups, taps, filters = self.partial_shape
        together = max(1, min(taps, SUMS // (groups * filters)))
        return [*_Gather(self.geometry, images, rows).shapes, (groups, together, filters)]

    def _make(self, images: int, rows: int, memory: Array) -> tuple[_Gather, Array]:
        gather = _Gather(self.geometry, images, rows)
        cells, columns, product = carve(memory, self.dtype, *self._shapes(images, rows))
        gather.bind(cells, columns)
        return gather, product

    def run(self, x: Array, d_out: Array, partial: Array, memory: Array) -> None:
        """Sum the gradient over some images into `partial`."""
        groups, taps, _ = self.partial_shape
        first = True
        for (gather, spare), fresh, these, row in self.blocks.over(len(x), memory):
            if fresh and gather.padded:
                gather.frame.clear()
            gather.load(x[these], row)
            deltas = grouped(d_out[these, row : row + gather.rows], groups)
            turned = gather.columns.transpose(0, 2, 1)
            if first:
                np.matmul(turned, deltas, out=partial)
            else:
                together = spare.shape[1]
                for start in range(0, taps, together):
                    stop = min(start + together, taps)
                    product, sums = spare[:, : stop - start], partial[:, start:stop]
                    np.matmul(turned[:, start:stop], deltas, out=product)
                    np.add(sums, product, out=sums)
            first = False
        if first:
            partial[...] = 0

    def finish(self, partials: list[Array], d_kernel: Array, member: int, members: int) -> None:
        """Sum a share of the members' gradients, and sort it as the kernel is."""
        groups, taps, filters = self.partial_shape
        first, last = share(taps, member, members)
        total = partials[0][:, first:last]
        for partial in partials[1:]:
            np.add(total, partial[:, first:last], out=total)
        if not np.shares_memory(total, d_kernel):
            target = d_kernel.reshape(taps, groups, filters)[first:last]
            np.copyto(target, total.transpose(1, 0, 2))


class Scatter:
    """Gradients of the inputs: columns of deltas, added to where the windows lay."""

    def __init__(self, geometry: Geometry2D, dtype: npt.DTypeLike, batch: int) -> None:
        self.geometry, self.dtype = geometry, np.dtype(dtype)
        self.prepared_shape = grouped_shape(geometry)
        size = column_block(geometry, batch)
        self.nbytes = nbytes_of(dtype, *self._shapes(*size))
        self.blocks = Blocks(geometry.out_shape[0], size, self._make)

    def _frame(self, images: int, rows: int) -> Frame:
        """Return a frame that holds the windows of some rows, or whole images.

        Its sides are rounded up so that the strides of the windows divide one another: only then
        does NumPy see that they do not overlap, and adds to them in place.
        """
        geometry = self.geometry
        top, bottom, left, right = geometry.padding
        down, across = geometry.strides
        height = (rows - 1) * down + geometry.extent[0]
        if rows == geometry.out_shape[0]:
            height = geometry.in_shape[0] + top + bottom
        across *= _apart(geometry)
        width = geometry.in_shape[1] + left + right
        size = -(-height // down) * down, -(-width // across) * across
        return Frame(geometry.in_shape, (top, left), size, images)

    def _shapes(self, images: int, rows: int) -> list[tuple[int, ...]]:
        positions = images * rows * self.geometry.out_shape[1]
        columns = (self.geometry.groups, positions, columns_of(self.geometry))
        return [self._frame(images, rows).shape, columns]

    def _make(self, images: int, rows: int, memory: Array) -> _ScatterBlock:
        arrays = carve(memory, self.dtype, *self._shapes(images, rows))
        return _ScatterBlock(self.geometry, self._frame(images, rows), rows, *arrays)

    def prepare(self, kernel: Array, prepared: Array, channels: slice) -> None:
        """Sort the filters by group, for some channels of the kernel."""
        sort_groups(kernel, prepared, channels)

    def run(
        self, d_out: Array, prepared: Array, d_x: Array, memory: Array, accumulate: bool
    ) -> None:
        """Compute, or add, the gradients of some images."""
        geometry = self.geometry
        split = self.blocks.size[1] < geometry.out_shape[0]
        if split and not accumulate:
            d_x[...] = 0
        turned = prepared.transpose(0, 2, 1)
        for block, _, these, row in self.blocks.over(len(d_out), memory):
            deltas = grouped(d_out[these, row : row + block.rows], geometry.groups)
            np.matmul(deltas, turned, out=block.columns)
            block.frame.cells[...] = 0
            for target, source in block.pairs:
                np.add(target, source, out=target)
            block.frame.store(d_x[these], row * geometry.strides[0], split or accumulate)


class _ScatterBlock:
    """The arrays of some rows of windows of some images, and which are added to which."""

    def __init__(
        self, geometry: Geometry2D, frame: Frame, rows: int, cells: Array, columns: Array
    ) -> None:
        self.frame, self.rows, self.columns = frame, rows, columns
        frame.bind(cells)
        high, wide, channels, _ = geometry.kernel_shape
        width, groups, apart = geometry.out_shape[1], geometry.groups, _apart(geometry)
        images = cells.shape[1]
        source = columns.reshape(groups, images, rows, width, high, wide, channels)
        target = windows(cells[0], geometry, rows, by_tap=False)
        self.pairs: list[tuple[Array, Array]] = []
        if groups == 1 and geometry.dilation[1] == 1:
            # rows of windows that lie apart by at least their width are added in one run
            self.pairs = [
                (target[0, :, :, phase::apart, tap], source[0, :, :, phase::apart, tap])
                for tap in range(high)
                for phase in range(min(apart, width))
            ]
        else:
            self.pairs = [
                (target[:, :, :, :, down, right], source[:, :, :, :, down, right])
                for down in range(high)
                for right in range(wide)
            ]


def _apart(geometry: Geometry2D) -> int:
    """Return how many windows on a window begins that does not overlap it."""
    return -(-geometry.kernel[1] // geometry.strides[1])


def grouped_shape(geometry: Geometry2D) -> tuple[int, int, int]:
    """Return the shape of a kernel sorted by group: (groups, window, filters of a group)."""
    return geometry.groups, columns_of(geometry), geometry.filters // geometry.groups


def sort_groups(kernel: Array, prepared: Array, channels: slice) -> None:
    """Copy a kernel (rows, columns, channels, filters) to (groups, window, filters of a group)."""
    groups, _, filters = prepared.shape
    taps = kernel.shape[0] * kernel.shape[1]
    source = kernel.reshape(taps, -1, groups, filters).transpose(2, 0, 1, 3)
    target = prepared.reshape(source.shape)
    np.copyto(target[:, :, channels], source[:, :, channels])
