"""Maximum and average pooling over channels-last images, and their gradients; nothing allocated.

A window is worked through by its columns, then by its rows: rows + columns steps instead of
rows * columns, each on long contiguous runs. Cells beyond the border are missing: they never are
the maximum, and do not count in the average. The gradient of a maximum goes to one winner, the
first in row-major order: the first row whose maximum is the window's, and in it the first column.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from neurograph.kernels.checks import check_batches
from neurograph.kernels.frame import Frame
from neurograph.kernels.geometry import Geometry2D
from neurograph.kernels.team import Blocks, Team, block_size, carve, nbytes_of, share

Array = npt.NDArray[Any]
CELLS = 1 << 18  # numbers of the inputs of a block


class PoolingWorkspace:
    """What one pooling needs to run on a batch; see `ConvolutionWorkspace`.

    Parameters
    ----------
    geometry : Geometry2D
        From `Geometry2D.pooling`. A global pooling has a window of the whole image.
    batch : int
        Largest number of images of one call; calls may have fewer.
    dtype : dtype
        float32 or float64.
    team : Team, optional
        Threads that share the batch. One thread, the caller's, if there is none.

    Examples
    --------
    >>> workspace = PoolingWorkspace(Geometry2D.pooling((4, 4, 1), (2, 2)), 1, "float64")
    >>> x, out = np.arange(16.0).reshape(1, 4, 4, 1), np.empty((1, 2, 2, 1))
    >>> max_pool(x, out, workspace)
    >>> out[0, :, :, 0]
    array([[ 5.,  7.],
           [13., 15.]])
    >>> average_pool(x, out, workspace)
    >>> out[0, :, :, 0]
    array([[ 2.5,  4.5],
           [10.5, 12.5]])
    """

    def __init__(
        self, geometry: Geometry2D, batch: int, dtype: npt.DTypeLike, team: Team | None = None
    ) -> None:
        self.geometry, self.batch, self.dtype = geometry, batch, np.dtype(dtype)
        self.team = team or Team(1)
        rows, width, channels = geometry.out_shape
        down, right = geometry.strides
        part = -(-batch // self.team.threads)
        size = block_size(part, rows, width, max(CELLS // (channels * down * right), 1))
        self.blocks = [Blocks(rows, size, self._make) for _ in self.team.scratch]
        exact = geometry.kernel[0] == down and geometry.in_shape[0] == rows * down
        self.split = size[1] < rows and not (exact and geometry.padding[0] == 0)
        row_counts, column_counts = window_counts(geometry)
        self.rows_share = (1 / row_counts)[:, None].astype(dtype)
        self.columns_share = np.repeat(1 / column_counts, channels).astype(dtype)
        for scratch in self.team.scratch:
            scratch.reserve(_PoolingBlock(geometry, *size).nbytes(self.dtype))

    def check(self, name: str, **arrays: Array) -> None:
        """See that arrays are contiguous batches of the workspace: outputs by name, or inputs."""
        shapes = {True: self.geometry.out_shape, False: self.geometry.in_shape}
        given = {key: (each, shapes[key.endswith("out")]) for key, each in arrays.items()}
        check_batches(name, self.batch, self.dtype, given)

    def part(self, member: int, *arrays: Array) -> list[Array]:
        """Return one member's images of some arrays."""
        these = slice(*share(len(arrays[0]), member, self.team.threads))
        return [array[these] for array in arrays]

    def over(self, member: int, images: int) -> Iterator[tuple[_PoolingBlock, bool, slice, int]]:
        """Yield the blocks of one member's images."""
        return self.blocks[member].over(images, self.team.scratch[member].memory)

    def _make(self, images: int, rows: int, memory: Array) -> _PoolingBlock:
        block = _PoolingBlock(self.geometry, images, rows)
        block.bind(memory, self.dtype)
        return block


