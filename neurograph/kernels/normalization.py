"""Batch normalisation over the last axis, in few passes; nothing allocated.

Statistics are sums over blocks that stay in cache: of the differences from a first estimate of the
mean, so that no digits cancel, added up in float64. Formulas: S. Ioffe, C. Szegedy, "Batch
normalization" (2015), algorithm 1 and section 3, with Keras's defaults and names.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from neurograph.kernels.checks import check_batches
from neurograph.kernels.team import Team, carve, nbytes_of, share

Array = npt.NDArray[Any]
NUMBERS = 1 << 17  # numbers of a block
WORTH = 1 << 21  # numbers of a batch; below, threads wait for one another longer than they work
RUN = 1024  # numbers of a row, about: NumPy is slow where a row's factors are repeated more often


class BatchNormWorkspace:
    """What one batch normalisation needs to run on a batch, and its statistics.

    Parameters
    ----------
    shape : tuple of int
        Shape of one sample; the last axis is the one whose elements have a mean each.
    batch : int
        Largest number of samples of one call; calls may have fewer.
    dtype : dtype
        float32 or float64.
    team : Team, optional
        Threads that share the batch. One thread, the caller's, if there is none.
    epsilon : float
        Added to the variance.

    Attributes
    ----------
    mean, inverse : (channels,)
        Mean and 1 / sqrt(variance + epsilon) of the last training batch, in float64.

    Examples
    --------
    >>> workspace = BatchNormWorkspace((1,), 4, "float64")
    >>> x, out = np.array([[0.0], [2.0], [4.0], [6.0]]), np.empty((4, 1))
    >>> batch_norm(x, None, None, out, workspace)
    >>> out.round(3).T, workspace.mean, workspace.inverse.round(3)
    (array([[-1.342, -0.447,  0.447,  1.342]]), array([3.]), array([0.447]))
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        batch: int,
        dtype: npt.DTypeLike,
        team: Team | None = None,
        epsilon: float = 1e-3,
    ) -> None:
        self.shape, self.batch, self.dtype = tuple(shape), batch, np.dtype(dtype)
        channels, places = self.shape[-1], prod(self.shape[:-1])
        team = team or Team(1)
        self.team = team if batch * places * channels >= WORTH else team.first
        self.epsilon = epsilon
        fits = max(RUN // channels, 1)
        self.repeats = max(k for k in range(1, min(fits, places) + 1) if places % k == 0)
        self.run = self.repeats * channels
        self.rows = max(NUMBERS // self.run, 1)
        self.mean, self.inverse = np.zeros(channels), np.ones(channels)
        members = self.team.threads
        self.sums = np.zeros((members, 3, self.run))  # first estimate, sum, sum of squares
        self.factors = np.zeros((4, self.run), dtype)
        self.ones = np.ones((1, self.rows), dtype)
        self.zeros = np.zeros(self.run, dtype)
        self.shapes = [(self.rows, self.run)] * 2 + [(2, self.run)]
        for scratch in self.team.scratch:
            nbytes = nbytes_of(dtype, *self.shapes) + nbytes_of(bool, self.shapes[0])
            scratch.reserve(nbytes)

    def check(self, name: str, **arrays: Array | None) -> None:
        """See that the arrays that are given are contiguous batches of the workspace."""
        given = {key: (each, self.shape) for key, each in arrays.items() if each is not None}
        check_batches(name, self.batch, self.dtype, given)

    def part(self, member: int, *arrays: Array) -> list[Array]:
        """Return one member's rows of arrays of whole batches: (rows, run)."""
        flat = [array.reshape(-1, self.run) for array in arrays]
        these = slice(*share(len(flat[0]), member, self.team.threads))
        return [each[these] for each in flat]

    def spread(self, place: int, values: Array) -> None:
        """Repeat numbers of the channels along a row of factors."""
        self.factors[place].reshape(self.repeats, -1)[...] = values

    def gather(self, place: int) -> Array:
        """Return sums of the channels over all members and repeats."""
        total = self.sums[:, place].sum(axis=0)
        summed: Array = total.reshape(self.repeats, -1).sum(axis=0)
        return summed


def batch_norm(
    x: Array,
    gamma: Array | None,
    beta: Array | None,
    out: Array,
    workspace: BatchNormWorkspace,
    relu: bool = False,
) -> None:
    """Normalise a training batch by its own statistics, which the workspace keeps.

    ``out = gamma * (x - mean) / sqrt(variance + epsilon) + beta``, with the biased variance.

    Parameters
    ----------
    x, out : (batch, …, channels)
        Inputs, and outputs, which are overwritten. They may be the same array.
    gamma, beta : (channels,) or None
        Scale and shift; 1 and 0 if None.
    workspace : BatchNormWorkspace
    relu : bool
        Whether the outputs are cut off at 0.

    Raises
    ------
    ShapeError
        If an array is not what the workspace is for.
    """
    workspace.check("batch_norm", x=x, out=out)
    workspace.team.run(_sum_part, x, workspace)
    count = x.size // workspace.shape[-1]
    mean, variance = _combine(workspace, len(x), count)
    workspace.mean[...] = mean
    np.divide(1.0, np.sqrt(variance + workspace.epsilon), out=workspace.inverse)
    _scale(x, gamma, beta, mean, workspace.inverse, out, workspace, relu)


def batch_norm_inference(
    x: Array,
    gamma: Array | None,
    beta: Array | None,
    moving_mean: Array,
    moving_variance: Array,
    out: Array,
    workspace: BatchNormWorkspace,
    relu: bool = False,
) -> None:
    """Normalise by the moving statistics, (channels,): one multiplication and one addition.

    The other parameters, and the errors, are those of `batch_norm`.
    """
    workspace.check("batch_norm_inference", x=x, out=out)
    inverse = 1 / np.sqrt(moving_variance.astype(np.float64) + workspace.epsilon)
    _scale(x, gamma, beta, moving_mean, inverse, out, workspace, relu)


def batch_norm_gradient(
    x: Array,
    gamma: Array | None,
    out: Array | None,
    d_out: Array,
    d_gamma: Array | None,
    d_beta: Array | None,
    d_x: Array | None,
    workspace: BatchNormWorkspace,
    accumulate: bool = False,
) -> None:
    """Compute the gradients of `batch_norm`, whose statistics the workspace has kept.

    Parameters
    ----------
    x : (batch, …, channels)
        The inputs of `batch_norm`.
    gamma : (channels,) or None
    out : (batch, …, channels) or None
        The outputs, if they were cut off at 0: then `d_out` is set to 0 where they are 0.
    d_out : (batch, …, channels)
        Gradients of the outputs.
    d_gamma, d_beta : (channels,) or None
        Added to.
    d_x : (batch, …, channels) or None
        Overwritten, or added to; it may be `d_out`. None if it is not needed.
    workspace : BatchNormWorkspace
    accumulate : bool
        Whether to add to `d_x`.

    Raises
    ------
    ShapeError
        If an array is not what the workspace is for.
    """
    workspace.check("batch_norm_gradient", x=x, d_out=d_out, out=out, d_x=d_x)
    workspace.spread(0, workspace.mean)
    workspace.team.run(_gradient_sum_part, x, out, d_out, workspace)
    total, along = workspace.gather(1), workspace.gather(2)
    inverse = workspace.inverse
    for target, value in ((d_gamma, along * inverse), (d_beta, total)):
        if target is not None:
            target += value
    if d_x is None:
        return
    count = x.size // workspace.shape[-1]
    scale = inverse if gamma is None else inverse * gamma
    slope = -scale * inverse**2 * along / count
    workspace.spread(0, scale)
    workspace.spread(1, slope)
    workspace.spread(2, -scale * total / count - slope * workspace.mean)
    workspace.team.run(_gradient_part, x, d_out, d_x, workspace, accumulate)


def _scale(
    x: Array,
    gamma: Array | None,
    beta: Array | None,
    mean: Array,
    inverse: Array,
    out: Array,
    workspace: BatchNormWorkspace,
    relu: bool,
) -> None:
    """Compute the outputs from the statistics."""
    scale = inverse if gamma is None else inverse * gamma
    shift = -mean * scale if beta is None else beta - mean * scale
    workspace.spread(0, scale)
    workspace.spread(1, shift)
    workspace.team.run(_scale_part, x, out, workspace, relu)


def _sum_part(member: int, x: Array, workspace: BatchNormWorkspace) -> None:
    """Sum one member's rows, and their squares, both from the mean of its first block on."""
    (rows,) = workspace.part(member, x)
    estimate, total, squares = workspace.sums[member]
    workspace.sums[member] = 0
    if not len(rows):
        return
    memory = workspace.team.scratch[member].memory
    spare, _, sums = carve(memory, workspace.dtype, *workspace.shapes)
    first = rows[: workspace.rows]
    np.matmul(workspace.ones[:, : len(first)], first, out=sums[:1])
    means = sums[0].reshape(workspace.repeats, -1).sum(axis=0)
    means /= len(first) * workspace.repeats
    sums[1].reshape(workspace.repeats, -1)[...] = means
    shift = sums[1]
    estimate[...] = shift
    for start in range(0, len(rows), workspace.rows):
        part = rows[start : start + workspace.rows]
        ones, difference = workspace.ones[:, : len(part)], spare[: len(part)]
        np.subtract(part, shift, out=difference)
        np.matmul(ones, difference, out=sums[:1])
        np.add(total, sums[0], out=total)
        np.multiply(difference, difference, out=difference)
        np.matmul(ones, difference, out=sums[:1])
        np.add(squares, sums[0], out=squares)


def _combine(workspace: BatchNormWorkspace, batch: int, count: int) -> tuple[Array, Array]:
    """Return mean and variance from the sums of all members."""
    rows = batch * prod(workspace.shape) // workspace.run
    members, repeats = workspace.team.threads, workspace.repeats
    means, spreads, weights = [], [], []
    for member, (estimate, total, squares) in enumerate(workspace.sums):
        start, stop = share(rows, member, members)
        number = (stop - start) * repeats
        if number:
            shift = total.reshape(repeats, -1).sum(axis=0) / number
            square = squares.reshape(repeats, -1).sum(axis=0) / number
            means.append(estimate[: len(shift)] + shift)
            spreads.append(square - shift * shift)
            weights.append(number / count)
    mean = sum(weight * each for weight, each in zip(weights, means, strict=True))
    variance = sum(
        weight * (spread + (each - mean) ** 2)
        for weight, spread, each in zip(weights, spreads, means, strict=True)
    )
    return np.asarray(mean), np.maximum(variance, 0)


def _scale_part(
    member: int, x: Array, out: Array, workspace: BatchNormWorkspace, relu: bool
) -> None:
    """Scale and shift one member's rows."""
    x, out = workspace.part(member, x, out)
    scale, shift = workspace.factors[:2]
    for start in range(0, len(x), workspace.rows):
        lines = out[start : start + workspace.rows]
        np.multiply(x[start : start + workspace.rows], scale, out=lines)
        np.add(lines, shift, out=lines)
        if relu:
            np.maximum(lines, workspace.zeros, out=lines)  # a scalar 0 is five times slower


def _gradient_sum_part(
    member: int, x: Array, out: Array | None, d_out: Array, workspace: BatchNormWorkspace
) -> None:
    """Sum one member's gradients, alone and times the distances of the inputs from the mean."""
    x, d_out = workspace.part(member, x, d_out)
    lines = None if out is None else workspace.part(member, out)[0]
    _, total, along = workspace.sums[member]
    workspace.sums[member] = 0
    memory = workspace.team.scratch[member].memory
    spare, _, sums = carve(memory, workspace.dtype, *workspace.shapes)
    offset = nbytes_of(workspace.dtype, *workspace.shapes)
    (positive,) = carve(memory[offset:], bool, workspace.shapes[0])
    for start in range(0, len(x), workspace.rows):
        these = slice(start, start + workspace.rows)
        deltas = d_out[these]
        ones, product = workspace.ones[:, : len(deltas)], spare[: len(deltas)]
        if lines is not None:
            mask = positive[: len(deltas)]
            np.greater(lines[these], workspace.zeros, out=mask)
            np.copyto(product, mask)  # as numbers: products with truth values are slow
            np.multiply(deltas, product, out=deltas)
        np.matmul(ones, deltas, out=sums[:1])
        np.add(total, sums[0], out=total)
        np.subtract(x[these], workspace.factors[0], out=product)
        np.multiply(product, deltas, out=product)
        np.matmul(ones, product, out=sums[:1])
        np.add(along, sums[0], out=along)


def _gradient_part(
    member: int,
    x: Array,
    d_out: Array,
    d_x: Array,
    workspace: BatchNormWorkspace,
    accumulate: bool,
) -> None:
    """Compute one member's gradients of the inputs: scale * d_out + slope * x + shift."""
    x, d_out, d_x = workspace.part(member, x, d_out, d_x)
    scale, slope, shift = workspace.factors[:3]
    memory = workspace.team.scratch[member].memory
    spare, other, _ = carve(memory, workspace.dtype, *workspace.shapes)
    for start in range(0, len(x), workspace.rows):
        these = slice(start, start + workspace.rows)
        target = d_x[these]
        product = spare[: len(target)]
        into = other[: len(target)] if accumulate else target
        np.multiply(x[these], slope, out=product)
        np.add(product, shift, out=product)
        np.multiply(d_out[these], scale, out=into)
        np.add(into, product, out=into)
        if accumulate:
            np.add(target, into, out=target)
