"""The operators of ONNX, one by one: which layer each becomes."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurograph.errors import GraphError
from neurograph.interop.onnx_functions import FUNCTIONS
from neurograph.interop.onnx_reading import (
    BATCH,
    TIME,
    Convert,
    Reading,
    Value,
    as_array,
    as_view,
    scaled,
    shifted,
)
from neurograph.interop.onnx_recurrent import RECURRENT, Turned, recurrent
from neurograph.interop.onnx_windows import convolution, global_pooling, padding, pooling
from neurograph.interop.pieces import difference, in_one_order, joined
from neurograph.interop.views import Array, View, dense, fill
from neurograph.layers.core import Activation, Dropout
from neurograph.layers.embedding import Embedding
from neurograph.layers.merging import Add, Average, Maximum, Merge, Multiply

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
    if bias.size not in (1, units):
        raise GraphError(f"its bias of shape {bias.shape} has a value for each sample")
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


def _merge(recipe: type[Merge]) -> Convert:
    def convert(reading: Reading, node: Any, given: list[Any]) -> Value | None:
        layers, view = in_one_order([as_view(each) for each in given])
        return view.above(recipe()(layers)) if len(layers) > 1 else view

    return convert


def _add(reading: Reading, node: Any, given: list[Any]) -> Value:
    layers, view = in_one_order([each for each in given if isinstance(each, View)])
    view = view.above(Add()(layers)) if len(layers) > 1 else view
    for each in given:
        if not isinstance(each, View):
            view = shifted(view, each)
    return view


def _multiply(reading: Reading, node: Any, given: list[Any]) -> Value | None:
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
    (first, second), view = in_one_order([left, right])
    return view.above(difference(first, second))


def _divide(reading: Reading, node: Any, given: list[Any]) -> Value | None:
    if reading.takes_whole:
        raise GraphError("it divides whole numbers, and throws away what is left")
    if isinstance(given[1], View):
        over = given[1].above(Activation("reciprocal")(given[1].layer))
        return _multiply(reading, node, [given[0], over])
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
        raise GraphError("it joins along the batch or the steps")
    return joined(views, axis)


# shapes ---------------------------------------------------------------------------------------


def _shape_of(reading: Reading, node: Any, given: list[Any]) -> Value:
    value = given[0]
    if isinstance(value, Turned):
        rest = iter(value.places.shape)
        sizes = [{"b": BATCH, "t": TIME}.get(each) or next(rest) for each in value.axes]
        return np.array(sizes)
    view = as_view(value)
    if view.layer.sequence:
        raise GraphError("the number of all steps of all samples is not known here")
    return np.array([BATCH, *view.shape])


def _reshape(reading: Reading, node: Any, given: list[Any]) -> Value:
    shape = as_array(given[1], "shape").tolist()
    if isinstance(given[0], Turned):
        return given[0].reshape(shape)
    view = as_view(given[0])
    values, steps = view.places.size, view.layer.steps if view.layer.sequence else None
    if view.layer.sequence and len(shape) > 2 and shape[1] in (TIME, steps):
        return Turned(
            view.layer, view.places.reshape(shape[2:]), "bt" + "f" * (len(shape) - 2)
        ).settled()
    if len(view.shape) > 1 and shape == [-1, *view.shape[1:]] and view.shape[0] > 1:
        rows = Turned.of(view)  # every step a sample
        return View(rows.layer, rows.places)
    shape = [0 if each == BATCH else each for each in shape]
    if shape[0] == -1 and np.prod(shape[1:]) == values:
        return view.reshape(shape[1:])
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
    axes = list(reading.attributes(node).get("perm", ()))
    if isinstance(given[0], Turned):
        return given[0].transpose(axes or range(len(given[0].axes))[::-1])
    view = as_view(given[0])
    axes = axes or list(range(len(view.shape), -1, -1))
    if axes[0] != 0 and len(view.shape) > 1 and not view.layer.sequence:
        return Turned.of(view).transpose(axes)
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
    if isinstance(given[0], Turned):
        axes = reading.attributes(node).get("axes")
        return given[0].squeeze(as_array(given[1], "axes").tolist() if axes is None else axes)
    view = as_view(given[0])
    axes = _axes(reading, node, given, len(view.shape))
    axes = axes or [k for k, size in enumerate(view.shape) if size == 1]
    return View(view.layer, view.places.squeeze(tuple(axes)))


def _unsqueeze(reading: Reading, node: Any, given: list[Any]) -> Value:
    view = as_view(given[0])
    given_axes = reading.attributes(node).get("axes", given[1] if len(given) > 1 else ())
    if list(given_axes) == [0]:  # as the states of a recurrent operator have it
        return Turned(view.layer, view.places[None], "fb" + "f" * view.places.ndim)
    count = np.size(reading.attributes(node).get("axes", given[1] if len(given) > 1 else 0))
    axes = _axes(reading, node, given, len(view.shape) + count)
    return View(view.layer, np.expand_dims(view.places, tuple(axes)))


def _same(reading: Reading, node: Any, given: list[Any]) -> Value:
    return given[0] if isinstance(given[0], Turned) else as_view(given[0])


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
    if isinstance(given[0], (View, Turned)):
        return _taken(
            given[0], as_array(given[1], "index"), reading.attributes(node).get("axis", 0)
        )
    table, axis = as_array(given[0], "first input"), reading.attributes(node).get("axis", 0)
    if axis or table.ndim != 2:
        raise GraphError("it takes other than rows of a matrix")
    made = Embedding(*table.shape)(as_view(given[1]).in_order())
    fill(made, [table])
    return View.of(made)


def _taken(value: View | Turned, index: Array, axis: int) -> Value:
    """Return places of one axis of a tensor: a step of a sequence, say."""
    if isinstance(value, Turned):
        if index.size != 1:
            raise GraphError("it takes several steps")
        found = value.step(axis, int(index.reshape(-1)[0]))
        return View(found.layer, np.expand_dims(found.places, tuple(range(index.ndim))))
    axis = axis - 1 if axis > 0 else axis + len(value.shape)
    if not 0 <= axis < len(value.shape):
        raise GraphError("it takes some of the samples")
    return View(value.layer, value.places.take(index, axis=axis))


def _slice(reading: Reading, node: Any, given: list[Any]) -> Value:
    options = reading.attributes(node)
    starts, stops = (
        options[name] if name in options else as_array(given[place], name).tolist()
        for place, name in ((1, "starts"), (2, "ends"))
    )
    axes = options.get("axes") or (given[3] if len(given) > 3 and given[3] is not None else None)
    axes = list(range(len(starts))) if axes is None else np.asarray(axes).tolist()
    steps = [1] * len(starts)
    if len(given) > 4 and given[4] is not None:
        steps = as_array(given[4], "steps").tolist()
    rows = list(zip(axes, starts, stops, steps, strict=True))
    value = given[0]
    if isinstance(value, Turned):
        if len(rows) != 1 or rows[0][1] != -1 or rows[0][3] != -1 or rows[0][2] > -(2**30):
            raise GraphError("of sequences of any length it can only turn the steps round")
        return value.turned(rows[0][0])
    view = as_view(value)
    places = view.places
    for axis, start, stop, step in rows:
        place = axis - 1 if axis > 0 else axis + len(view.shape)
        if not 0 <= place < len(view.shape):
            raise GraphError("it takes some of the samples")
        size = places.shape[place]
        stop = None if step < 0 and stop < -size else stop
        chosen = [slice(None)] * places.ndim
        chosen[place] = slice(start, stop, step)
        places = places[tuple(chosen)]
    if not places.size:
        raise GraphError(f"nothing is left of shape {view.shape}")
    return View(view.layer, places).like(view)


TABLE: dict[str, Convert] = {
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Add": _add,
    "Sub": _subtract,
    "Mul": _multiply,
    "Div": _divide,
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
    **dict.fromkeys(RECURRENT, recurrent),
    **FUNCTIONS,
    "Shape": _shape_of,
    "Slice": _slice,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Transpose": _transpose,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Identity": _same,
    "Cast": _cast,
    "Dropout": _dropout,
    "Gather": _gather,
}
# what may be calculated of constants while a file is read
FOLDED = {
    *("Identity", "Cast", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Concat"),
    *("Add", "Sub", "Mul", "Div", "Neg", "Gather", "Slice", "Shape", "ConstantOfShape", "Sqrt"),
    "Expand",
}
# what may be done at every step of a sequence whose length is open
STEP_BY_STEP = {"MatMul", "Add", "Sub", "Mul", "Div", "Neg", "Sum", "Mean", "Max", "Cast"}
STEP_BY_STEP |= {"Relu", "LeakyRelu", "Tanh", "Sigmoid", "Elu", "Selu", "Softplus", "HardSigmoid"}
STEP_BY_STEP |= {"PRelu", "Clip", "HardSwish", "Gelu", "Sin", "Exp", "Reciprocal", "Dropout"}
STEP_BY_STEP |= {"Concat", "Softmax", "LayerNormalization"}
IMAGE = {"Conv", "MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool"}
IMAGE |= {"BatchNormalization", "LRN"}
# what keeps the places of all nodes, so that the operators above tell what the axes are
PASSING = {"Add", "Sub", "Mul", "Div", "Neg", "Sum", "Mean", "Max", "Identity", "Cast", "Dropout"}
PASSING |= {"Relu", "LeakyRelu", "Tanh", "Sigmoid", "Elu", "Selu", "Softplus", "HardSigmoid"}
PASSING |= {"PRelu", "Clip", "HardSwish", "Pad"}
