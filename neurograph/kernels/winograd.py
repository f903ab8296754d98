"""Convolutions by Winograd's algorithm: fewer products for a little more adding.

A tile of m by m outputs of a convolution with an r by r kernel needs n by n inputs, n = m + r - 1.
With the constant matrices B, G and A of Toom and Cook, which evaluate polynomials at n points,

    y = A' [(G g G') * (B' d B)] A

takes n*n products instead of m*m*r*r: 2.25 times fewer for 2x2 outputs of a 3x3 kernel (n = 4),
4 times fewer for 4x4 outputs (n = 6). The product * is elementwise for one channel; for all
channels and tiles it is n*n matrix products. Both gradients follow from the same formula, which is
linear in d and in g. In float32, n = 4 is as exact as the plain sum, n = 6 loses a decimal digit.

Source: A. Lavin, S. Gray, "Fast algorithms for convolutional neural networks" (2016), section 4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from neurograph.kernels.frame import Frame, items
from neurograph.kernels.geometry import Geometry2D
from neurograph.kernels.points import (
    Steps,
    delta_steps,
    input_steps,
    kernel_matrix,
    output_steps,
    run,
)
from neurograph.kernels.team import Blocks, block_size, carve, nbytes_of, share

Array = npt.NDArray[Any]
SPREAD = 1 << 20  # numbers of a block, spread over all points: few enough for the cache
TILES = 64, 256  # tiles of a block: enough for the products, and for threads to stay apart
SUMS = 1 << 17  # numbers of a gradient that are formed, then added, at a time


class Spread:
    """Tiles of images, spread over n by n points: B' d B of inputs, or A y A' of deltas.

    Parameters
    ----------
    image : (height, width, channels)
        Shape of one image.
    origin : (top, left)
        Missing rows and columns before the image in the first tile.
    tile, span, points : int
        Outputs of a tile along an axis (m), cells that it is spread from (n or m), and n.
    counts : (images, rows, columns)
        How many images a block has, how many rows of tiles of each, how many tiles in a row.
    make_steps : function
        `input_steps` or `delta_steps`.
    """

    def __init__(
        self,
        image: tuple[int, int, int],
        origin: tuple[int, int],
        tile: int,
        span: int,
        points: int,
        counts: tuple[int, int, int],
        make_steps: Callable[[Sequence[Array], Sequence[Array], Sequence[Array]], Steps],
    ) -> None:
        self.tile, self.span, self.counts, self.make_steps = tile, span, counts, make_steps
        images, rows, columns = counts
        size = tile * (rows - 1) + span, tile * (columns - 1) + span
        self.frame = Frame(image, origin, size, images, tile)
        half = (points, images, size[0], columns, image[2])
        whole = (points, points, images, rows, columns, image[2])
        spare = (2, max(prod(half), prod(whole)) // points if points == 6 else 0)
        self.shapes = [self.frame.shape, half, spare, whole]

    def bind(self, phases: Array, half: Array, spare: Array, whole: Array) -> None:
        """Take arrays of the shapes, and prepare the calls that fill them."""
        m, span = self.tile, self.span
        _, rows, columns = self.counts
        self.frame.bind(phases)
        cells = [phases[cell % m][:, :, cell // m : cell // m + columns] for cell in range(span)]
        self.steps = self.make_steps(cells, list(half), like(half[0], spare))
        cells = [half[:, :, cell : cell + m * (rows - 1) + 1 : m] for cell in range(span)]
        self.steps += self.make_steps(cells, list(whole), like(whole[0], spare))

    def load(self, source: Array, row: int) -> None:
        """Spread images (images, height, width, channels), from one row of tiles on."""
        self.frame.load(source, row * self.tile)
        run(self.steps)


def like(array: Array, spare: Array) -> list[Array]:
    """Return temporaries shaped as an array; there are none where no step needs them."""
    return [each[: array.size].reshape(array.shape) for each in spare if each.size]


class _Tiling:
    """How a convolution's outputs are cut into tiles, and the tiles into blocks."""

    def __init__(self, geometry: Geometry2D, tile: int, batch: int) -> None:
        self.geometry, self.tile = geometry, tile
        self.points = tile + geometry.kernel[0] - 1
        height, width, _ = geometry.out_shape
        self.rows, self.columns = -(-height // tile), -(-width // tile)
        self.exact = height % tile == 0 and width % tile == 0
        fits = SPREAD // (self.points**2 * sum(geometry.kernel_shape[2:]))
        target = min(max(fits, TILES[0]), TILES[1])
        self.block = block_size(batch, self.rows, self.columns, target)

    def inputs(self, images: int, rows: int) -> Spread:
        """Return the spread of the inputs of a block."""
        geometry, n = self.geometry, self.points
        origin = geometry.padding[0], geometry.padding[2]
        counts = images, rows, self.columns
        return Spread(geometry.in_shape, origin, self.tile, n, n, counts, input_steps)

    def deltas(self, images: int, rows: int) -> Spread:
        """Return the spread of the deltas of a block."""
        geometry, m = self.geometry, self.tile
        counts = images, rows, self.columns
        return Spread(geometry.out_shape, (0, 0), m, m, self.points, counts, delta_steps)


class WinogradForward:
    """Outputs from inputs and a transformed kernel, block by block, in the memory of one thread.

    Parameters
    ----------
    geometry : Geometry2D
        Strides, dilation and groups 1, a kernel of 3x3 or 5x5.
    dtype : dtype
    batch : int
        Largest number of images of one call, for the size of the blocks.
    tile : int
        2 or 4 for 3x3, 2 for 5x5.
    """

    def __init__(self, geometry: Geometry2D, dtype: npt.DTypeLike, batch: int, tile: int) -> None:
        self.tiling, self.dtype = _Tiling(geometry, tile, batch), np.dtype(dtype)
        self.matrix = kernel_matrix(tile, geometry.kernel[0], dtype)
        self.prepared_shape = (self.tiling.points**2, *geometry.kernel_shape[2:])
        self.nbytes = nbytes_of(dtype, *_forward_shapes(self.tiling, *self.tiling.block))
        self.blocks = Blocks(self.tiling.rows, self.tiling.block, self._make)

    def _make(self, images: int, rows: int, memory: Array) -> _ForwardBlock:
        return _ForwardBlock(self.tiling, images, rows, self.dtype, memory)

    def prepare(self, kernel: Array, prepared: Array, channels: slice) -> None:
        """Transform some channels of the kernel."""
        points, _, filters = prepared.shape
        these = slice(channels.start * filters, channels.stop * filters)
        flat = kernel.reshape(self.matrix.shape[1], -1)[:, these]
        np.matmul(self.matrix, flat, out=prepared.reshape(points, -1)[:, these])

    def run(self, x: Array, prepared: Array, out: Array, memory: Array, accumulate: bool) -> None:
        """Compute, or add, the outputs of some images."""
        for block, fresh, these, row in self.blocks.over(len(x), memory):
            if fresh:
                block.spread.frame.clear()
            block.run(x[these], prepared, out[these], row, accumulate)


def _forward_shapes(tiling: _Tiling, images: int, rows: int) -> list[tuple[int, ...]]:
    """Return the shapes of the arrays of a forward block."""
    n, m, filters = tiling.points, tiling.tile, tiling.geometry.filters
    tiles = images * rows * tiling.columns
    return [
        *tiling.inputs(images, rows).shapes,
        (n, n, images, rows, tiling.columns, filters),
        (2, n * tiles * filters if n == 6 else 0),
        (images, m * rows, m * tiling.columns, filters),
    ]


class _ForwardBlock:
    """The arrays and prepared calls for some rows of tiles of some images."""

    def __init__(
        self, tiling: _Tiling, images: int, rows: int, dtype: npt.DTypeLike, memory: Array
    ) -> None:
        n, m = tiling.points, tiling.tile
        self.tiling, self.rows = tiling, rows
        shapes = _forward_shapes(tiling, images, rows)
        *spread, products, spare, self.whole = carve(memory, dtype, *shapes)
        self.spread = tiling.inputs(images, rows)
        self.spread.bind(*spread)
        self.inputs = spread[3].reshape(n * n, -1, spread[3].shape[-1])
        self.products = products.reshape(n * n, -1, products.shape[-1])
        self.steps = output_steps(list(products), list(products[:m]), like(products[0], spare))
        halves = [products[:m, point] for point in range(n)]
        self.steps += output_steps(halves, halves[:m], like(halves[0], spare))
        self.tiles = items(products[:m, :m].transpose(2, 3, 0, 4, 1, 5))

    def run(self, x: Array, prepared: Array, out: Array, row: int, accumulate: bool) -> None:
        """Compute rows of tiles from `row` on."""
        m = self.tiling.tile
        self.spread.load(x, row)
        np.matmul(self.inputs, prepared, out=self.products)
        run(self.steps)
        lines = out[:, m * row : m * (row + self.rows)]
        direct = self.tiling.exact and not accumulate
        target = lines if direct else self.whole
        images, rows, columns, filters = target.shape
        # additions into runs as short as a tile's are slow, copies are not
        np.copyto(items(target.reshape(images, rows // m, m, columns // m, m, filters)), self.tiles)
        if not direct:
            valid = self.whole[:, : lines.shape[1], : lines.shape[2]]
            if accumulate:
                np.add(lines, valid, out=lines)
            else:
                np.copyto(lines, valid)


class WinogradWeights:
    """The gradient of a transformed kernel, summed over blocks in the memory of one thread."""

    def __init__(self, geometry: Geometry2D, dtype: npt.DTypeLike, batch: int, tile: int) -> None:
        self.tiling, self.dtype = _Tiling(geometry, tile, batch), np.dtype(dtype)
        self.matrix = kernel_matrix(tile, geometry.kernel[0], dtype).T
        self.partial_shape = (self.tiling.points**2, *geometry.kernel_shape[2:])
        self.nbytes = nbytes_of(dtype, *_weight_shapes(self.tiling, *self.tiling.block))
        self.blocks = Blocks(self.tiling.rows, self.tiling.block, self._make)

    def _make(self, images: int, rows: int, memory: Array) -> _WeightBlock:
        return _WeightBlock(self.tiling, images, rows, self.dtype, memory)

    def run(self, x: Array, d_out: Array, partial: Array, memory: Array) -> None:
        """Sum the gradient over some images into `partial`."""
        first = True
        for block, fresh, these, row in self.blocks.over(len(x), memory):
            if fresh:
                block.inputs.frame.clear()
                block.deltas.frame.clear()
            block.run(x[these], d_out[these], partial, row, first)
            first = False
        if first:
            partial[...] = 0

    def finish(self, partials: list[Array], d_kernel: Array, member: int, members: int) -> None:
        """Sum a share of the members' gradients, and turn it into that of the kernel."""
        points, channels, filters = self.partial_shape
        these = slice(*(filters * channel for channel in share(channels, member, members)))
        total = partials[0].reshape(points, -1)[:, these]
        for partial in partials[1:]:
            np.add(total, partial.reshape(points, -1)[:, these], out=total)
        np.matmul(self.matrix, total, out=d_kernel.reshape(len(self.matrix), -1)[:, these])


def _weight_shapes(tiling: _Tiling, images: int, rows: int) -> list[tuple[int, ...]]:
    """Return the shapes of the arrays of a block of the weight gradient."""
    n, (channels, filters) = tiling.points, tiling.geometry.kernel_shape[2:]
    inputs, deltas = tiling.inputs(images, rows).shapes, tiling.deltas(images, rows).shapes
    together = max(1, min(n * n, SUMS // (channels * filters)))
    return [*inputs, *deltas, (together, channels, filters)]


class _WeightBlock:
    """The arrays of some rows of tiles of some images, for the weight gradient."""

    def __init__(
        self, tiling: _Tiling, images: int, rows: int, dtype: npt.DTypeLike, memory: Array
    ) -> None:
        arrays = carve(memory, dtype, *_weight_shapes(tiling, images, rows))
        points = tiling.points**2
        self.inputs, self.deltas = tiling.inputs(images, rows), tiling.deltas(images, rows)
        self.inputs.bind(*arrays[:4])
        self.deltas.bind(*arrays[4:8])
        self.turned = arrays[3].reshape(points, -1, arrays[3].shape[-1]).transpose(0, 2, 1)
        self.spread = arrays[7].reshape(points, -1, arrays[7].shape[-1])
        self.product = arrays[8]

    def run(self, x: Array, d_out: Array, partial: Array, row: int, first: bool) -> None:
        """Add the gradient of rows of tiles from `row` on."""
        self.inputs.load(x, row)
        self.deltas.load(d_out, row)
        if first:
            np.matmul(self.turned, self.spread, out=partial)
            return
        together = len(self.product)
        for start in range(0, len(partial), together):
            these = slice(start, min(start + together, len(partial)))
            product = self.product[: these.stop - start]
            np.matmul(self.turned[these], self.spread[these], out=product)
            np.add(partial[these], product, out=partial[these])
