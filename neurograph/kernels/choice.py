"""Which method is expected to be fastest for the shape of a convolution."""

from __future__ import annotations

from dataclasses import replace
from math import prod

from neurograph.kernels.columns import columns_of
from neurograph.kernels.geometry import Geometry2D
from neurograph.kernels.product import is_product

# Nanoseconds on one core of a current processor: a multiplication and addition within a product;
# a number copied into a column; a number added back to the images; a number moved through the maps
# of Winograd's algorithm, in or out, for tiles of 2 and 4; a number of a transformed kernel.
MULTIPLY, GATHER, ADD = 0.011, 0.12, 0.3
MAPS = {2: 1.2, 4: 1.5}
TRANSFORM = 0.5
NARROW = 16  # channels or filters below this make products and runs inefficient


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


def forward_costs(geometry: Geometry2D, batch: int) -> dict[str, float]:
    """Return the methods for outputs, with the nanoseconds that each is expected to take.

    >>> costs = forward_costs(Geometry2D.of((8, 8, 256), (3, 3), 256, padding="same"), 32)
    >>> min(costs, key=costs.get)
    'winograd4'
    """
    if is_product(geometry):
        return {"product": 0.0}
    costs = {"columns": _columns(geometry, batch), **_winograd(geometry, batch)}
    if geometry.groups == geometry.in_shape[2] == geometry.filters:
        costs["depthwise"] = 0.0
    return costs


def weight_costs(geometry: Geometry2D, batch: int) -> dict[str, float]:
    """Return the methods for the gradient of the kernel."""
    return forward_costs(geometry, batch)


def input_costs(geometry: Geometry2D, batch: int) -> dict[str, float]:
    """Return the methods for the gradients of the inputs.

    >>> sorted(input_costs(Geometry2D((8, 8, 4), (2, 2), 4, strides=(2, 2)), 32))
    ['scatter']
    """
    if is_product(geometry):
        return {"product": 0.0}
    positions = batch * prod(geometry.out_shape[:2])
    window = columns_of(geometry)
    group = geometry.filters // geometry.groups
    product = MULTIPLY * group * (1 + NARROW / window + NARROW / group)
    costs = {"scatter": positions * geometry.groups * window * (product + ADD)}
    turned = turned_geometry(geometry)
    if turned is not None:
        costs |= {"columns": _columns(turned, batch), **_winograd(turned, batch)}
    if geometry.groups == geometry.in_shape[2] == geometry.filters:
        costs["depthwise"] = 0.0
    return costs


def _columns(geometry: Geometry2D, batch: int) -> float:
    """Return the time of gathering columns and multiplying them."""
    positions = batch * prod(geometry.out_shape[:2])
    window, group = columns_of(geometry), geometry.filters // geometry.groups
    product = MULTIPLY * group * (1 + NARROW / window + NARROW / group)
    return positions * geometry.groups * window * (product + GATHER)


def _winograd(geometry: Geometry2D, batch: int) -> dict[str, float]:
    """Return the times of Winograd's algorithm, for the tiles that suit the kernel."""
    size = geometry.kernel[0]
    channels, filters = geometry.in_shape[2], geometry.filters
    plain = geometry.strides == geometry.dilation == (1, 1) and geometry.groups == 1
    tiles = {3: (2, 4), 5: (2,)}.get(size, ())
    if geometry.kernel != (size, size) or not plain or min(channels, filters) < NARROW:
        return {}
    costs = {}
    for tile in tiles:
        points = (tile + size - 1) ** 2
        count = batch * prod(-(-side // tile) for side in geometry.out_shape[:2])
        maps = MAPS[tile if size == 3 else 4] * (tile + size - 1) ** 2 / (size + 1) ** 2
        moved = count * tile**2 * (channels + filters) * maps
        multiplied = count * points * channels * filters * MULTIPLY
        costs[f"winograd{tile}"] = moved + multiplied + points * channels * filters * TRANSFORM
    return costs
