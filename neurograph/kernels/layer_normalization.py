"""Layer normalisation: each sample by its own mean and variance, in blocks; nothing allocated.

Formulas: J. L. Ba, J. R. Kiros, G. E. Hinton, "Layer normalization" (2016), equations 3 and 4, with
Keras's default epsilon. With ``difference = x - mean``, calculated once more while a block is in
cache, ``inverse = 1 / sqrt(variance + epsilon)`` and ``g = gamma * d_out`` the gradient is

    d_x = inverse * g - inverse * mean(g) - inverse**3 * mean(g * difference) * difference
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from neurograph.kernels.checks import check_batches
from neurograph.kernels.team import Team, carve, nbytes_of, share

Array = npt.NDArray[Any]
NUMBERS = 1 << 16  # numbers of a block
WORTH = 1 << 20  # numbers of a batch; below, threads wait for one another longer than they work
RUN = 1024  # numbers of a row, about: NumPy is slow where a row's factors are repeated more often


class LayerNormWorkspace:
    """What layer normalisations of one shape need to run on a batch; nothing is kept in it.

    Parameters
    ----------
    shape : tuple of int
        Shape of one sample.
    batch : int
        Largest number of samples of one call; calls may have fewer.
    dtype : dtype
        float32 or float64.
    team : Team, optional
        Threads that share the batch. One thread, the caller's, if there is none.
    axes : sequence of int
        The axes of a sample, from the end, that share a mean: (-1,) is the last.
    epsilon : float
        Added to the variance.

    Examples
    --------
    >>> workspace = LayerNormWorkspace((4,), 1, "float64")
    >>> x, out = np.array([[0.0, 2.0, 4.0, 6.0]]), np.empty((1, 4))
    >>> layer_norm(x, None, None, out, workspace)
    >>> out.round(3)
    array([[-1.342, -0.447,  0.447,  1.342]])
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        batch: int,
        dtype: npt.DTypeLike,
        team: Team | None = None,
        axes: Sequence[int] = (-1,),
        epsilon: float = 1e-3,
    ) -> None:
        self.shape, self.batch, self.dtype = tuple(shape), batch, np.dtype(dtype)
        self.epsilon = epsilon
        team = team or Team(1)
        self.team = team if batch * prod(self.shape) >= WORTH else team.first
        kept = sorted(len(self.shape) + axis for axis in axes)
        order = [axis for axis in range(len(self.shape)) if axis not in kept] + kept
        self.order = (0, *(1 + axis for axis in order))
        units = self.units = prod(self.shape[axis] for axis in kept)
        self.in_order = order == sorted(order)
        row = tuple(self.shape[axis] for axis in order)
        if self.in_order:
            places, fits = prod(row) // units, max(RUN // units, 1)
            row = (units * max(k for k in range(1, min(fits, places) + 1) if places % k == 0),)
        self.row = row
        self.rows = min(max(NUMBERS // prod(row), 1), batch * prod(self.shape) // prod(row))
        lines = self.rows * prod(row) // units
        self.average = np.full((units, 1), 1 / units, dtype)
        self.weighted = self.average.copy()
        self.ones = np.ones((1, lines), dtype)
        self.factors = np.zeros((2, prod(row)), dtype)
        self.sums = np.zeros((self.team.threads, 2, units))
        self.shapes = [(self.rows, *row)] * 3 + [(lines, 1)] * 3 + [(1, units)]
        for scratch in self.team.scratch:
            scratch.reserve(nbytes_of(dtype, *self.shapes))
        self.carved: list[tuple[Array, list[Array]] | None] = [None] * self.team.threads

    def check(self, name: str, **arrays: Array) -> None:
        """See that arrays are contiguous batches of the workspace."""
        given = {key: (each, self.shape) for key, each in arrays.items()}
        check_batches(name, self.batch, self.dtype, given)

    def scratch(self, member: int) -> list[Array]:
        """Return one member's arrays of a block: three of rows, three of lines, one of sums."""
        memory, carved = self.team.scratch[member].memory, self.carved[member]
        if carved is None or carved[0] is not memory:
            carved = self.carved[member] = (memory, carve(memory, self.dtype, *self.shapes))
        return carved[1]

    def part(self, member: int, *arrays: Array) -> list[Array]:
        """Return one member's rows of whole batches.

        A row is some lines, numbers with a mean of their own, one after another; or where these do
        not lie together, a sample, its axes in the order that brings them together.
        """
        if self.in_order:
            views = [array.reshape(-1, *self.row) for array in arrays]
        else:
            views = [array.transpose(self.order) for array in arrays]
        these = slice(*share(len(views[0]), member, self.team.threads))
        return [view[these] for view in views]

    def lines(self, rows: Array, spare: Array) -> Array:
        """Return rows as (lines, units), copied to `spare` if the units do not lie together."""
        if not self.in_order:
            spare = spare[: len(rows)]
            np.copyto(spare, rows)
            rows = spare
        return rows.reshape(-1, self.units)

    def spread(self, place: int, values: Array | None) -> Array | None:
        """Repeat gamma or beta along a row."""
        if values is None:
            return None
        row: Array = self.factors[place].reshape(self.row)
        row.reshape(-1, self.units)[...] = values.reshape(-1)
        return row


def layer_norm(
    x: Array,
    gamma: Array | None,
    beta: Array | None,
    out: Array,
    workspace: LayerNormWorkspace,
) -> None:
    """Normalise by mean and biased variance over some axes of each sample.

    Parameters
    ----------
    x, out : (batch, …)
        Inputs, and outputs, which are overwritten. They may be the same array.
    gamma, beta : (sizes of the axes) or None
        Scale and shift; 1 and 0 if None.
    workspace : LayerNormWorkspace

    Raises
    ------
    ShapeError
        If an array is not what the workspace is for.
    """
    workspace.check("layer_norm", x=x, out=out)
    gamma, beta = workspace.spread(0, gamma), workspace.spread(1, beta)
    workspace.team.run(_forward_part, x, gamma, beta, out, workspace)


def layer_norm_gradient(
    x: Array,
    gamma: Array | None,
    d_out: Array,
    d_gamma: Array | None,
    d_beta: Array | None,
    d_x: Array,
    workspace: LayerNormWorkspace,
    accumulate: bool = False,
) -> None:
    """Compute the gradients of `layer_norm`.

    Parameters
    ----------
    x : (batch, …)
        The inputs of `layer_norm`.
    gamma : (sizes of the axes) or None
    d_out : (batch, …)
        Gradients of the outputs.
    d_gamma, d_beta : (sizes of the axes) or None
        Added to.
    d_x : (batch, …)
        Overwritten, or added to; it may be `d_out`.
    workspace : LayerNormWorkspace
    accumulate : bool
        Whether to add to `d_x`.

    Raises
    ------
    ShapeError
        If an array is not what the workspace is for.
    """
    workspace.check("layer_norm_gradient", x=x, d_out=d_out, d_x=d_x)
    average = workspace.average
    if gamma is not None:
        average = np.multiply(gamma.reshape(-1, 1), average, out=workspace.weighted)
    gamma = workspace.spread(0, gamma)
    workspace.team.run(_gradient_part, x, gamma, average, d_out, d_x, workspace, accumulate)
    for place, target in enumerate((d_gamma, d_beta)):
        if target is not None:
            target += workspace.sums[:, place].sum(axis=0).reshape(target.shape)


def _forward_part(
    member: int,
    x: Array,
    gamma: Array | None,
    beta: Array | None,
    out: Array,
    workspace: LayerNormWorkspace,
) -> None:
    """Normalise one member's rows."""
    x, out = workspace.part(member, x, out)
    normal, *memory = workspace.scratch(member)
    for start in range(0, len(x), workspace.rows):
        these = slice(start, start + workspace.rows)
        target = out[these]
        difference, inverse = _differences(x[these], normal, memory, workspace)
        np.multiply(difference, inverse, out=difference)
        rows = normal[: len(target)]
        if gamma is None:
            np.copyto(target, rows)
        else:
            np.multiply(rows, gamma, out=target)
        if beta is not None:
            np.add(target, beta, out=target)


def _differences(
    rows: Array, found: Array, memory: list[Array], workspace: LayerNormWorkspace
) -> tuple[Array, Array]:
    """Set `found` to the differences of rows from their means; return them, (lines, units).

    And 1 / sqrt(variance + epsilon): (lines, 1).
    """
    spare, _, inverse, means, *_ = memory
    lines = workspace.lines(rows, spare)
    difference, square = (each[: len(rows)].reshape(lines.shape) for each in (found, spare))
    means, inverse = means[: len(lines)], inverse[: len(lines)]
    np.matmul(lines, workspace.average, out=means)
    np.subtract(lines, means, out=difference)
    np.multiply(difference, difference, out=square)
    np.matmul(square, workspace.average, out=inverse)
    np.add(inverse, workspace.epsilon, out=inverse)
    np.sqrt(inverse, out=inverse)
    np.reciprocal(inverse, out=inverse)
    return difference, inverse


def _gradient_part(
    member: int,
    x: Array,
    gamma: Array | None,
    average: Array,
    d_out: Array,
    d_x: Array,
    workspace: LayerNormWorkspace,
    accumulate: bool,
) -> None:
    """Compute one member's gradients; `average` makes the mean of g from d_out."""
    x, d_out, d_x = workspace.part(member, x, d_out, d_x)
    d_scale, d_shift = workspace.sums[member]
    workspace.sums[member] = 0
    found, *memory = workspace.scratch(member)
    spare, copied, _, shift, slope, total = memory
    for start in range(0, len(x), workspace.rows):
        these = slice(start, start + workspace.rows)
        target = d_x[these]
        difference, inverse = _differences(x[these], found, memory, workspace)
        deltas = workspace.lines(d_out[these], copied)
        g_rows = spare[: len(target)]
        g = product = g_rows.reshape(deltas.shape)
        means, along = shift[: len(deltas)], slope[: len(deltas)]
        np.matmul(workspace.ones[:, : len(deltas)], deltas, out=total)
        np.add(d_shift, total[0], out=d_shift)
        np.multiply(deltas, difference, out=product)
        np.matmul(inverse.T, product, out=total)
        np.add(d_scale, total[0], out=d_scale)
        np.matmul(deltas, average, out=means)
        np.matmul(product, average, out=along)
        np.multiply(along, inverse, out=along)
        np.multiply(along, inverse, out=along)
        np.multiply(difference, along, out=difference)
        np.add(difference, means, out=difference)
        if gamma is None:
            g = deltas
        else:
            np.multiply(deltas.reshape(g_rows.shape), gamma, out=g_rows)
        np.subtract(g, difference, out=difference)
        if workspace.in_order and not accumulate:
            np.multiply(difference, inverse, out=target.reshape(deltas.shape))
            continue
        np.multiply(difference, inverse, out=difference)
        change = found[: len(target)]
        if accumulate:
            np.add(target, change, out=target)
        else:
            np.copyto(target, change)
