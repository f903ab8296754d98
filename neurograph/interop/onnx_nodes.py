"""The operators of ONNX, one by one: which layer each becomes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from neurograph.errors import GraphError
from neurograph.graph.bundles import OneToOneConnections
from neurograph.graph.layer import Layer
from neurograph.interop.onnx_reading import Reading, Value, as_array, as_view, scaled, shifted
from neurograph.interop.onnx_windows import convolution, global_pooling, padding, pooling
from neurograph.interop.views import Array, View, channels_first, dense, fill
from neurograph.layers.core import Activation, Dropout, LeakyReLU
from neurograph.layers.embedding import Embedding
from neurograph.layers.merging import Add, Average, Concatenate, Maximum, Merge, Multiply
from neurograph.layers.normalization import BatchNormalization, LayerNormalization
from neurograph.layers.shaping import Flatten

Convert = Callable[[Reading, Any, list[Any]], Value]


# products -------------------------------------------------------------------------------------


def _gemm(reading: Reading, node: Any, given: list[Any]) -> Value:
    options = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0} | reading.attributes(node)
    if options["transA"]:
        raise GraphError("transA=1 is not known here")
    kernel = as_array(given[1], "second input") * options["alpha"]
    kernel = kernel.T if options["transB"] else kernel
    if len(given) < 3 or given[2] is None:
        return dense(as_view(given[0]), kernel, None)
    bias = as_array(given[2], "third input") * options["beta"]
    return dense(as_view(given[0]), kernel, _row(bias, kernel.shape[1]))


def _row(bias: Array, units: int) -> Array:
    return np.broadcast_to(bias.reshape(-1), (units,))


def _matmul(reading: Reading, node: Any, given: list[Any]) -> Value:
    view, kernel = as_view(given[0]), as_array(given[1], "second input")
    if kernel.ndim != 2:
        raise GraphError(f"its second input has shape {kernel.shape}, expected a matrix")
    after = reading.only_consumer(node.output[0])
    if after is not None and after.op_type == "Add":
        other = [reading.values.get(each) for each in after.input if each != node.output[0]]
        if len(other) == 1 and isinstance(other[0], np.ndarray):
            bias = other[0]
            if bias.size in (1, kernel.shape[1]) and bias.shape[-1:] in ((), (bias.size,)):
                made = dense(view, kernel, _row(bias, kernel.shape[1]))
                reading.values[after.output[0]] = made
                return made
    return dense(view, kernel, None)


# several sources ------------------------------------------------------------------------------


def _same_order(views: list[View]) -> tuple[list[Layer], View]:
    """Return layers whose nodes are in one order, and a view of the first of them."""
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


def _merge(recipe: type[Merge]) -> Convert:
    def convert(reading: Reading, node: Any, given: list[Any]) -> Value:
        layers, view = _same_order([as_view(each) for each in given])
        return view.above(recipe()(layers)) if len(layers) > 1 else view

    return convert


def _add(reading: Reading, node: Any, given: list[Any]) -> Value:
    layers, view = _same_order([each for each in given if isinstance(each, View)])
    view = view.above(Add()(layers)) if len(layers) > 1 else view
    for each in given:
        if not isinstance(each, View):
            view = shifted(view, each)
    return view


def _multiply(reading: Reading, node: Any, given: list[Any]) -> Value:
    constants = [each for each in given if not isinstance(each, View)]
    views = [each for each in given if isinstance(each, View)]
    if not constants:
        return _merge(Multiply)(reading, node, given)
    return scaled(views[0], constants[0])


def _subtract(reading: Reading, node: Any, given: list[Any]) -> Value:
    left, right = given
    if not isinstance(right, View):
        return shifted(as_view(left), -np.asarray(right))
    if not isinstance(left, View):
        return shifted(scaled(right, np.array(-1.0)), left)
    (first, second), view = _same_order([left, right])
    made = Layer(first.shape, kind="subtract")
    OneToOneConnections(first, made)
    OneToOneConnections(second, made, constant=-1.0)
    return view.above(made)


def _divide(reading: Reading, node: Any, given: list[Any]) -> Value:
    divisor = as_array(given[1], "divisor").astype(np.float64)
    if not divisor.all():
        raise GraphError("it divides by 0")
    return scaled(as_view(given[0]), 1.0 / divisor)


def _concat(reading: Reading, node: Any, given: list[Any]) -> Value:
    views = [as_view(each) for each in given]
    rank = len(views[0].shape)
    axis = int(reading.attributes(node)["axis"])
    axis = axis - 1 if axis > 0 else axis + rank
    if not 0 <= axis < rank:
        raise GraphError("it joins along the batch")
    if rank > 1 and any(each.is_channels_last() for each in views):
        last = rank - 1 if axis == 0 else axis - 1
        return channels_first(Concatenate(last + 1)([each.channels_last() for each in views]))
    return View.of(Concatenate(axis + 1)([each.in_order() for each in views]))


# shapes ---------------------------------------------------------------------------------------


def _reshape(reading: Reading, node: Any, given: list[Any]) -> Value:
    view, shape = as_view(given[0]), as_array(given[1], "shape").tolist()
    sizes = (0, *view.shape)
    if not reading.attributes(node).get("allowzero", 0):
        shape = [sizes[k] if each == 0 and k else each for k, each in enumerate(shape)]
    if -1 in shape[1:] or np.prod(shape[1:]) == view.places.size:
        return view.reshape(shape[1:])
    if shape[0] == -1 or len(shape) < 2:
        raise GraphError(f"shape {shape} mixes samples of shape {view.shape}")
    raise GraphError(f"shape {shape} does not hold samples of shape {view.shape}")


def _flatten(reading: Reading, node: Any, given: list[Any]) -> Value:
    view, axis = as_view(given[0]), reading.attributes(node).get("axis", 1)
    if axis not in (1, -len(view.shape)):
        raise GraphError(f"axis {axis} is not known here; 1 is")
    return view.reshape((-1,))


def _transpose(reading: Reading, node: Any, given: list[Any]) -> Value:
    view = as_view(given[0])
    axes = list(reading.attributes(node).get("perm", range(len(view.shape), -1, -1)))
    if axes[0] != 0:
        raise GraphError(f"perm {axes} moves the batch")
    return view.transpose([each - 1 for each in axes[1:]])


def _axes(reading: Reading, node: Any, given: list[Any], rank: int) -> list[int]:
    """Return axes, an attribute or since opset 13 an input, counted without the batch."""
    found = reading.attributes(node).get("axes")
    if found is None:
        found = as_array(given[1], "axes").tolist() if len(given) > 1 else []
    axes = [each - 1 if each > 0 else each + rank for each in found]
    if any(each < 0 or each >= rank for each in axes):
        raise GraphError(f"axes {list(found)} are not known here")
    return axes


def _squeeze(reading: Reading, node: Any, given: list[Any]) -> Value:
    view = as_view(given[0])
    axes = _axes(reading, node, given, len(view.shape))
    axes = axes or [k for k, size in enumerate(view.shape) if size == 1]
    return View(view.layer, view.places.squeeze(tuple(axes)))


def _unsqueeze(reading: Reading, node: Any, given: list[Any]) -> Value:
    view = as_view(given[0])
    count = np.size(reading.attributes(node).get("axes", given[1] if len(given) > 1 else 0))
    axes = _axes(reading, node, given, len(view.shape) + count)
    return View(view.layer, np.expand_dims(view.places, tuple(axes)))


def _same(reading: Reading, node: Any, given: list[Any]) -> Value:
    return as_view(given[0])


def _cast(reading: Reading, node: Any, given: list[Any]) -> Value:
    kinds, to = reading.onnx.TensorProto, reading.attributes(node)["to"]
    after = reading.consumers.get(node.output[0], [])
    as_index = all(each.op_type == "Gather" for each in after) and len(after) > 0
    index = to in (kinds.INT32, kinds.INT64) and as_index
    if to not in (kinds.FLOAT, kinds.DOUBLE) and not index:
        raise GraphError(f"to={kinds.DataType.Name(to)} is not known here; float and double are")
    return as_view(given[0])


def _dropout(reading: Reading, node: Any, given: list[Any]) -> Value:
    view = as_view(given[0])
    if len(given) > 2 and given[2] is not None and np.any(as_array(given[2], "training_mode")):
        raise GraphError("training_mode is not known here")
    rate = reading.attributes(node).get("ratio", 0.5)
    if len(given) > 1 and given[1] is not None:
        rate = as_array(given[1], "ratio")
    return view.above(Dropout(float(rate))(view.layer))


def _gather(reading: Reading, node: Any, given: list[Any]) -> Value:
    table, axis = as_array(given[0], "first input"), reading.attributes(node).get("axis", 0)
    if axis or table.ndim != 2:
        raise GraphError("it takes other than rows of a matrix")
    made = Embedding(*table.shape)(as_view(given[1]).in_order())
    fill(made, [table])
    return View.of(made)


# functions ------------------------------------------------------------------------------------


def _batch_normalization(reading: Reading, node: Any, given: list[Any]) -> Value:
    options = {"epsilon": 1e-5, "momentum": 0.9, "training_mode": 0} | reading.attributes(node)
    if options["training_mode"]:
        raise GraphError("training_mode=1 is not known here")
    view = as_view(given[0])
    gamma, beta, mean, variance = (as_array(each, "statistics") for each in given[1:5])
    recipe = BatchNormalization(momentum=options["momentum"], epsilon=options["epsilon"])
    arrays = [gamma, beta, mean, variance]
    if len(view.shape) > 1:
        made = recipe(view.channels_last())
        fill(made, arrays)
        return channels_first(made)
    layer = view.layer if len(view.layer.shape) == 1 else Flatten()(view.layer)
    made = recipe(layer)
    order = np.argsort(view.places)
    fill(made, [each[order] for each in arrays])
    return view.above(made)


def _layer_normalization(reading: Reading, node: Any, given: list[Any]) -> Value:
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


def _softmax(reading: Reading, node: Any, given: list[Any]) -> Value:
    view, rank = as_view(given[0]), len(as_view(given[0]).shape)
    old = reading.opsets.get("", 13) < 13  # then everything from the axis on is one row
    axis = reading.attributes(node).get("axis", 1 if old else -1)
    axis = axis - 1 if axis > 0 else axis + rank
    if old and axis == 0 and view.is_whole() and rank > 1:
        flat = view.layer if len(view.layer.shape) == 1 else Flatten()(view.layer)
        return view.above(Activation("softmax")(flat))
    if old and axis != rank - 1:
        raise GraphError("before opset 13 only its first and its last axis are known here")
    if rank > 1 and axis == 0 and view.is_channels_last():
        return channels_first(Activation("softmax")(view.layer))
    if axis != rank - 1:
        raise GraphError(f"along axis {axis + 1} it is not known here")
    return _activated(reading, node, View.of(view.in_order()), "softmax")


def _activated(reading: Reading, node: Any, view: View, activation: str) -> View:
    """Return the activated view; the activation goes into a layer that nothing else reads."""
    layer = view.layer
    plain = layer.kind in ("dense", "conv1d", "conv2d") and layer.activation_name == "identity"
    alone = reading.only_consumer(node.input[0]) is node
    if plain and alone and view.is_whole() and not layer.sequence:
        layer.activation = activation
        layer.config["activation"] = activation
        return view
    return view.above(Activation(activation)(layer))


def _elementwise(activation: str, **values: Any) -> Convert:
    """Return the conversion of an operator whose attributes must have these values."""

    def convert(reading: Reading, node: Any, given: list[Any]) -> Value:
        for key, value in reading.attributes(node).items():
            if key in values and not np.allclose(value, values[key], rtol=1e-6):
                raise GraphError(f"{key}={value} is not known here; only {values[key]} is")
            if key not in values and key != "consumed_inputs":
                raise GraphError(f"{key}={value!r} is not known here")
        return _activated(reading, node, as_view(given[0]), activation)

    return convert


def _hard_sigmoid(reading: Reading, node: Any, given: list[Any]) -> Value:
    found = {"alpha": 0.2, "beta": 0.5} | reading.attributes(node)
    if not np.allclose([found["alpha"], found["beta"]], [1 / 6, 0.5], rtol=1e-6):
        raise GraphError(f"alpha={found['alpha']:g} is not known here; only 1/6 is")
    return _activated(reading, node, as_view(given[0]), "hard_sigmoid")


def _leaky(reading: Reading, node: Any, given: list[Any]) -> Value:
    view = as_view(given[0])
    return view.above(LeakyReLU(reading.attributes(node).get("alpha", 0.01))(view.layer))


def _negative(reading: Reading, node: Any, given: list[Any]) -> Value:
    return scaled(as_view(given[0]), np.array(-1.0))


TABLE: dict[str, Convert] = {
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Add": _add,
    "Sub": _subtract,
    "Mul": _multiply,
    "Div": _divide,
    "Neg": _negative,
    "Sum": _add,
    "Mean": _merge(Average),
    "Max": _merge(Maximum),
    "Concat": _concat,
    "Conv": convolution,
    "MaxPool": pooling,
    "AveragePool": pooling,
    "GlobalMaxPool": global_pooling,
    "GlobalAveragePool": global_pooling,
    "Pad": padding,
    "BatchNormalization": _batch_normalization,
    "LayerNormalization": _layer_normalization,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Transpose": _transpose,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Identity": _same,
    "Cast": _cast,
    "Dropout": _dropout,
    "Gather": _gather,
    "Relu": _elementwise("relu"),
    "LeakyRelu": _leaky,
    "Tanh": _elementwise("tanh"),
    "Sigmoid": _elementwise("sigmoid"),
    "Softmax": _softmax,
    "Elu": _elementwise("elu", alpha=1.0),
    "Selu": _elementwise("selu", alpha=1.6732632, gamma=1.0507010),
    "Softplus": _elementwise("softplus"),
    "HardSigmoid": _hard_sigmoid,
    "Gelu": _elementwise("gelu", approximate="none"),
    "Sin": _elementwise("sin"),
    "Exp": _elementwise("exp"),
    "Reciprocal": _elementwise("reciprocal"),
}
# what may be calculated of constants while a file is read
FOLDED = {
    *("Identity", "Cast", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Concat"),
    *("Add", "Sub", "Mul", "Div", "Neg", "Gather", "Slice", "Shape", "ConstantOfShape", "Sqrt"),
}
IMAGE = {"Conv", "MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool"}
IMAGE |= {"BatchNormalization"}
# what keeps the places of all nodes, so that the operators above tell what the axes are
PASSING = {"Add", "Sub", "Mul", "Div", "Neg", "Sum", "Mean", "Max", "Identity", "Cast", "Dropout"}
PASSING |= {"Relu", "LeakyRelu", "Tanh", "Sigmoid", "Elu", "Selu", "Softplus", "HardSigmoid", "Pad"}
