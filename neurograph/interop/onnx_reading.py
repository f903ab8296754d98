"""An ONNX graph while it is read: its constants, attributes and the tensors that nodes make."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from neurograph.errors import GraphError
from neurograph.graph.bundles import BiasConnections, OneToOneConnections
from neurograph.graph.layer import Layer
from neurograph.interop.onnx_recurrent import Turned
from neurograph.interop.pieces import like
from neurograph.interop.views import Array, View
from neurograph.layers.recipe import put_under
from neurograph.parameter import Parameter
from neurograph.storage.onnx_graph import onnx_package

Value = View | Array | Turned
Convert = Callable[["Reading", Any, list[Any]], Value | None]


# what stands in shapes for the numbers of samples and steps, which no file knows
BATCH, TIME = -(2**40), -(2**40) - 1


class Reading:
    """The state of reading one file.

    Attributes
    ----------
    values : dict
        By the name of the tensor: a view of a layer, or an array of constants.
    consumers : dict
        The nodes that take a tensor.
    """

    def __init__(self, proto: Any) -> None:
        self.onnx = onnx_package("from_onnx")
        self.opsets = {each.domain: each.version for each in proto.opset_import}
        self.values: dict[str, Value] = {
            each.name: self._array(each) for each in proto.graph.initializer
        }
        kinds = [
            each.type.tensor_type.elem_type
            for each in proto.graph.input
            if each.name not in self.values
        ]
        floats = ("FLOAT", "DOUBLE", "FLOAT16", "BFLOAT16")
        plain = {getattr(self.onnx.TensorProto, name) for name in floats}
        self.takes_whole = any(each not in plain for each in kinds)
        self.consumers: dict[str, list[Any]] = {}
        self.outputs = {each.name for each in proto.graph.output}
        for node in proto.graph.node:
            for each in node.input:
                self.consumers.setdefault(each, []).append(node)

    def _array(self, tensor: Any) -> Array:
        if tensor.data_location == self.onnx.TensorProto.EXTERNAL:
            raise GraphError(
                f"from_onnx: the weights {tensor.name!r} lie in another file; save the model in one"
            )
        return np.asarray(self.onnx.numpy_helper.to_array(tensor))

    def attributes(self, node: Any) -> dict[str, Any]:
        """Return the attributes of a node as plain values."""
        found = {}
        for each in node.attribute:
            value = self.onnx.helper.get_attribute_value(each)
            found[each.name] = value.decode() if isinstance(value, bytes) else value
        return found

    def constant(self, node: Any) -> Array:
        """Return the array of a Constant node."""
        (key, value), *_ = self.attributes(node).items()
        if key == "value":
            return self._array(value)
        if key in ("value_float", "value_floats", "value_int", "value_ints"):
            return np.asarray(value)
        raise GraphError(f"its attribute {key!r} is not known here")

    def folded(self, node: Any, given: list[Any]) -> Array:
        """Return what a node makes of constants."""
        from onnx.reference import ReferenceEvaluator

        if node.op_type == "Expand":  # every sample has the same
            sizes = [1 if size in (BATCH, TIME) else size for size in given[1].tolist()]
            return np.asarray(given[0] * np.ones(sizes, np.asarray(given[0]).dtype))
        axes = self.attributes(node).get("axes")
        if axes is not None and node.op_type in ("Squeeze", "Unsqueeze"):  # before opset 13
            change = np.squeeze if node.op_type == "Squeeze" else np.expand_dims
            return np.asarray(change(given[0], tuple(axes)))
        feeds = {name: each for name, each in zip(node.input, given, strict=True) if name}
        run: Any = ReferenceEvaluator(node, opsets=self.opsets)
        try:
            return np.asarray(run.run(None, feeds)[0])
        except Exception as error:  # of the onnx package, whose operators raise what they like
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise GraphError(f"its constants do not fit: {first[:200]}") from error

    def is_read(self, name: str) -> bool:
        """Whether something takes a tensor, or it is an output."""
        return name in self.consumers or name in self.outputs

    def only_consumer(self, name: str) -> Any:
        """Return the one node that takes a tensor; None if several do, or it is an output."""
        found = self.consumers.get(name, [])
        return found[0] if len(found) == 1 and name not in self.outputs else None


def as_view(value: Any) -> View:
    """Return a value that must come from an input."""
    if isinstance(value, Turned):
        if value.axes.startswith("bt"):
            raise GraphError("it takes sequences of any length, with which it is not known here")
        raise GraphError("its input begins with steps or directions, not with the batch")
    if not isinstance(value, View):
        raise GraphError("its first input is a constant, which is not known here")
    return value


def as_array(value: Any, what: str) -> Array:
    """Return a value that must be a constant."""
    if value is None or isinstance(value, (View, Turned)):
        raise GraphError(f"its {what} must be a constant of the file")
    return np.asarray(value)


def spread(values: Array, view: View) -> Array:
    """Return a constant for every node of the layer of a view, in the order of the layer.

    Raises
    ------
    GraphError
        It has a value for each sample, or does not broadcast.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == len(view.shape) + 1 and array.shape[0] == 1:
        array = array[0]
    if array.ndim > len(view.shape) or not view.is_whole():
        raise GraphError(f"a constant of shape {array.shape} does not fit shape {view.shape}")
    full = np.broadcast_to(array, view.shape)
    found = np.empty(view.layer.size)
    found[view.places.reshape(-1)] = full.reshape(-1)
    return found


def channel_values(full: Array, layer: Layer) -> Array:
    """Return one value for each channel, if that is all that differs."""
    rows = full.reshape(-1, layer.shape[-1])
    return rows[0] if (rows == rows[0]).all() else full


def shifted(view: View, values: Array) -> View:
    """Return a view of a layer that adds a constant: connections from a ConstNode."""
    weights = channel_values(spread(values, view), view.layer)
    made = like(view.layer, "shift")
    made.parameters["bias"] = bias = Parameter(weights, name="bias")
    OneToOneConnections(view.layer, made)
    const = Layer((1,), kind="const", role="const")
    put_under(made, "const", const)
    BiasConnections(const, made, bias, channels=len(weights))
    return view.above(made)


def scaled(view: View, values: Array) -> View:
    """Return a view of a layer that multiplies by a constant: one weight a channel, or a node."""
    made = like(view.layer, "scale")
    if np.size(values) == 1:
        constant = float(np.asarray(values).reshape(-1)[0])
        OneToOneConnections(view.layer, made, constant=constant)
        return view.above(made)
    weights = channel_values(spread(values, view), view.layer)
    made.parameters["weight"] = weight = Parameter(weights, name="weight")
    OneToOneConnections(view.layer, made, weight)
    return view.above(made)
