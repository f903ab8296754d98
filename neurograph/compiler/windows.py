"""Windows: whether explicit edges between nodes with coordinates are a convolution or a pooling.

A geometry is guessed from a few nodes, then its own connections are compared with the table; only
if all are equal, addresses included, does it count.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurograph.compiler.recognise import Edges
from neurograph.errors import NeurographError
from neurograph.graph.distinct import all_differ, distinct
from neurograph.graph.spatial import Axis
from neurograph.kernels.geometry import Geometry2D

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Grid:
    """Nodes that fill an image of ``shape`` (rows, columns, channels), by place."""

    shape: tuple[int, int, int]
    nodes: Indices

    @property
    def place(self) -> Indices:
        """The flat place in the image of each node."""
        found = np.empty_like(self.nodes)
        found[self.nodes] = np.arange(len(self.nodes))
        return found


def grid_of(positions: list[tuple[int, ...] | None]) -> Grid | None:
    """Return the image that nodes with these positions fill, or None if they fill none.

    >>> grid_of([(0, 1, 0), (0, 0, 0)]).nodes
    array([1, 0])
    """
    if not positions or any(each is None or len(each) != 3 for each in positions):
        return None
    places = np.array(positions, dtype=np.int64)
    shape = tuple(int(each) + 1 for each in places.max(axis=0))
    flat = np.ravel_multi_index(tuple(places.T), shape) if places.min() >= 0 else None
    if flat is None or len(flat) != int(np.prod(shape)) or not all_differ(flat):
        return None
    return Grid((shape[0], shape[1], shape[2]), np.argsort(flat))


def convolution_of(
    edges: Edges, source: Grid, target: Grid, parameter_size: int
) -> Geometry2D | None:
    """Return the geometry of a convolution whose connections are exactly these edges.

    Parameters
    ----------
    edges : Edges
        ``ups`` and ``downs`` are numbers of nodes in the two grids.
    parameter_size : int
        The number of weights of the one parameter that all edges share.
    """
    if len(distinct(edges.owners)) != 1:
        return None
    ups, downs = _places(edges, source, target)
    axes = _axes(ups, downs, source, target)
    if axes is None:
        return None
    kernel = axes[0].kernel * axes[1].kernel
    if parameter_size != kernel * source.shape[2] * target.shape[2]:
        return None
    geometry = _geometry(source, target, axes)
    return geometry if geometry and _is_equal(edges, ups, downs, geometry, axes) else None


def pooling_of(edges: Edges, source: Grid, target: Grid) -> Geometry2D | None:
    """Return the geometry of a pooling whose connections are exactly these edges.

    Within a window they must come in the order of the rows and columns, as that decides which of
    two equal values is the maximum.

    Parameters
    ----------
    edges : Edges
        ``ups`` and ``downs`` are numbers of nodes in the two grids, sorted by (down, up); the
        weights do not count.
    """
    channels = source.shape[2]
    ups, downs = _places(edges, source, target)
    axes = _axes(ups, downs, source, target)
    if axes is None or channels != target.shape[2] or (ups[2] != downs[2]).any():
        return None
    taps = [_taps(ups[k], downs[k], axis) for k, axis in enumerate(axes)]
    rows, columns = axes
    if len(edges) != len(rows) * len(columns) * channels or rows.dilation * columns.dilation > 1:
        return None
    if taps[0] is None or taps[1] is None:
        return None
    place = edges.downs * (rows.kernel * columns.kernel) + taps[0] * columns.kernel + taps[1]
    if (np.diff(place) <= 0).any():  # some twice, or in another order
        return None
    return _geometry(source, target, axes, channels)


def _places(edges: Edges, source: Grid, target: Grid) -> tuple[Indices, Indices]:
    """Return (row, column, channel) of both ends of every edge."""
    ups = np.stack(np.unravel_index(source.place[edges.ups], source.shape))
    return ups, np.stack(np.unravel_index(target.place[edges.downs], target.shape))


def _axes(ups: Indices, downs: Indices, source: Grid, target: Grid) -> tuple[Axis, Axis] | None:
    rows, columns = (_axis(ups[k], downs[k], source.shape[k], target.shape[k]) for k in (0, 1))
    return None if rows is None or columns is None else (rows, columns)


def _geometry(
    source: Grid, target: Grid, axes: tuple[Axis, Axis], groups: int = 1
) -> Geometry2D | None:
    """Return the geometry with some windows, if it leads from the one grid to the other."""
    rows, columns = axes
    after = [
        (axis.outputs - 1) * axis.stride
        - axis.before
        + (axis.kernel - 1) * axis.dilation
        + 1
        - axis.size
        for axis in (rows, columns)
    ]
    try:
        geometry = Geometry2D(
            source.shape,
            (rows.kernel, columns.kernel),
            target.shape[2],
            (rows.stride, columns.stride),
            (rows.before, max(after[0], 0), columns.before, max(after[1], 0)),
            (rows.dilation, columns.dilation),
            groups,
        )
    except NeurographError:
        return None
    return geometry if geometry.out_shape == target.shape else None


def _axis(ups: Indices, downs: Indices, size: int, outputs: int) -> Axis | None:
    """Guess the windows along one axis."""
    pairs = np.unique(np.stack([downs, ups]), axis=1)
    windows = [pairs[1][pairs[0] == output] for output in range(outputs)]
    longest = max(len(window) for window in windows)
    full = [k for k, window in enumerate(windows) if len(window) == longest]
    first = windows[full[0]]
    dilation = int(first[1] - first[0]) if longest > 1 else 1
    stride = 1
    if len(full) > 1:
        step = int(windows[full[1]][0] - first[0])
        stride, rest = divmod(step, full[1] - full[0])
        if rest:
            return None
    elif outputs > 1 and min(map(len, windows)):
        at = full[0]  # its neighbours are cut off at one border: compare the other ends
        stride = int(windows[at][-1] - windows[at - 1][-1] if at else windows[1][0] - first[0])
    before = full[0] * stride - int(first[0])
    if stride < 1 or dilation < 1 or before < 0:
        return None
    return Axis(size, outputs, longest, stride, before, dilation)


def _taps(ups: Indices, downs: Indices, axis: Axis) -> Indices | None:
    """Return which cell of its window each edge comes from, None if one lies outside."""
    taps, rest = np.divmod(ups - downs * axis.stride + axis.before, axis.dilation)
    return None if rest.any() or taps.min() < 0 or taps.max() >= axis.kernel else taps


def _is_equal(
    edges: Edges,
    ups: Indices,
    downs: Indices,
    geometry: Geometry2D,
    axes: tuple[Axis, Axis],
) -> bool:
    """Whether the edges are exactly the connections of a convolution, by count and one by one."""
    rows, columns = axes
    channels, filters = geometry.in_shape[2], geometry.filters
    if len(edges) != len(rows) * len(columns) * channels * filters:
        return False
    taps = [_taps(ups[k], downs[k], axis) for k, axis in enumerate(axes)]
    if taps[0] is None or taps[1] is None:
        return False
    place = (taps[0] * geometry.kernel[1] + taps[1]) * channels + ups[2]
    if not np.array_equal(place * filters + downs[2], edges.addresses):
        return False
    flat_up = np.ravel_multi_index(tuple(ups), geometry.in_shape)
    flat_down = np.ravel_multi_index(tuple(downs), geometry.out_shape)
    pair = flat_up * int(np.prod(geometry.out_shape)) + flat_down
    return all_differ(pair)
