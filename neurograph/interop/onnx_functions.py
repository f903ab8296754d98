"""The operators of ONNX that normalise or activate: which layers each becomes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from neurograph.errors import GraphError
from neurograph.functions import SELU_ALPHA, SELU_SCALE
from neurograph.graph.layer import Layer
from neurograph.interop.onnx_reading import (
    Convert,
    Reading,
    as_array,
    as_view,
    channel_values,
    scaled,
    spread,
)
from neurograph.interop.pieces import (
    batch_normalized,
    clipped,
    exponential_unit,
    hard_sigmoid,
    hard_swish,
    leaky,
    locally_normalized,
)
from neurograph.interop.views import View, fill
from neurograph.layers.core import Activation, LeakyReLU
from neurograph.layers.normalization import (
    BatchNormalization,
    LayerNormalization,
    LocalResponseNormalization,
)
from neurograph.layers.shaping import Flatten


def _batch_normalization(reading: Reading, node: Any, given: list[Any]) -> View:
    options = {"epsilon": 1e-5, "momentum": 0.9, "training_mode": 0} | reading.attributes(node)
    if options["training_mode"]:
        raise GraphError("training_mode=1 is not known here")
    view = as_view(given[0])
    gamma, beta, mean, variance = (as_array(each, "statistics") for each in given[1:5])
    recipe = BatchNormalization(momentum=options["momentum"], epsilon=options["epsilon"])
    return batch_normalized(view, recipe, [gamma, beta, mean, variance])


def _layer_normalization(reading: Reading, node: Any, given: list[Any]) -> View:
    view, options = as_view(given[0]), {"axis": -1, "epsilon": 1e-5} | reading.attributes(node)
    axis = options["axis"]
    axis = axis if axis < 0 else axis - 1 - len(view.shape)
    bias = given[2] if len(given) > 2 else None
    recipe = LayerNormalization(
        axis=list(range(axis, 0)), epsilon=options["epsilon"], center=bias is not None
    )
    made = recipe(view.in_order())
    rows = [given[1]] if bias is None else [given[1], bias]
    sizes = view.shape[axis:]
    fill(made, [np.broadcast_to(as_array(each, "scale and bias"), sizes) for each in rows])
    return View.of(made)


def _local_response(reading: Reading, node: Any, given: list[Any]) -> View:
    options = {"alpha": 1e-4, "beta": 0.75, "bias": 1.0} | reading.attributes(node)
    return locally_normalized(as_view(given[0]), LocalResponseNormalization(**options))


def _softmax(reading: Reading, node: Any, given: list[Any]) -> View:
    view, rank = as_view(given[0]), len(as_view(given[0]).shape)
    old = reading.opsets.get("", 13) < 13  # then everything from the axis on is one row
    axis = reading.attributes(node).get("axis", 1 if old else -1)
    axis = axis - 1 if axis > 0 else axis + rank
    if old and axis == 0 and view.is_whole() and rank > 1:
        flat = view.layer if len(view.layer.shape) == 1 else Flatten()(view.layer)
        return view.above(Activation("softmax")(flat))
    if old and axis != rank - 1:
        raise GraphError("before opset 13 only its first and its last axis are known here")
    if not 0 <= axis < rank:
        raise GraphError("along the batch or the steps it is not known here")
    if axis != rank - 1:
        last = View(view.layer, np.moveaxis(view.places, axis, -1)).in_order()
        made = Activation("softmax")(last)
        return View(made, np.moveaxis(View.of(made).places, -1, axis)).like(view)
    return _activated(reading, node, View.of(view.in_order()), "softmax")


def _activated(reading: Reading, node: Any, view: View, activation: str) -> View:
    """Return the activated view; the activation goes into a layer that nothing else reads."""
    layer = view.layer
    plain = layer.kind in ("dense", "conv1d", "conv2d") and layer.activation_name == "identity"
    alone = reading.only_consumer(node.input[0]) is node
    if plain and alone and view.is_whole():
        layer.activation = activation
        layer.config["activation"] = activation
        return view
    return view.above(Activation(activation)(layer))


def _elementwise(activation: str, **values: Any) -> Convert:
    """Return the conversion of an operator whose attributes must have these values."""

    def convert(reading: Reading, node: Any, given: list[Any]) -> View:
        for key, value in reading.attributes(node).items():
            if key in values and value != values[key]:
                raise GraphError(f"{key}={value!r} is not known here; only {values[key]!r} is")
            if key not in values and key != "consumed_inputs":
                raise GraphError(f"{key}={value!r} is not known here")
        return _activated(reading, node, as_view(given[0]), activation)

    return convert


def _by(make: Callable[..., Layer], **defaults: float) -> Convert:
    """Return the conversion of an operator that a function makes of a layer and its attributes."""

    def convert(reading: Reading, node: Any, given: list[Any]) -> View:
        view, options = as_view(given[0]), defaults | reading.attributes(node)
        return view.above(make(view.layer, *(float(options[each]) for each in defaults)))

    return convert


def _clip(reading: Reading, node: Any, given: list[Any]) -> View:
    view, options = as_view(given[0]), reading.attributes(node)
    low, high = (
        float(as_array(given[place], name))
        if len(given) > place and given[place] is not None
        else float(options.get(name, bound))
        for place, name, bound in ((1, "min", -np.inf), (2, "max", np.inf))
    )
    if low < -1e38 and high > 1e38:
        return view
    low, high = (-np.inf if low < -1e38 else low), (np.inf if high > 1e38 else high)
    return view.above(clipped(view.layer, low, high))


def _p_relu(reading: Reading, node: Any, given: list[Any]) -> View:
    view, slopes = as_view(given[0]), as_array(given[1], "slope")
    if slopes.size == 1:
        return view.above(leaky(view.layer, slopes))
    return view.above(leaky(view.layer, channel_values(spread(slopes, view), view.layer)))


def _leaky(reading: Reading, node: Any, given: list[Any]) -> View:
    view = as_view(given[0])
    return view.above(LeakyReLU(reading.attributes(node).get("alpha", 0.01))(view.layer))


def _negative(reading: Reading, node: Any, given: list[Any]) -> View:
    return scaled(as_view(given[0]), np.array(-1.0))


FUNCTIONS: dict[str, Convert] = {
    "BatchNormalization": _batch_normalization,
    "LayerNormalization": _layer_normalization,
    "LRN": _local_response,
    "Softmax": _softmax,
    "Relu": _elementwise("relu"),
    "LeakyRelu": _leaky,
    "PRelu": _p_relu,
    "Clip": _clip,
    "Tanh": _elementwise("tanh"),
    "Sigmoid": _elementwise("sigmoid"),
    "Elu": _by(exponential_unit, alpha=1.0),
    "Selu": _by(exponential_unit, alpha=SELU_ALPHA, gamma=SELU_SCALE),
    "Softplus": _elementwise("softplus"),
    "HardSigmoid": _by(hard_sigmoid, alpha=0.2, beta=0.5),
    "HardSwish": _by(hard_swish),
    "Gelu": _elementwise("gelu", approximate="none"),
    "Sin": _elementwise("sin"),
    "Exp": _elementwise("exp"),
    "Reciprocal": _elementwise("reciprocal"),
    "Neg": _negative,
}
