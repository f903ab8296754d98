"""Which method is expected to be fastest for the shape of a convolution."""

from __future__ import annotations

from dataclasses import replace
from math import prod

from neurograph.kernels.columns import columns_of, tap_major
from neurograph.kernels.geometry import Geometry2D
from neurograph.kernels.product import is_product

# Nanoseconds on one core of a current processor, measured: a multiplication with its addition in a
# product; a number that a product needs besides them; a run of numbers copied, added in place; a
# number of such a run; a number moved through the maps of Winograd's algorithm, in or out, by tile
# and kernel size, and a run of them; a number of a transformed kernel.
MULTIPLY, OVERHEAD = 0.0095, 12 * 0.0095
COPY_RUN, COPY = 5.0, 0.06
ADD_RUN, ADD = 30.0, 0.15
MAPS = {(2, 3): 1.2, (4, 3): 1.6, (2, 5): 6.3}
MAP_RUN = 10.0
TRANSFORM = 0.65
NARROW = 16  # fewer channels or filters make the runs of Winograd's maps too short


def turned_geometry(geometry: Geometry2D) -> Geometry2D | None:
    """Return the convolution of deltas with the turned kernel that gives the inputs' gradients.

    None where there is none: with strides, or with more padding than the kernel's extent.

    >>> turned_geometry(Geometry2D((8, 9, 3), (3, 2), 16)).padding
    (2, 2, 1, 1)
    """
    sides = [
        extent - 1 - side
        for extent, side in zip(
            (geometry.extent[0],) * 2 + (geometry.extent[1],) * 2, geometry.padding, strict=True
        )
    ]
    if geometry.strides != (1, 1) or min(sides) < 0:
        return None
    top, bottom, left, right = sides
    return replace(
        geometry,
        in_shape=geometry.out_shape,
        filters=geometry.in_shape[2],
        padding=(top, bottom, left, right),
    )


def forward_costs(geometry: Geometry2D, batch: int, threads: int = 1) -> dict[str, float]:
    """Return the methods for outputs, with the nanoseconds that each is expected to take.

    The gradient of the kernel has the same methods, and they take about as long.

    Parameters
    ----------
    geometry : Geometry2D
    batch : int
        Images of all threads together.
    threads : int

    Examples
    --------
    >>> costs = forward_costs(Geometry2D.of((8, 8, 256), (3, 3), 256, padding="same"), 32)
    >>> sorted(costs, key=costs.get)
    ['winograd4', 'winograd2', 'columns']
    """
    if is_product(geometry):
        return {"product": 0.0}
    part = -(-batch // threads)
    costs = {"columns": _columns(geometry, part)}
    costs |= _winograd(geometry, part, TRANSFORM / threads)
    if geometry.groups == geometry.in_shape[2] == geometry.filters:
        costs["depthwise"] = 0.0
    return costs


def input_costs(geometry: Geometry2D, batch: int, threads: int = 1) -> dict[str, float]:
    """Return the methods for the gradients of the inputs, as `forward_costs` does.

    >>> sorted(input_costs(Geometry2D((8, 8, 4), (2, 2), 4, strides=(2, 2)), 32))
    ['scatter']
    """
    if is_product(geometry):
        return {"product": 0.0}
    part = -(-batch // threads)
    numbers = part * prod(geometry.out_shape[:2]) * geometry.groups * columns_of(geometry)
    run = geometry.kernel_shape[2]
    if geometry.dilation[1] == 1:
        run *= geometry.kernel[1]
    added = numbers * (ADD + ADD_RUN / run)
    costs = {"scatter": added + numbers * _product(geometry.filters // geometry.groups)}
    turned = turned_geometry(geometry)
    if turned is not None:
        kernel = prod(geometry.kernel_shape)
        costs["columns"] = _columns(turned, part) + kernel * TRANSFORM / threads
        costs |= _winograd(turned, part, 2 * TRANSFORM / threads)
    if geometry.groups == geometry.in_shape[2] == geometry.filters:
        costs["depthwise"] = 0.0
    return costs


def _product(filters: int) -> float:
    """Return the time that a number of a column takes in a product."""
    return filters * MULTIPLY + OVERHEAD


def _columns(geometry: Geometry2D, batch: int) -> float:
    """Return the time of gathering columns and multiplying them."""
    numbers = batch * prod(geometry.out_shape[:2]) * geometry.groups * columns_of(geometry)
    run = geometry.kernel_shape[2]
    if geometry.dilation[1] == 1 and geometry.groups == 1:
        run *= geometry.kernel[1]
    if tap_major(geometry):
        run = geometry.out_shape[1]
    filters = geometry.filters // geometry.groups
    return numbers * (COPY + COPY_RUN / run + _product(filters))


def _winograd(geometry: Geometry2D, batch: int, transform: float) -> dict[str, float]:
    """Return the times of Winograd's algorithm, for the tiles that suit the kernel."""
    size, channels, filters = geometry.kernel[0], geometry.in_shape[2], geometry.filters
    plain = geometry.strides == geometry.dilation == (1, 1) and geometry.groups == 1
    if geometry.kernel != (size, size) or not plain or min(channels, filters) < NARROW:
        return {}
    costs = {}
    for (tile, suited), moved in MAPS.items():
        if suited == size:
            points = (tile + size - 1) ** 2
            count = batch * prod(-(-side // tile) for side in geometry.out_shape[:2])
            maps = count * tile**2 * ((channels + filters) * moved + 2 * MAP_RUN)
            products = count * points * channels * _product(filters)
            costs[f"winograd{tile}"] = maps + products + points * channels * filters * transform
    return costs
