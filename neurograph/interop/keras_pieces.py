"""Layers and operators of Keras that are a few layers of ours, or a view of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from neurograph.errors import GraphError
from neurograph.graph.layer import Layer
from neurograph.interop.pieces import affine, clipped, difference, exponential_unit, leaky
from neurograph.interop.views import View
from neurograph.layers.convolution import Conv2D, DepthwiseConv2D
from neurograph.layers.core import Activation, LeakyReLU, ReLU
from neurograph.layers.merging import Add, Multiply
from neurograph.parameter import Parameter

Made = tuple[Layer, list[Parameter]]
Piece = Callable[[Mapping[str, Any], Layer, str], Made]


def _plain(make: Callable[[Mapping[str, Any], Layer], Layer]) -> Piece:
    """Return the piece of a layer without weights; it gets the layer's name."""

    def piece(config: Mapping[str, Any], source: Layer, name: str) -> Made:
        made = make(config, source)
        if made is not source:
            made.name = name
        return made, []

    return piece


def _relu(config: Mapping[str, Any], source: Layer) -> Layer:
    top, slope = config.get("max_value"), float(config.get("negative_slope") or 0.0)
    if config.get("threshold") or (top is not None and slope):
        raise GraphError("threshold, or max_value with negative_slope, has no counterpart here")
    if top is not None:
        return clipped(source, 0.0, float(top))
    return LeakyReLU(slope)(source) if slope else ReLU()(source)


def _rescaling(config: Mapping[str, Any], source: Layer) -> Layer:
    scale, offset = config["scale"], config["offset"]
    if np.ndim(scale) or np.ndim(offset):
        raise GraphError("a scale or offset for each channel has no counterpart here")
    return affine(source, float(scale), float(offset))


def _still(source: Layer) -> View:
    if source.sequence:
        raise GraphError(f"{source.name!r} is a sequence in time, whose steps cannot be moved here")
    return View.of(source)


def _permute(config: Mapping[str, Any], source: Layer) -> Layer:
    return _still(source).transpose([each - 1 for each in config["dims"]]).in_order()


def _cropping(config: Mapping[str, Any], source: Layer) -> Layer:
    places = _still(source).places
    pairs = config["cropping"]
    pairs = pairs if isinstance(pairs[0], (tuple, list)) else [pairs]
    cuts = [slice(low, size - high) for (low, high), size in zip(pairs, source.shape, strict=False)]
    return View(source, places[tuple(cuts)]).in_order()


def _up_sampling(config: Mapping[str, Any], source: Layer) -> Layer:
    if config.get("interpolation", "nearest") != "nearest":
        raise GraphError(f"interpolation={config['interpolation']!r} has no counterpart here")
    sizes = config["size"] if isinstance(config["size"], (tuple, list)) else [config["size"]]
    places = _still(source).places
    for axis, size in enumerate(sizes):
        places = places.repeat(size, axis=axis)
    return View(source, places).in_order()


def _subtract(sources: Sequence[Layer]) -> Layer:
    left, right = sources
    if left.shape != right.shape or left.sequence != right.sequence:
        raise GraphError(f"it subtracts shape {right.shape} from shape {left.shape}")
    return difference(left, right)


def _p_relu(config: Mapping[str, Any], source: Layer, name: str) -> Made:
    shared = sorted(config.get("shared_axes") or ())
    every = list(range(1, len(source.shape) + source.sequence))
    if shared != every and (shared or source.sequence):
        raise GraphError(f"shared_axes={shared} has no counterpart here; all but the last has")
    made = leaky(source, np.zeros(source.shape[-1] if shared else source.size))
    made.name = name
    return made, list(made.parameters.values())


def _separable(config: Mapping[str, Any], source: Layer, name: str) -> Made:
    depthwise = DepthwiseConv2D(
        config["kernel_size"],
        strides=config["strides"],
        padding=config["padding"],
        depth_multiplier=config["depth_multiplier"],
        dilation_rate=config["dilation_rate"],
        use_bias=False,
        name=f"{name}_depthwise",
    )(source)
    pointwise = Conv2D(
        config["filters"],
        1,
        activation=config["activation"],
        use_bias=config["use_bias"],
        name=name,
    )(depthwise)
    return pointwise, [*depthwise.parameters.values(), *pointwise.parameters.values()]


PIECES: dict[str, Piece] = {
    "ReLU": _plain(_relu),
    "ELU": _plain(lambda config, source: exponential_unit(source, float(config["alpha"]))),
    "PReLU": _p_relu,
    "Rescaling": _plain(_rescaling),
    "Permute": _plain(_permute),
    "Cropping1D": _plain(_cropping),
    "Cropping2D": _plain(_cropping),
    "UpSampling1D": _plain(_up_sampling),
    "UpSampling2D": _plain(_up_sampling),
    "SeparableConv2D": _separable,
}
_ACTIVATIONS = {
    "Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh", "Silu": "silu", "Softplus": "softplus",
    "Exp": "exp", "Sin": "sin",
}  # fmt: skip
OPERATORS = (
    *("Add", "Multiply", "Subtract", "Divide", "TrueDivide", "Negative", "Relu6"),
    *_ACTIVATIONS,
)


def subtracted(sources: Sequence[Layer], name: str) -> Layer:
    """Return the first layer less the second."""
    made = _subtract(sources)
    made.name = name
    return made


def operated(kind: str, given: Sequence[Any], name: str) -> Layer:
    """Return what an operator makes of layers and numbers: ``2 * x + 1``.

    Raises
    ------
    GraphError
        It has no counterpart.
    """
    kind = {"TrueDivide": "Divide"}.get(kind, kind)
    layers = [each for each in given if isinstance(each, Layer)]
    numbers = [each for each in given if not isinstance(each, Layer)]
    if kind not in OPERATORS or not layers or len(given) > 2:
        raise GraphError(f"the operator has no counterpart here; known are {', '.join(OPERATORS)}")
    if any(np.ndim(each) or not isinstance(each, (int, float)) for each in numbers):
        raise GraphError("of constants only single numbers are known here")
    if kind in _ACTIVATIONS or kind in ("Relu6", "Negative"):
        made = _alone(kind, layers[0])
    elif len(layers) == 2:
        if kind == "Divide":
            raise GraphError("a layer divided by another has no counterpart here")
        recipes = {"Add": Add(), "Multiply": Multiply()}
        made = _subtract(layers) if kind == "Subtract" else recipes[kind](layers)
    else:
        number = float(numbers[0])
        made = _with_number(kind, layers[0], number, isinstance(given[0], Layer))
    made.name = name
    return made


def _alone(kind: str, layer: Layer) -> Layer:
    if kind == "Negative":
        return affine(layer, -1.0, 0.0)
    return clipped(layer, 0.0, 6.0) if kind == "Relu6" else Activation(_ACTIVATIONS[kind])(layer)


def _with_number(kind: str, layer: Layer, number: float, first: bool) -> Layer:
    if kind == "Divide" and (not first or not number):
        raise GraphError("a number divided by a layer, or by 0, has no counterpart here")
    factor, offset = {
        "Add": (1.0, number),
        "Multiply": (number, 0.0),
        "Subtract": (1.0, -number) if first else (-1.0, number),
        "Divide": (1.0 / (number or 1.0), 0.0),
    }[kind]
    return affine(layer, factor, offset)
