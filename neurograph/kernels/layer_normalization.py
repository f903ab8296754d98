"""Layer normalisation: every run along the last axis by itself; nothing allocated.

Formulas: J. L. Ba, J. R. Kiros, G. E. Hinton, "Layer normalization" (2016), with Keras's default
epsilon.
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


class LayerNormWorkspace:
    """What one layer normalisation over the last axis needs to run, and its statistics.

    Parameters
    ----------
    shape : tuple of int
        Shape of one sample; every run along the last axis has a mean of its own.
    batch : int
        Largest number of samples of one call; calls may have fewer.
    dtype : dtype
        float32 or float64.
    team : Team, optional
        Threads that share the batch. One thread, the caller's, if there is none.
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
        epsilon: float = 1e-3,
    ) -> None:
        self.shape, self.batch, self.dtype = tuple(shape), batch, np.dtype(dtype)
        self.team, self.epsilon = team or Team(1), epsilon
        units, lines = self.shape[-1], batch * prod(self.shape[:-1])
        self.rows = max(NUMBERS // units, 1)
        self.inverse = np.ones((lines, 1), dtype)
        self.normal = np.empty((lines, units), dtype)
        self.ones = np.ones((1, self.rows), dtype)
        self.average = np.full((units, 1), 1 / units, dtype)
        self.sums = np.zeros((self.team.threads, 2, units))
        self.shapes = [(self.rows, units), (self.rows, units), (self.rows, 1), (1, units)]
        for scratch in self.team.scratch:
            scratch.reserve(nbytes_of(dtype, *self.shapes))

    def check(self, name: str, **arrays: Array | None) -> None:
        """See that the arrays that are given are contiguous batches of the workspace."""
        given = {key: (each, self.shape) for key, each in arrays.items() if each is not None}
        check_batches(name, self.batch, self.dtype, given)

    def part(self, member: int, *arrays: Array) -> list[Array]:
        """Return one member's lines of arrays of whole batches: (lines, units)."""
        lines = arrays[0].size // self.shape[-1]
        these = slice(*share(lines, member, self.team.threads))
        return [array.reshape(lines, -1)[these] for array in arrays]


def layer_norm(
    x: Array,
    gamma: Array | None,
    beta: Array | None,
    out: Array,
    workspace: LayerNormWorkspace,
) -> None:
    """Normalise every run along the last axis by its own mean and biased variance.

    Parameters
    ----------
    x, out : (batch, …, units)
        Inputs, and outputs, which are overwritten. They may be the same array.
    gamma, beta : (units,) or None
        Scale and shift; 1 and 0 if None.
    workspace : LayerNormWorkspace
        Keeps the normalised inputs for the gradient.

    Raises
    ------
    ShapeError
        If an array is not what the workspace is for.
    """
    workspace.check("layer_norm", x=x, out=out)
    workspace.team.run(_layer_part, x, gamma, beta, out, workspace)


def layer_norm_gradient(
    gamma: Array | None,
    d_out: Array,
    d_gamma: Array | None,
    d_beta: Array | None,
    d_x: Array | None,
    workspace: LayerNormWorkspace,
    accumulate: bool = False,
) -> None:
    """Compute the gradients of `layer_norm`, whose normalised inputs the workspace has kept.

    Parameters
    ----------
    gamma : (units,) or None
    d_out : (batch, …, units)
        Gradients of the outputs.
    d_gamma, d_beta : (units,) or None
        Overwritten, or added to.
    d_x : (batch, …, units) or None
        Overwritten, or added to; it may be `d_out`. None if it is not needed.
    workspace : LayerNormWorkspace
    accumulate : bool
        Whether to add to `d_gamma`, `d_beta` and `d_x`.

    Raises
    ------
    ShapeError
        If an array is not what the workspace is for.
    """
    workspace.check("layer_norm_gradient", d_out=d_out, d_x=d_x)
    workspace.team.run(_layer_gradient_part, gamma, d_out, d_x, workspace, accumulate)
    for place, target in enumerate((d_gamma, d_beta)):
        if target is not None:
            total = workspace.sums[:, place].sum(axis=0)
            target[...] = target + total if accumulate else total


def _layer_part(
    member: int,
    x: Array,
    gamma: Array | None,
    beta: Array | None,
    out: Array,
    workspace: LayerNormWorkspace,
) -> None:
    """Normalise one member's lines."""
    count = x.size // workspace.shape[-1]
    x, out, normal, inverse = workspace.part(
        member, x, out, workspace.normal[:count], workspace.inverse[:count]
    )
    memory = workspace.team.scratch[member].memory
    squares, _, column, _ = carve(memory, workspace.dtype, *workspace.shapes)
    for start in range(0, len(x), workspace.rows):
        these = slice(start, start + workspace.rows)
        lines, scale, target = normal[these], inverse[these], out[these]
        means, square = column[: len(lines)], squares[: len(lines)]
        np.matmul(x[these], workspace.average, out=means)
        np.subtract(x[these], means, out=lines)
        np.multiply(lines, lines, out=square)
        np.matmul(square, workspace.average, out=scale)
        np.add(scale, workspace.epsilon, out=scale)
        np.sqrt(scale, out=scale)
        np.reciprocal(scale, out=scale)
        np.multiply(lines, scale, out=lines)
        if gamma is None:
            np.copyto(target, lines)
        else:
            np.multiply(lines, gamma, out=target)
        if beta is not None:
            np.add(target, beta, out=target)


def _layer_gradient_part(
    member: int,
    gamma: Array | None,
    d_out: Array,
    d_x: Array | None,
    workspace: LayerNormWorkspace,
    accumulate: bool,
) -> None:
    """Compute one member's gradients: inverse * (g - mean(g) - normal * mean(g * normal))."""
    count = d_out.size // workspace.shape[-1]
    deltas, normal, inverse = workspace.part(
        member, d_out, workspace.normal[:count], workspace.inverse[:count]
    )
    d_lines = None if d_x is None else workspace.part(member, d_x)[0]
    d_scale, d_shift = workspace.sums[member]
    workspace.sums[member] = 0
    memory = workspace.team.scratch[member].memory
    spare, other, column, row = carve(memory, workspace.dtype, *workspace.shapes)
    for start in range(0, len(deltas), workspace.rows):
        these = slice(start, start + workspace.rows)
        delta, lines = deltas[these], normal[these]
        ones, means = workspace.ones[:, : len(delta)], column[: len(delta)]
        g, product = spare[: len(delta)], other[: len(delta)]
        np.matmul(ones, delta, out=row)
        np.add(d_shift, row[0], out=d_shift)
        np.multiply(delta, lines, out=product)
        np.matmul(ones, product, out=row)
        np.add(d_scale, row[0], out=d_scale)
        if d_lines is None:
            continue
        np.multiply(delta, 1.0 if gamma is None else gamma, out=g)
        np.multiply(g, lines, out=product)
        np.matmul(product, workspace.average, out=means)
        np.multiply(lines, means, out=product)
        np.matmul(g, workspace.average, out=means)
        np.subtract(g, means, out=g)
        np.subtract(g, product, out=g)
        target = d_lines[these]
        np.multiply(g, inverse[these], out=g if accumulate else target)
        if accumulate:
            np.add(target, g, out=target)
