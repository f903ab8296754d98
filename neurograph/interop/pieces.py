"""What PyTorch and ONNX have in common: channels first, and what we make of a few layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from neurograph.errors import GraphError
from neurograph.graph.bundles import BiasConnections, OneToOneConnections
from neurograph.graph.layer import Layer
from neurograph.interop.views import Array, View, channels_first, fill
from neurograph.layers.convolution import Conv1D, Conv2D
from neurograph.layers.core import Activation
from neurograph.layers.merging import Concatenate, Multiply
from neurograph.layers.normalization import BatchNormalization, LocalResponseNormalization
from neurograph.layers.pooling import (
    AveragePooling1D,
    AveragePooling2D,
    MaxPooling1D,
    MaxPooling2D,
)
from neurograph.layers.recipe import put_under
from neurograph.layers.shaping import Flatten, ZeroPadding1D, ZeroPadding2D
from neurograph.parameter import Parameter

Pairs = Sequence[tuple[int, int]]


def like(layer: Layer, kind: str, **options: Any) -> Layer:
    """Return a layer of the shape of another, and of its steps, without connections."""
    return Layer(layer.shape, kind=kind, sequence=layer.sequence, steps=layer.steps, **options)


def in_one_order(views: Sequence[View]) -> tuple[list[Layer], View]:
    """Return layers whose nodes are in one order, and a view of the first of them.

    Raises
    ------
    GraphError
        The views have different shapes.
    """
    first = views[0]
    other = next((each for each in views if each.shape != first.shape), None)
    if other is not None:
        raise GraphError(f"it joins shapes {first.shape} and {other.shape}; make them equal")
    alike = all(
        each.layer.shape == first.layer.shape and np.array_equal(each.places, first.places)
        for each in views
    )
    if alike and first.is_whole():
        return [each.layer for each in views], first
    if any(each.is_channels_last() for each in views):
        layers = [each.channels_last() for each in views]
        return layers, channels_first(layers[0])
    layers = [each.in_order() for each in views]
    return layers, View.of(layers[0])


def joined(views: Sequence[View], axis: int) -> View:
    """Return views side by side along an axis of one sample."""
    rank = len(views[0].shape)
    if rank > 1 and any(each.is_channels_last() for each in views):
        last = rank - 1 if axis == 0 else axis - 1
        return channels_first(Concatenate(last - rank)([each.channels_last() for each in views]))
    return View.of(Concatenate(axis - rank)([each.in_order() for each in views]))


def difference(left: Layer, right: Layer) -> Layer:
    """Return the first of two layers, whose nodes are in one order, less the second."""
    made = like(left, "subtract")
    OneToOneConnections(left, made)
    OneToOneConnections(right, made, constant=-1.0)
    return made


def affine(layer: Layer, factor: float, offset: float, activation: str | None = None) -> Layer:
    """Return ``activation(factor * x + offset)``: connections of constant weight.

    >>> from neurograph.layers.core import Input
    >>> made = affine(Input((3,)), 2.0, -1.0)
    >>> [connection.weight for connection in made[0].upstream]
    [2.0, -1.0]
    """
    made = like(layer, "affine", activation=activation)
    OneToOneConnections(layer, made, constant=factor)
    if offset:
        const = Layer((1,), kind="const", role="const")
        put_under(made, "const", const)
        BiasConnections(const, made, None, constant=offset)
    return made


def hard_sigmoid(layer: Layer, alpha: float, beta: float) -> Layer:
    """Return ``alpha * x + beta``, cut at 0 and 1."""
    if np.isclose(alpha, 1 / 6) and np.isclose(beta, 0.5):
        return Activation("hard_sigmoid")(layer)
    return affine(layer, 6 * alpha, 6 * beta - 3, "hard_sigmoid")


def clipped(layer: Layer, low: float, high: float) -> Layer:
    """Return the values between two bounds; one of them may be infinite."""
    if not low < high:
        raise GraphError(f"it clips to {low:g} .. {high:g}, which leaves nothing")
    if np.isinf(high):
        rest = layer if low == 0 else affine(layer, 1.0, -low)
        return affine(Activation("relu")(rest), 1.0, low) if low else Activation("relu")(rest)
    if np.isinf(low):
        return affine(affine(layer, -1.0, high, "relu"), -1.0, high)
    share = hard_sigmoid(layer, 1 / (high - low), -low / (high - low))
    return affine(share, high - low, low)


def hard_swish(layer: Layer) -> Layer:
    """Return ``x * hard_sigmoid(x)``."""
    return Multiply()([layer, Activation("hard_sigmoid")(layer)])


def exponential_unit(layer: Layer, alpha: float, scale: float = 1.0) -> Layer:
    """Return ``scale * x`` above 0, ``scale * alpha * (exp(x) - 1)`` below."""
    if alpha == scale == 1:
        return Activation("elu")(layer)
    below = affine(affine(layer, -1.0, 0.0, "relu"), -1.0, 0.0, "elu")
    made = like(layer, "elu")
    OneToOneConnections(Activation("relu")(layer), made, constant=scale)
    OneToOneConnections(below, made, constant=scale * alpha)
    return made


def leaky(layer: Layer, slopes: Array) -> Layer:
    """Return x above 0 and ``slope * x`` below, with a slope for each channel or for all."""
    if (slopes > 1).any():
        raise GraphError("slopes above 1 are not known here")
    made = like(layer, "p_re_lu", aggregation="max")
    made.parameters["slope"] = slope = Parameter(slopes.reshape(-1), name="slope")
    OneToOneConnections(layer, made)
    OneToOneConnections(layer, made, slope)
    return made


def convolved(
    view: View,
    kernel: Array,
    bias: Array | None,
    strides: Sequence[int],
    padding: str | Pairs,
    dilations: Sequence[int],
    groups: int,
) -> View:
    """Return the convolution of a view, its channels first.

    Parameters
    ----------
    kernel : (filters, channels of a group, *window)
    padding : "same", "valid", or the cells before and after each axis
    """
    plane = kernel.ndim == 4

    def sizes(values: Sequence[Any]) -> Any:
        return tuple(values) if plane else values[0]

    recipe = (Conv2D if plane else Conv1D)(
        kernel.shape[0],
        sizes(kernel.shape[2:]),
        strides=sizes(strides),
        padding=padding if isinstance(padding, str) else sizes(padding),
        dilation_rate=sizes(dilations),
        groups=groups,
        use_bias=bias is not None,
    )
    made = recipe(view.channels_last())
    weights = np.moveaxis(kernel, (0, 1), (-1, -2))
    fill(made, [weights] if bias is None else [weights, bias])
    return channels_first(made)


def batch_normalized(view: View, recipe: BatchNormalization, arrays: Sequence[Array]) -> View:
    """Return the batch normalisation of a view, its channels first, with these weights."""
    if len(view.shape) > 1:
        made = recipe(view.channels_last())
        fill(made, arrays)
        return channels_first(made)
    made = recipe(view.layer if len(view.layer.shape) == 1 else Flatten()(view.layer))
    order = np.argsort(view.places)
    fill(made, [each[order] for each in arrays])
    return view.above(made)


def locally_normalized(view: View, recipe: LocalResponseNormalization) -> View:
    """Return the local response normalisation of a view, its channels first."""
    if len(view.shape) > 1:
        return channels_first(recipe(view.channels_last()))
    return View.of(recipe(view.in_order()))


def zero_padded(layer: Layer, pads: Pairs) -> Layer:
    """Return a line or picture with zeros before and after its one or two axes of space."""
    if len(pads) == 2:
        return ZeroPadding2D(tuple(tuple(each) for each in pads))(layer)
    return ZeroPadding1D(tuple(pads[0]))(layer)


def pooled(
    view: View,
    kind: str,
    window: Sequence[int],
    strides: Sequence[int],
    pads: Pairs,
    ceil: bool = False,
    count_padding: bool = False,
) -> View:
    """Return a view, its channels first, pooled as PyTorch and ONNX do.

    Parameters
    ----------
    kind : {"max", "mean"}
    pads : sequence of (int, int)
        Cells before and after, for each axis.
    ceil : bool
        Whether a last window may reach beyond the padding, if it begins before it.
    count_padding : bool
        Whether means count the padding as zeros.
    """
    layer = view.channels_last()
    if count_padding and kind == "mean" and np.any(pads):
        layer = zero_padded(layer, pads)
        limits = [size - after for size, (_, after) in zip(layer.shape, pads, strict=False)]
        pads = [(0, 0)] * len(window)
    else:
        rows = zip(layer.shape, pads, strict=False)
        limits = [size + before for size, (before, _) in rows]
    if ceil:
        sizes = zip(layer.shape, window, strides, pads, limits, strict=False)
        pads = [_reaching(*each) for each in sizes]
    pairs = tuple((int(low), int(high)) for low, high in pads)
    if len(window) == 1:
        line = MaxPooling1D if kind == "max" else AveragePooling1D
        return channels_first(line(window[0], strides[0], pairs[0])(layer))
    plane: Any = MaxPooling2D if kind == "max" else AveragePooling2D
    return channels_first(plane(tuple(window), tuple(strides), pairs)(layer))


def _reaching(
    size: int, window: int, step: int, pads: tuple[int, int], limit: int
) -> tuple[int, int]:
    """Return the padding with which the last window, which may reach beyond it, is there too.

    ``limit`` is the first cell, counted from the padding before, that is padding after.
    """
    before, after = pads
    whole = size + before + after
    count = -(-(whole - window) // step) + 1
    if (count - 1) * step >= limit:
        count -= 1
    return before, after + max(0, (count - 1) * step + window - whole)
