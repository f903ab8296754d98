"""Convolutions over channels-last images: outputs and both gradients, nothing allocated.

Each of the three products of a convolution is done by the method that is expected to be fastest for
its shape: one plain product (kernels of one cell), Winograd's algorithm (3x3 and 5x5), products of
gathered columns, products scattered back, or tap by tap (depthwise).
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from neurograph.errors import OptionError, ShapeError
from neurograph.kernels.checks import check_batches
from neurograph.kernels.choice import (
    forward_costs,
    input_costs,
    turned_geometry,
)
from neurograph.kernels.columns import ColumnsForward, ColumnsWeights, Scatter
from neurograph.kernels.depthwise import DepthwiseForward, DepthwiseScatter, DepthwiseWeights
from neurograph.kernels.geometry import Geometry2D
from neurograph.kernels.product import Product, ProductWeights
from neurograph.kernels.team import Team, carve, nbytes_of, share
from neurograph.kernels.winograd import WinogradForward, WinogradWeights

Array = npt.NDArray[Any]
ALONE = 1 << 16  # a kernel of fewer numbers is prepared by one member of the team
TURN = 64  # channels and filters that are turned at a time


class ConvolutionWorkspace:
    """What one convolution needs to run on a batch: methods, blocks, and where scratch memory is.

    Workspaces that share a `Team` share its threads and its scratch memory, which holds nothing
    between calls; so a network needs as much of it as its largest layer.

    Parameters
    ----------
    geometry : Geometry2D
    batch : int
        Largest number of images of one call; calls may have fewer.
    dtype : dtype
        float32 or float64.
    team : Team, optional
        Threads that share the batch. One thread, the caller's, if there is none.
    exact : bool
        Whether to leave out the methods whose rounding errors are larger than those of the plain
        sum: about ten times in float32, for up to a third of the time ("winograd4" for 3x3, and
        "winograd2" for 5x5).
    forward, weights, inputs : str, optional
        Method of the outputs, of the kernel's gradient and of the inputs' gradients, where the
        expected fastest is not wanted: "product", "winograd2", "winograd4", "columns", "scatter" or
        "depthwise".

    Raises
    ------
    OptionError
        If a method does not suit the geometry.

    Examples
    --------
    >>> geometry = Geometry2D.of((5, 5, 1), (3, 3), 1, padding="same")
    >>> workspace = ConvolutionWorkspace(geometry, 1, "float64")
    >>> x, out = np.eye(5).reshape(1, 5, 5, 1), np.empty((1, 5, 5, 1))
    >>> convolve(x, np.ones((3, 3, 1, 1)), out, workspace)
    >>> out[0, :, :, 0]
    array([[2., 2., 1., 0., 0.],
           [2., 3., 2., 1., 0.],
           [1., 2., 3., 2., 1.],
           [0., 1., 2., 3., 2.],
           [0., 0., 1., 2., 2.]])
    """

    def __init__(
        self,
        geometry: Geometry2D,
        batch: int,
        dtype: npt.DTypeLike,
        team: Team | None = None,
        exact: bool = True,
        forward: str | None = None,
        weights: str | None = None,
        inputs: str | None = None,
    ) -> None:
        self.geometry, self.batch, self.dtype = geometry, batch, np.dtype(dtype)
        self.team = team or Team(1)
        threads = self.team.threads
        part = -(-batch // threads)
        costs, back = (find(geometry, batch, threads) for find in (forward_costs, input_costs))
        self.forward = _choose("the outputs", forward, costs, geometry, exact)
        self.weights = _choose("the kernel's gradient", weights, costs, geometry, exact)
        self.inputs = _choose("the inputs' gradients", inputs, back, geometry, exact)
        turned = turned_geometry(geometry)
        members = range(threads)
        self.forward_operators = [
            _forward_operator(self.forward, geometry, dtype, part) for _ in members
        ]
        self.weight_operators = [
            _weight_operator(self.weights, geometry, dtype, part) for _ in members
        ]
        self.turns = turned is not None and self.inputs not in {"product", "scatter", "depthwise"}
        self.input_operators = [
            _input_operator(self.inputs, turned if self.turns and turned else geometry, dtype, part)
            for _ in members
        ]
        self._reserve()

    def _reserve(self) -> None:
        """See to enough scratch memory for each of the three products."""
        for member, scratch in enumerate(self.team.scratch):
            weights = self.weight_operators[member]
            scratch.reserve(self.forward_operators[member].nbytes)
            scratch.reserve(self.input_operators[member].nbytes)
            scratch.reserve(weights.nbytes + nbytes_of(self.dtype, weights.partial_shape))
        kernel = nbytes_of(self.dtype, self.geometry.kernel_shape)
        for operator in (self.forward_operators[0], self.input_operators[0]):
            prepared = nbytes_of(self.dtype, operator.prepared_shape)
            self.team.shared.reserve(kernel + prepared)


def convolve(x: Array, kernel: Array, out: Array, workspace: ConvolutionWorkspace) -> None:
    """Compute the outputs of a convolution, without bias.

    Arrays of images may be slices of the channels of larger arrays, here and in the gradients.

    Parameters
    ----------
    x : (batch, height, width, channels)
    kernel : (rows, columns, channels / groups, filters)
    out : (batch, out height, out width, filters)
        Overwritten.
    workspace : ConvolutionWorkspace

    Raises
    ------
    ShapeError
        If a shape or dtype is not that of the workspace.
    """
    _check("convolve", workspace, kernel, x=x, out=out)
    prepared = _prepare(workspace, workspace.forward_operators[0], kernel, turned=False)
    operators = workspace.forward_operators
    workspace.team.run(_run_part, workspace.team, operators, x, prepared, out, False)


def convolve_input_gradient(
    d_out: Array,
    kernel: Array,
    d_x: Array,
    workspace: ConvolutionWorkspace,
    accumulate: bool = False,
) -> None:
    """Compute the gradients of the inputs of a convolution.

    Parameters
    ----------
    d_out : (batch, out height, out width, filters)
        Gradients of the outputs.
    kernel : (rows, columns, channels / groups, filters)
    d_x : (batch, height, width, channels)
        Overwritten, or added to.
    workspace : ConvolutionWorkspace
    accumulate : bool
        Whether to add to `d_x`.

    Raises
    ------
    ShapeError
        If a shape or dtype is not that of the workspace.
    """
    _check("convolve_input_gradient", workspace, kernel, d_out=d_out, d_x=d_x)
    operators = workspace.input_operators
    prepared = _prepare(workspace, operators[0], kernel, workspace.turns)
    workspace.team.run(_run_part, workspace.team, operators, d_out, prepared, d_x, accumulate)


def convolve_weight_gradient(
    x: Array,
    d_out: Array,
    d_kernel: Array,
    workspace: ConvolutionWorkspace,
    accumulate: bool = False,
) -> None:
    """Compute the gradient of the kernel of a convolution, summed over the batch.

    Parameters
    ----------
    x : (batch, height, width, channels)
    d_out : (batch, out height, out width, filters)
        Gradients of the outputs.
    d_kernel : (rows, columns, channels / groups, filters)
        Overwritten, or added to.
    workspace : ConvolutionWorkspace
    accumulate : bool
        Whether to add to `d_kernel`.

    Raises
    ------
    ShapeError
        If a shape or dtype is not that of the workspace.
    """
    geometry, team = workspace.geometry, workspace.team
    _check("convolve_weight_gradient", workspace, d_kernel, x=x, d_out=d_out)
    operators = workspace.weight_operators
    target = d_kernel
    if accumulate:
        (target,) = carve(team.shared.memory, workspace.dtype, d_kernel.shape)
    partials = [
        carve(scratch.memory[operator.nbytes :], workspace.dtype, operator.partial_shape)[0]
        for scratch, operator in zip(team.scratch, operators, strict=True)
    ]
    if geometry.groups == 1 and partials[0].size == target.size:
        partials[0] = target.reshape(partials[0].shape)
    team.run(_weight_part, team, operators, x, d_out, partials)
    if target.size < ALONE:
        operators[0].finish(partials, target, 0, 1)
    else:
        team.run(_finish_part, team, operators, partials, target)
    if accumulate:
        np.add(d_kernel, target, out=d_kernel)


def _run_part(
    member: int, team: Team, operators: list[Any], x: Array, prepared: Array, out: Array, add: bool
) -> None:
    """Do one member's images of the outputs, or of the inputs' gradients."""
    these = slice(*share(len(x), member, team.threads))
    operators[member].run(x[these], prepared, out[these], team.scratch[member].memory, add)


def _weight_part(
    member: int, team: Team, operators: list[Any], x: Array, d_out: Array, partials: list[Array]
) -> None:
    """Do one member's images of the kernel's gradient."""
    these = slice(*share(len(x), member, team.threads))
    memory = team.scratch[member].memory
    operators[member].run(x[these], d_out[these], partials[member], memory)


def _finish_part(
    member: int, team: Team, operators: list[Any], partials: list[Array], target: Array
) -> None:
    """Sum one member's share of the kernel's gradient, in the order of the members."""
    operators[member].finish(partials, target, member, team.threads)


def _prepare(workspace: ConvolutionWorkspace, operator: Any, kernel: Array, turned: bool) -> Array:
    """Return the kernel as an operator wants it: turned, transformed or sorted by group."""
    team = workspace.team
    shape: tuple[int, ...] = operator.prepared_shape
    if not turned and workspace.geometry.groups == 1 and prod(shape) == kernel.size:
        plain: Array = kernel.reshape(shape)
        return plain
    rows, columns, channels, filters = kernel.shape
    if turned:
        groups = workspace.geometry.groups
        channels, filters = filters // groups, channels * groups
    prepared: Array
    turn, prepared = carve(
        team.shared.memory, workspace.dtype, (rows, columns, channels, filters), shape
    )
    source = turn if turned else kernel
    if prod(shape) == source.size and workspace.geometry.groups == 1:
        prepared = source.reshape(shape)
        operator = None
    task = (team, operator, kernel, turn if turned else None, source, prepared)
    if kernel.size < ALONE:
        _prepare_channels(slice(0, channels), *task[1:])
    else:
        team.run(_prepare_part, *task)
    return prepared


def _prepare_part(member: int, team: Team, operator: Any, *arrays: Any) -> None:
    """Prepare one member's channels of a kernel."""
    channels = arrays[2].shape[2]
    _prepare_channels(slice(*share(channels, member, team.threads)), operator, *arrays)


