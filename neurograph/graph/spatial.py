"""Convolution and pooling bundles: windows over images, their weights shared by address.

Cells of a window that lie outside the image are missing connections, not zeros.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from neurograph.errors import ShapeError
from neurograph.graph.connections import Bundle, Indices
from neurograph.kernels.geometry import Geometry2D
from neurograph.parameter import Parameter

if TYPE_CHECKING:
    from neurograph.graph.layer import Layer


@dataclass(frozen=True, slots=True)
class Axis:
    """The windows along one axis: output ``o`` sees ``o * stride - before + tap * dilation``.

    Examples
    --------
    >>> axis = Axis(size=5, outputs=3, kernel=3, stride=2, before=1, dilation=1)
    >>> [each.tolist() for each in axis.into(0)]
    [[0, 1], [1, 2]]
    >>> [each.tolist() for each in axis.out_of(1)]
    [[0, 1], [2, 0]]
    >>> len(axis)
    7
    """

    size: int
    outputs: int
    kernel: int
    stride: int
    before: int
    dilation: int

    def into(self, output: int) -> tuple[Indices, Indices]:
        """Return the cells that an output sees, ascending, and their taps (kernel indices)."""
        taps = np.arange(self.kernel)
        cells = output * self.stride - self.before + taps * self.dilation
        inside = (cells >= 0) & (cells < self.size)
        return cells[inside], taps[inside]

    def out_of(self, cell: int) -> tuple[Indices, Indices]:
        """Return the outputs that see a cell, ascending, and the taps through which they do."""
        taps = np.arange(self.kernel)[::-1]
        outputs, rest = np.divmod(cell + self.before - taps * self.dilation, self.stride)
        inside = (rest == 0) & (outputs >= 0) & (outputs < self.outputs)
        return outputs[inside], taps[inside]

    def pairs(self) -> tuple[Indices, Indices, Indices]:
        """Return cells, outputs and taps of everything seen along this axis."""
        outputs, taps = np.divmod(np.arange(self.outputs * self.kernel), self.kernel)
        cells = outputs * self.stride - self.before + taps * self.dilation
        inside = (cells >= 0) & (cells < self.size)
        return cells[inside], outputs[inside], taps[inside]

    def __len__(self) -> int:
        return len(self.pairs()[0])


class WindowConnections(Bundle):
    """What convolution and pooling share: which nodes a window joins."""

    def __init__(
        self,
        source: Layer,
        target: Layer,
        parameter: Parameter | None,
        geometry: Geometry2D,
        delay: int = 0,
    ) -> None:
        for layer, shape in ((source, geometry.in_shape), (target, geometry.out_shape)):
            if layer.size != int(np.prod(shape)):
                raise ShapeError(
                    f"{source.name} -> {target.name}: {layer.name or layer.kind!r} has shape "
                    f"{layer.shape}, the windows need {shape}"
                )
        self.geometry = geometry
        rows, columns = (
            Axis(
                geometry.in_shape[k],
                geometry.out_shape[k],
                geometry.kernel[k],
                geometry.strides[k],
                geometry.padding[2 * k],
                geometry.dilation[k],
            )
            for k in (0, 1)
        )
        self.rows, self.columns = rows, columns
        self._ins = geometry.in_shape[2] // geometry.groups
        self._outs = geometry.filters // geometry.groups
        super().__init__(source, target, parameter, delay)

    def _address(self, row_tap: Any, column_tap: Any, channel: Any, filter_: Any) -> Indices:
        """Return flat indices in a kernel of shape (rows, columns, channels / groups, filters)."""
        geometry = self.geometry
        place = row_tap * geometry.kernel[1] + column_tap
        flat = (place * self._ins + channel % self._ins) * geometry.filters + filter_
        flat = np.asarray(flat, dtype=np.int64)
        return flat if self.parameter is not None else np.zeros_like(flat)

    def into(self, down: int) -> tuple[Indices, Indices]:
        """Return upstream indices and weight addresses of the connections into a node."""
        row, column, filter_ = np.unravel_index(down, self.geometry.out_shape)
        cells, row_taps = self.rows.into(int(row))
        across, column_taps = self.columns.into(int(column))
        channels = filter_ // self._outs * self._ins + np.arange(self._ins)
        _, width, depth = self.geometry.in_shape
        ups = (cells[:, None, None] * width + across[:, None]) * depth + channels
        addresses = self._address(
            row_taps[:, None, None], column_taps[:, None], channels, int(filter_)
        )
        return ups.reshape(-1), addresses.reshape(-1)

    def out_of(self, up: int) -> tuple[Indices, Indices]:
        """Return downstream indices and weight addresses of the connections out of a node."""
        row, column, channel = np.unravel_index(up, self.geometry.in_shape)
        down_rows, row_taps = self.rows.out_of(int(row))
        down_columns, column_taps = self.columns.out_of(int(column))
        filters = channel // self._ins * self._outs + np.arange(self._outs)
        _, width, depth = self.geometry.out_shape
        downs = (down_rows[:, None, None] * width + down_columns[:, None]) * depth + filters
        addresses = self._address(
            row_taps[:, None, None], column_taps[:, None], int(channel), filters
        )
        return downs.reshape(-1), addresses.reshape(-1)

    def edges(self) -> tuple[Indices, Indices, Indices]:
        """Return upstream indices, downstream indices and addresses of all, upstream-major."""
        geometry = self.geometry
        rows = [each[:, None, None] for each in self.rows.pairs()]
        columns = [each[None, :, None] for each in self.columns.pairs()]
        pair = np.arange(geometry.groups * self._ins * self._outs)
        channels, outs = np.divmod(pair, self._outs)
        filters = channels // self._ins * self._outs + outs
        ups = (rows[0] * geometry.in_shape[1] + columns[0]) * geometry.in_shape[2] + channels
        downs = (rows[1] * geometry.out_shape[1] + columns[1]) * geometry.filters + filters
        addresses = self._address(rows[2], columns[2], channels, filters)
        ups, downs, addresses = (each.reshape(-1) for each in (ups, downs, addresses))
        order = np.lexsort((downs, ups))
        return ups[order], downs[order], addresses[order]

    def fan_outs(self) -> Indices:
        """Return the number of connections out of each node of the source."""
        rows, columns = (
            np.bincount(axis.pairs()[0], minlength=axis.size) for axis in (self.rows, self.columns)
        )
        return np.repeat(np.outer(rows, columns) * self._outs, self.geometry.in_shape[2])

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns) * self._ins * self.geometry.filters

    def describe(self) -> dict[str, Any]:
        """Return what, beside source, target, delay and parameter, rebuilds it."""
        sizes = asdict(self.geometry).items()
        return {k: list(v) if isinstance(v, tuple) else v for k, v in sizes}


class ConvolutionConnections(WindowConnections):
    """Every output node sees a window of the source; all windows share one kernel.

    The weight at (row, column, channel in its group, filter) of the window is the element with
    that index of a kernel in Keras's layout, so a depthwise kernel (rows, columns, channels,
    multiplier) has the same flat addresses as a convolution with as many groups as channels.

    Parameters
    ----------
    parameter : Parameter
        ``geometry.kernel_shape`` weights in this order, whatever its own shape.
    geometry : Geometry2D
        Where the windows lie. A convolution over sequences has height 1.
    """

    parameter: Parameter

    def __init__(
        self,
        source: Layer,
        target: Layer,
        parameter: Parameter,
        geometry: Geometry2D,
        delay: int = 0,
    ) -> None:
        if parameter.size != int(np.prod(geometry.kernel_shape)):
            raise ShapeError(
                f"{source.name} -> {target.name}: the kernel has shape {parameter.shape}, "
                f"expected {geometry.kernel_shape}"
            )
        super().__init__(source, target, parameter, geometry, delay)


class PoolingConnections(WindowConnections):
    """Every output node sees a window of one channel, with constant weight 1.

    What it makes of the window is the aggregation of the target, ``max`` or ``mean``; a mean is
    that of the cells that exist.
    """

    def __init__(self, source: Layer, target: Layer, geometry: Geometry2D, delay: int = 0) -> None:
        channels = geometry.in_shape[2]
        if geometry.groups != channels or geometry.filters != channels:
            raise ShapeError(
                f"{source.name} -> {target.name}: a pooling has as many groups and filters as its "
                f"{channels} channels, not {geometry.groups} and {geometry.filters}"
            )
        super().__init__(source, target, None, geometry, delay)
        for axis in (self.rows, self.columns):
            if len(np.unique(axis.pairs()[1])) < axis.outputs:
                raise ShapeError(
                    f"{self.label}: with padding {geometry.padding} a window of {geometry.kernel} "
                    f"lies wholly outside {geometry.in_shape[:2]}; pad less than the window's size"
                )