class _PoolingBlock:
    """The arrays for some rows of windows of some images."""

    def __init__(self, geometry: Geometry2D, images: int, rows: int) -> None:
        top, _, left, right = geometry.padding
        width, channels = geometry.out_shape[1:]
        down, across = geometry.strides
        high = (rows - 1) * down + geometry.kernel[0]
        if rows == geometry.out_shape[0]:
            high = max(high, geometry.in_shape[0] + top)
        # NumPy adds in place only where it sees no overlap: where strides divide one another
        size = -(-high // down) * down, geometry.in_shape[1] + left + right
        self.geometry, self.images, self.rows = geometry, images, rows
        self.frame = Frame(geometry.in_shape, (top, left), size, images, across)
        self.gradient = Frame(geometry.in_shape, (top, left), size, images, across)
        self.tall = (images, size[0], width * channels)
        self.out = (images, rows, width * channels)
        self.exact = (
            geometry.kernel[0] == down and size[0] == rows * down,
            geometry.kernel[1] == across and self.frame.shape[3] == width,
        )
        self.shapes = [*[self.frame.shape] * 2, *[self.tall] * 4]

    def nbytes(self, dtype: npt.DTypeLike) -> int:
        """Return how much scratch memory the arrays take."""
        return nbytes_of(dtype, *self.shapes) + nbytes_of(bool, self.tall)

    def bind(self, memory: Array, dtype: npt.DTypeLike) -> None:
        """Lay the arrays out in scratch memory."""
        cells, d_cells, *lines = carve(memory, dtype, *self.shapes)
        self.best, self.d_best, self.chosen, self.rest = lines
        (self.equal,) = carve(memory[nbytes_of(dtype, *self.shapes) :], bool, self.tall)
        self.frame.bind(cells)
        self.gradient.bind(d_cells)
        self.columns, self.d_columns = self._columns(cells), self._columns(d_cells)
        self.taps, self.d_taps = self._rows(self.best), self._rows(self.d_best)

    def _columns(self, cells: Array) -> list[Array]:
        """Return what each column of the windows sees: (images, cells, width * channels)."""
        across, width = self.geometry.strides[1], self.geometry.out_shape[1]
        return [
            cells[tap % across][:, :, tap // across : tap // across + width].reshape(self.tall)
            for tap in range(self.geometry.kernel[1])
        ]

    def _rows(self, lines: Array) -> list[Array]:
        """Return what each row of the windows sees: (images, rows, width * channels)."""
        down = self.geometry.strides[0]
        last = (self.rows - 1) * down + 1
        return [lines[:, tap : tap + last : down] for tap in range(self.geometry.kernel[0])]

    def lines(self, array: Array, row: int) -> Array:
        """Return the block's rows of outputs as (images, rows, width * channels)."""
        return array[:, row : row + self.rows].reshape(self.out)

    def load(self, x: Array, row: int, fill: float, fresh: bool) -> None:
        """Stage the inputs of rows of windows."""
        self.frame.fill = fill
        if fresh:
            self.frame.clear()
        self.frame.load(x, row * self.geometry.strides[0])


def max_pool(x: Array, out: Array, workspace: PoolingWorkspace) -> None:
    """Compute the maximum of every window.

    Parameters
    ----------
    x : (batch, height, width, channels)
    out : (batch, out height, out width, channels)
        Overwritten.
    workspace : PoolingWorkspace

    Raises
    ------
    ShapeError
        If a shape or dtype is not that of the workspace.
    """
    workspace.check("max_pool", x=x, out=out)
    workspace.team.run(_max_part, x, out, workspace)


def max_pool_gradient(
    x: Array,
    out: Array,
    d_out: Array,
    d_x: Array,
    workspace: PoolingWorkspace,
    accumulate: bool = False,
) -> None:
    """Hand the gradient of every maximum to the first of the inputs that have this value.

    Parameters
    ----------
    x, d_x : (batch, height, width, channels)
        Inputs, and their gradients, which are overwritten, or added to.
    out, d_out : (batch, out height, out width, channels)
        The maxima of the windows, and their gradients.
    workspace : PoolingWorkspace
    accumulate : bool
        Whether to add to `d_x`.

    Raises
    ------
    ShapeError
        If a shape or dtype is not that of the workspace.
    """
    workspace.check("max_pool_gradient", x=x, d_x=d_x, out=out, d_out=d_out)
    workspace.team.run(_max_gradient_part, x, out, d_out, d_x, workspace, accumulate)


def average_pool(x: Array, out: Array, workspace: PoolingWorkspace) -> None:
    """Compute the average of the cells of every window that are not missing.

    Parameters
    ----------
    x : (batch, height, width, channels)
    out : (batch, out height, out width, channels)
        Overwritten.
    workspace : PoolingWorkspace

    Raises
    ------
    ShapeError
        If a shape or dtype is not that of the workspace.
    """
    workspace.check("average_pool", x=x, out=out)
    workspace.team.run(_average_part, x, out, workspace)


def average_pool_gradient(
    d_out: Array, d_x: Array, workspace: PoolingWorkspace, accumulate: bool = False
) -> None:
    """Share the gradient of every average among the cells of its window.

    Parameters
    ----------
    d_out : (batch, out height, out width, channels)
    d_x : (batch, height, width, channels)
        Overwritten, or added to.
    workspace : PoolingWorkspace
    accumulate : bool
        Whether to add to `d_x`.

    Raises
    ------
    ShapeError
        If a shape or dtype is not that of the workspace.
    """
    workspace.check("average_pool_gradient", d_x=d_x, d_out=d_out)
    workspace.team.run(_average_gradient_part, d_out, d_x, workspace, accumulate)


def window_counts(geometry: Geometry2D) -> tuple[Array, Array]:
    """Return how many rows, and how many columns, of each window are not missing.

    >>> window_counts(Geometry2D.pooling((3, 4, 1), (2, 2), (1, 1), "same"))
    (array([2, 2, 1]), array([2, 2, 2, 1]))
    """
    counts = []
    for axis, before in ((0, geometry.padding[0]), (1, geometry.padding[2])):
        first = np.arange(geometry.out_shape[axis]) * geometry.strides[axis] - before
        last = np.minimum(first + geometry.kernel[axis], geometry.in_shape[axis])
        counts.append(last - np.maximum(first, 0))
    return counts[0], counts[1]


def _max_part(member: int, x: Array, out: Array, workspace: PoolingWorkspace) -> None:
    """Pool one member's images."""
    x, out = workspace.part(member, x, out)
    for block, fresh, these, row in workspace.over(member, len(x)):
        block.load(x[these], row, -np.inf, fresh)
        _fold(np.maximum, block.columns, block.best)
        _fold(np.maximum, block.taps, block.lines(out[these], row))


def _average_part(member: int, x: Array, out: Array, workspace: PoolingWorkspace) -> None:
    """Pool one member's images."""
    x, out = workspace.part(member, x, out)
    for block, fresh, these, row in workspace.over(member, len(x)):
        block.load(x[these], row, 0.0, fresh)
        lines = block.lines(out[these], row)
        _fold(np.add, block.columns, block.best)
        _fold(np.add, block.taps, lines)
        np.multiply(lines, workspace.columns_share, out=lines)
        np.multiply(lines, workspace.rows_share[row : row + block.rows], out=lines)


def _fold(function: np.ufunc, parts: list[Array], out: Array) -> None:
    """Combine parts one after another into `out`."""
    if len(parts) == 1:
        np.copyto(out, parts[0])
        return
    function(parts[0], parts[1], out=out)
    for part in parts[2:]:
        function(out, part, out=out)


def _max_gradient_part(
    member: int,
    x: Array,
    out: Array,
    d_out: Array,
    d_x: Array,
    workspace: PoolingWorkspace,
    accumulate: bool,
) -> None:
    """Hand back the gradients of one member's images: to rows of the windows, then to columns."""
    x, out, d_out, d_x = workspace.part(member, x, out, d_out, d_x)
    geometry = workspace.geometry
    if workspace.split and not accumulate:
        d_x[...] = 0
    for block, fresh, these, row in workspace.over(member, len(x)):
        block.load(x[these], row, -np.inf, fresh)
        _fold(np.maximum, block.columns, block.best)
        best, deltas = block.lines(out[these], row), block.lines(d_out[these], row)
        exact, cells = block.exact, block.gradient.cells
        _hand_back(block, block.taps, best, block.d_taps, deltas, exact[0], block.d_best)
        args = block.columns, block.best, block.d_columns, block.d_best, exact[1], cells
        _hand_back(block, *args)
        begin = row * geometry.strides[0]
        block.gradient.store(d_x[these], begin, workspace.split or accumulate)


def _hand_back(
    block: _PoolingBlock,
    values: list[Array],
    best: Array,
    d_values: list[Array],
    deltas: Array,
    exact: bool,
    cleared: Array,
) -> None:
    """Hand gradients to the first of some values that is the best.

    Where every value belongs to exactly one window its gradient is written; else all gradients are
    cleared and added to.
    """
    equal, chosen, rest = (
        each.reshape(-1)[: best.size].reshape(best.shape)
        for each in (block.equal, block.chosen, block.rest)
    )
    if not exact:
        cleared[...] = 0
    for value, d_value in zip(values[:-1], d_values[:-1], strict=True):
        np.equal(value, best, out=equal)
        np.copyto(chosen, equal)  # as numbers: products of numbers and truth values are slow
        part = d_value if exact else chosen
        np.multiply(deltas, chosen, out=part)
        if not exact:
            np.add(d_value, part, out=d_value)
        np.subtract(deltas, part, out=rest)
        deltas = rest
    if exact:
        np.copyto(d_values[-1], deltas)
    else:
        np.add(d_values[-1], deltas, out=d_values[-1])


def _average_gradient_part(
    member: int, d_out: Array, d_x: Array, workspace: PoolingWorkspace, accumulate: bool
) -> None:
    """Hand back the gradients of one member's images."""
    d_out, d_x = workspace.part(member, d_out, d_x)
    if workspace.split and not accumulate:
        d_x[...] = 0
    for block, _, these, row in workspace.over(member, len(d_x)):
        lines, shares = block.lines(d_out[these], row), workspace.rows_share
        rest = block.rest[:, : block.rows]
        np.multiply(lines, workspace.columns_share, out=rest)
        np.multiply(rest, shares[row : row + block.rows], out=rest)
        block.d_best[...] = 0
        for d_tap in block.d_taps:
            np.add(d_tap, rest, out=d_tap)
        block.gradient.cells[...] = 0
        for d_column in block.d_columns:
            np.add(d_column, block.d_best, out=d_column)
        begin = row * workspace.geometry.strides[0]
        block.gradient.store(d_x[these], begin, workspace.split or accumulate)