def _prepare_channels(
    channels: slice, operator: Any, kernel: Array, turn: Array | None, source: Array, into: Array
) -> None:
    """Turn some channels of a kernel, and hand them to the operator."""
    if turn is not None:
        turn_kernel(kernel, turn, channels)
    if operator is not None:
        operator.prepare(source, into, channels)


def turn_kernel(kernel: Array, turned: Array, channels: slice) -> None:
    """Turn a kernel by half a turn, its filters becoming channels and its channels filters.

    Parameters
    ----------
    kernel : (rows, columns, channels / groups, filters)
    turned : (rows, columns, filters / groups, channels)
    channels : slice
        Which of the channels of `turned` are written.
    """
    rows, columns, few, filters = kernel.shape
    groups = filters // turned.shape[2]
    source = kernel[::-1, ::-1].reshape(rows, columns, few, groups, -1).transpose(0, 1, 4, 3, 2)
    target = turned.reshape(rows, columns, -1, groups, few)
    for first in range(channels.start, channels.stop, TURN):
        these = slice(first, min(first + TURN, channels.stop))
        for start in range(0, few, TURN):
            those = slice(start, start + TURN)
            np.copyto(target[:, :, these, :, those], source[:, :, these, :, those])


def _choose(
    what: str, name: str | None, costs: dict[str, float], geometry: Geometry2D, exact: bool
) -> str:
    """Return the named method, or the cheapest of those that are exact enough."""
    if name is None:
        rough = {"winograd4"} if geometry.kernel == (3, 3) else {"winograd2"}
        return min(costs.keys() - (rough if exact else set()), key=costs.__getitem__)
    if name not in costs:
        raise OptionError(
            f"method {name!r} for {what} of a convolution does not suit {geometry}: "
            f"possible are {', '.join(costs)}"
        )
    return name


def _forward_operator(method: str, geometry: Geometry2D, dtype: npt.DTypeLike, batch: int) -> Any:
    if method == "product":
        return Product(geometry, dtype, batch, turned=False)
    if method == "depthwise":
        return DepthwiseForward(geometry, dtype, batch)
    if method == "columns":
        return ColumnsForward(geometry, dtype, batch)
    return WinogradForward(geometry, dtype, batch, int(method.removeprefix("winograd")))


def _weight_operator(method: str, geometry: Geometry2D, dtype: npt.DTypeLike, batch: int) -> Any:
    if method == "product":
        return ProductWeights(geometry, dtype, batch)
    if method == "depthwise":
        return DepthwiseWeights(geometry, dtype, batch)
    if method == "columns":
        return ColumnsWeights(geometry, dtype, batch)
    return WinogradWeights(geometry, dtype, batch, int(method.removeprefix("winograd")))


def _input_operator(method: str, geometry: Geometry2D, dtype: npt.DTypeLike, batch: int) -> Any:
    if method == "product":
        return Product(geometry, dtype, batch, turned=True)
    if method == "depthwise":
        return DepthwiseScatter(geometry, dtype, batch)
    if method == "scatter":
        return Scatter(geometry, dtype, batch)
    return _forward_operator(method, geometry, dtype, batch)


def _check(name: str, workspace: ConvolutionWorkspace, kernel: Array, **arrays: Array) -> None:
    """See that a kernel and batches, outputs by name, or inputs, are what the workspace is for."""
    geometry, dtype = workspace.geometry, workspace.dtype
    shapes = {True: geometry.out_shape, False: geometry.in_shape}
    given = {key: (each, shapes[key.endswith("out")]) for key, each in arrays.items()}
    whole = workspace.forward == "product" and geometry.kernel != (1, 1)
    check_batches(name, workspace.batch, dtype, given, contiguous=whole)
    contiguous = kernel.flags.c_contiguous
    if kernel.shape != geometry.kernel_shape or kernel.dtype != dtype or not contiguous:
        raise ShapeError(
            f"{name}: the kernel is {kernel.dtype} {kernel.shape}"
            f"{'' if contiguous else ', not contiguous'}; it must be a contiguous "
            f"{dtype} array of shape {geometry.kernel_shape}"
        )
