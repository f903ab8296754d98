"""What each bundle of connections is in ONNX, and what a layer makes of several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from neurograph.errors import GraphError
from neurograph.functions import ACTIVATIONS as SHIPPED
from neurograph.graph.bundles import BiasConnections, DenseConnections, OneToOneConnections
from neurograph.graph.connections import Bundle
from neurograph.graph.layer import Layer
from neurograph.graph.spatial import (
    ConvolutionConnections,
    PoolingConnections,
    WindowConnections,
)
from neurograph.graph.temporal import (
    BridgeConnections,
    FoldConnections,
    ReverseConnections,
    StepConnections,
    UnfoldConnections,
)
from neurograph.storage.onnx_cells import bias_values, dense_kernel
from neurograph.storage.onnx_functions import function_of
from neurograph.storage.onnx_graph import ACTIVATIONS, Array, OnnxGraph
from neurograph.storage.onnx_tensors import Tensors

_COMBINE = {"sum": "Sum", "mean": "Mean", "max": "Max"}


class Cycle(Protocol):
    """Layers that go through time together: a cell, which is one operator, or a loop."""

    written: bool
    members: list[Layer]

    @property
    def needs(self) -> list[Layer]:
        """The layers that must be there before it."""

    def final(self, layer: Layer, step: int) -> str | None:
        """Return the tensor of a member at one step, if it is there."""

    def write(self) -> None:
        """Add its operators; the tensors of its members are there then."""


class Terms:
    """The operators of bundles, added to a graph.

    Parameters
    ----------
    graph : OnnxGraph
    tensors : Tensors
    cycles : mapping
        By their layers, the cycles through time.
    """

    def __init__(self, graph: OnnxGraph, tensors: Tensors, cycles: Mapping[int, Cycle]) -> None:
        self.graph = graph
        self.tensors = tensors
        self.cycles = cycles

    def calculate(self, layer: Layer) -> None:
        """Add the operators of a layer, whose tensor is there then."""
        function = layer.function
        if function is not None and function.name == "one_hot":
            return  # the dense bundle above it gathers rows instead
        if self._is_same(layer) and self.tensors.same(layer.incoming[0].source, layer):
            return
        first = self._wants_first(layer)
        x = self.combined(layer, first)
        name = layer.activation.name
        if function is not None:
            x = function_of(self.graph, layer, x, first)
        elif name in ACTIVATIONS and SHIPPED.get(name) is layer.activation:
            x = ACTIVATIONS[name](self.graph, x, layer.name)
        else:
            raise GraphError(
                f"layer {layer.name!r}: its activation {name!r} has no counterpart in ONNX"
            )
        (self.tensors.first if first else self.tensors.last)[id(layer)] = x

    @staticmethod
    def _is_same(layer: Layer) -> bool:
        """Whether a layer is what it is fed by, folded into time or unfolded from it."""
        one = len(layer.incoming) == 1 and layer.function is None
        moves = one and isinstance(layer.incoming[0], (FoldConnections, UnfoldConnections))
        return moves and layer.activation is SHIPPED["identity"]

    def _wants_first(self, layer: Layer) -> bool:
        """Whether a layer is calculated with its channels first."""
        if len(layer.shape) < 2:
            return False
        if any(isinstance(each, WindowConnections) for each in layer.incoming):
            return True
        bundles = [
            each
            for each in layer.incoming
            if each.source.role != "noise" and not isinstance(each, BiasConnections)
        ]
        return all(
            isinstance(each, OneToOneConnections)
            and id(each.source) in self.tensors.first
            and each.source.sequence == layer.sequence
            and self.keeps_axes(each)
            for each in bundles
        )

    def source(self, bundle: Bundle, first: bool) -> str:
        """Return the values that a bundle takes, its channels first or last."""
        source, target = bundle.source, bundle.target
        if bundle.delay:
            raise GraphError(
                f"{bundle.label} has a delay of {bundle.delay}, which ONNX files hold within loops "
                f"through time only"
            )
        if source.sequence or not target.sequence:
            return self.tensors.get(source, first)
        x = self.tensors.repeated(source, target)
        return self.graph.turned(x, len(source.shape), target.name) if first else x

    def combined(self, layer: Layer, first: bool) -> str:
        """Return the net input of a layer."""
        bundles = [each for each in layer.incoming if each.source.role != "noise"]
        biases = [each for each in bundles if isinstance(each, BiasConnections)]
        rest = [each for each in bundles if not isinstance(each, BiasConnections)]
        whole = self._concatenated(layer, rest, first) if not biases else None
        if whole is not None:
            return whole
        found = []
        for each in rest:
            inside = len(rest) == 1 and len(biases) == 1 and layer.aggregation == "sum"
            bias = biases.pop() if inside and not isinstance(each, OneToOneConnections) else None
            found.append(self._term(layer, each, first, bias))
        shape = (layer.shape[-1], *layer.shape[:-1]) if first else layer.shape
        for bias in biases:
            values = self._bias(layer, bias, first)
            if not rest:
                values = np.broadcast_to(values, shape)
            found.append(self.graph.weight(values, f"{layer.name}/bias"))
        if not found:
            raise GraphError(f"layer {layer.name!r}: nothing feeds it, which ONNX cannot say")
        if not rest:  # it still has a value for every sample
            found[0] = self.tensors.expanded(found[0], layer, shape)
        if len(found) == 1:
            return found[0]
        if layer.aggregation in _COMBINE:
            return self.graph.add(_COMBINE[layer.aggregation], found, layer.name)
        product = found[0]
        for factor in found[1:]:
            product = self.graph.add("Mul", [product, factor], layer.name)
        return product

    def _term(self, layer: Layer, bundle: Bundle, first: bool, bias: BiasConnections | None) -> str:
        if isinstance(bundle, BridgeConnections):
            x = self._bridge(layer, bundle)
            return self.graph.turned(x, len(layer.shape), layer.name) if first else x
        if isinstance(bundle, PoolingConnections):
            x = self._pooling(layer, bundle)
            return x if bias is None else self._added(layer, x, bias, first)
        if isinstance(bundle, OneToOneConnections):
            return self._one_to_one(layer, bundle, first)
        if isinstance(bundle, ConvolutionConnections):
            return self._convolution(layer, bundle, bias)
        if isinstance(bundle, DenseConnections) and not first:
            if layer.aggregation == "sum" or bundle.inputs == 1:
                return self._dense(layer, bundle, bias)
            if layer.aggregation == "max" and bundle.parameter is None:
                return self._largest(layer, bundle)
        raise GraphError(
            f"layer {layer.name!r}: its {type(bundle).__name__} with aggregation "
            f"{layer.aggregation!r} have no counterpart in ONNX"
        )

    def _bridge(self, layer: Layer, bundle: Bundle) -> str:
        """Return what a bundle between time and space makes of its source, channels last."""
        source = bundle.source
        if isinstance(bundle, (FoldConnections, UnfoldConnections)):
            return self.tensors.rearranged(source, layer)
        if isinstance(bundle, ReverseConnections):
            return self.tensors.turned(source, layer)
        assert isinstance(bundle, StepConnections)
        cycle = self.cycles.get(id(source))
        x = None if cycle is None else cycle.final(source, bundle.step)
        return self.tensors.step(source, bundle.step, layer) if x is None else x

    # dense ------------------------------------------------------------------------------------

    def _largest(self, layer: Layer, bundle: DenseConnections) -> str:
        """Return the largest of all inputs, times a constant, at every position."""
        graph, name = self.graph, layer.name
        x = self.source(bundle, False)
        if bundle.source.shape[-1] != bundle.inputs:
            x = graph.reshape(x, (bundle.positions, bundle.inputs), name)
        if bundle.constant != 1.0:
            x = graph.add("Mul", [x, graph.constant(bundle.constant)], name)
        x = graph.add("ReduceMax", [x], name, axes=[-1], keepdims=1)
        if bundle.units > 1:
            units = graph.constant((*(1,) * len(bundle.source.shape), bundle.units), np.int64)
            x = graph.add("Expand", [x, units], name)
        return (
            x
            if bundle.source.shape[:-1] == layer.shape[:-1]
            else graph.reshape(x, layer.shape, name)
        )

    def _dense(self, layer: Layer, bundle: DenseConnections, bias: BiasConnections | None) -> str:
        graph, name = self.graph, layer.name
        source = bundle.source
        weight = graph.weight(dense_kernel(bundle), f"{name}/kernel")
        if source.function is not None and source.function.name == "one_hot":
            index = self.source(source.incoming[0], False)
            index = graph.add("Cast", [index], name, to=graph.onnx.TensorProto.INT64)
            x = graph.add("Gather", [weight, index], name, axis=0)
            return x if bias is None else self._added(layer, x, bias, False)
        x = self.source(bundle, False)
        if bundle.positions == 1:
            x = x if len(source.shape) == 1 else graph.reshape(x, (bundle.inputs,), name)
            given = [x, weight]
            if bias is not None:
                given.append(graph.weight(bias_values(bias), f"{name}/bias"))
            x = graph.add("Gemm", given, name)
            return x if len(layer.shape) == 1 else graph.reshape(x, layer.shape, name)
        if source.shape[-1] != bundle.inputs:
            x = graph.reshape(x, (bundle.positions, bundle.inputs), name)
        x = graph.add("MatMul", [x, weight], name)
        if source.shape[-1] != bundle.inputs or layer.shape[-1] != bundle.units:
            x = graph.reshape(x, layer.shape, name)
        return x if bias is None else self._added(layer, x, bias, False)

    # biases -----------------------------------------------------------------------------------

    def _added(self, layer: Layer, x: str, bias: BiasConnections, first: bool) -> str:
        weight = self.graph.weight(self._bias(layer, bias, first), f"{layer.name}/bias")
        return self.graph.add("Add", [x, weight], layer.name)

    def _bias(self, layer: Layer, bundle: BiasConnections, first: bool) -> Array:
        """Return what broadcasts to the layer: (channels,), or an element for each node."""
        values = bias_values(bundle)
        if values.size == layer.shape[-1]:
            return values.reshape(-1, *(1,) * (len(layer.shape) - 1)) if first else values
        full = np.resize(values, layer.shape)
        return np.moveaxis(full, -1, 0) if first else full

    # windows ----------------------------------------------------------------------------------

    def _window(self, bundle: Any) -> tuple[str, dict[str, Any], bool]:
        """Return the source with channels first, the attributes, and whether it is a line."""
        geometry, source = bundle.geometry, bundle.source
        line = len(source.shape) == 2
        axis = slice(1, None) if line else slice(None)
        top, bottom, left, right = geometry.padding
        pads = [left, right] if line else [top, left, bottom, right]
        attributes = {
            "kernel_shape": list(geometry.kernel[axis]),
            "strides": list(geometry.strides[axis]),
            "pads": pads,
        }
        if source.shape != (geometry.in_shape[1:] if line else geometry.in_shape):
            raise GraphError(
                f"layer {bundle.target.name!r}: its windows see {source.name!r} in another shape, "
                f"which has no counterpart in ONNX here"
            )
        return self.source(bundle, True), attributes, line

    def _convolution(
        self, layer: Layer, bundle: ConvolutionConnections, bias: BiasConnections | None
    ) -> str:
        geometry = bundle.geometry
        x, attributes, line = self._window(bundle)
        kernel = bundle.parameter.value.reshape(geometry.kernel_shape).transpose(3, 2, 0, 1)
        kernel = kernel[:, :, 0] if line else kernel
        given = [x, self.graph.weight(kernel, f"{layer.name}/kernel")]
        inside = bias is not None and bias.channels == geometry.filters
        if bias is not None and inside:
            given.append(self.graph.weight(bias_values(bias), f"{layer.name}/bias"))
        dilations = list(geometry.dilation[1:] if line else geometry.dilation)
        x = self.graph.add(
            "Conv", given, layer.name, dilations=dilations, group=geometry.groups, **attributes
        )
        return x if bias is None or inside else self._added(layer, x, bias, True)

    def _pooling(self, layer: Layer, bundle: PoolingConnections) -> str:
        geometry = bundle.geometry
        x, attributes, _ = self._window(bundle)
        kinds = {"max": "MaxPool", "mean": "AveragePool"}
        if layer.aggregation not in kinds or geometry.dilation != (1, 1):
            raise GraphError(
                f"layer {layer.name!r}: windows with aggregation {layer.aggregation!r} have no "
                f"counterpart in ONNX here"
            )
        kind = kinds[layer.aggregation]
        if geometry.kernel == geometry.in_shape[:2] and not any(geometry.padding):
            x = self.graph.add(f"Global{kind}", [x], layer.name)
        else:
            x = self.graph.add(kind, [x], layer.name, **attributes)
        return self.graph.reshape(x, layer.shape, layer.name) if len(layer.shape) == 1 else x

    # one to one -------------------------------------------------------------------------------

    @staticmethod
    def keeps_axes(bundle: OneToOneConnections) -> bool:
        """Whether a bundle joins layers of one shape, node by node, or whole channels of them."""
        source, target = bundle.source.shape, bundle.target.shape
        if bundle.is_whole:
            return source == target and (bundle.parameter is None or _is_last(bundle))
        return (
            bundle.parameter is None
            and bundle.block == bundle.source_shape == source
            and bundle.target_shape == target
            and bundle.block[:-1] == target[:-1]
        )

    def _one_to_one(self, layer: Layer, bundle: OneToOneConnections, first: bool) -> str:
        graph, name = self.graph, layer.name
        if first and bundle.is_whole:
            return self._weighted(layer, bundle, self.source(bundle, True), first)
        x = self._block(layer, bundle)
        if bundle.is_whole or bundle.block == bundle.target_shape:
            if bundle.block != layer.shape:
                x = graph.reshape(x, layer.shape, name)
            return x
        if layer.aggregation != "sum":
            raise GraphError(
                f"layer {name!r}: {bundle.label} fills a part of it with aggregation "
                f"{layer.aggregation!r}, which has no counterpart in ONNX"
            )
        sizes = zip(bundle.target_start, bundle.block, bundle.target_shape, strict=True)
        after = [whole - start - size for start, size, whole in sizes]
        pads = graph.constant([0, *bundle.target_start, 0, *after], np.int64)
        x = graph.add("Pad", [x, pads], name)
        x = x if bundle.target_shape == layer.shape else graph.reshape(x, layer.shape, name)
        return graph.turned(x, len(layer.shape), name) if first else x

    def _block(self, layer: Layer, bundle: OneToOneConnections) -> str:
        """Return the block of the source that a bundle takes, weighted, channels last."""
        graph, name = self.graph, layer.name
        x = self.source(bundle, False)
        shape = bundle.source.shape if bundle.is_whole else bundle.source_shape
        if shape != bundle.source.shape:
            x = graph.reshape(x, shape, name)
        if not bundle.is_whole and bundle.block != bundle.source_shape:
            begin = list(bundle.source_start)
            ends = [start + size for start, size in zip(begin, bundle.block, strict=True)]
            axes = list(range(1, len(begin) + 1))
            rows = [graph.constant(each, np.int64) for each in (begin, ends, axes)]
            x = graph.add("Slice", [x, *rows], name)
        if bundle.is_whole and bundle.parameter is not None and shape != bundle.block:
            x = graph.reshape(x, bundle.block, name)
            return graph.reshape(self._weighted(layer, bundle, x, False), layer.shape, name)
        if bundle.is_whole and shape != layer.shape:
            x = graph.reshape(x, layer.shape, name)
        return self._weighted(layer, bundle, x, False)

    def _weighted(self, layer: Layer, bundle: OneToOneConnections, x: str, first: bool) -> str:
        if bundle.parameter is None:
            if bundle.constant == 1.0:
                return x
            return self.graph.add("Mul", [x, self.graph.constant(bundle.constant)], layer.name)
        values = bundle.parameter.value.reshape(-1)
        if values.size == bundle.block[-1] or first:
            shape = (-1, *(1,) * (len(layer.shape) - 1)) if first else (-1,)
            values = values.reshape(shape)
        else:
            values = np.resize(values, bundle.block)
        weight = self.graph.weight(values, f"{layer.name}/weight")
        return self.graph.add("Mul", [x, weight], layer.name)

    def _concatenated(self, layer: Layer, bundles: list[Bundle], first: bool) -> str | None:
        """Return the blocks of several bundles side by side, if that is what they are."""
        parts = [each for each in bundles if isinstance(each, OneToOneConnections)]
        axis = _joint(parts) if len(parts) == len(bundles) > 1 else None
        if axis is None or layer.aggregation != "sum":
            return None
        parts = sorted(parts, key=lambda each: each.target_start[axis])
        if first:  # whole channels, by ``keeps_axes``
            tensors = [self.source(each, True) for each in parts]
            rows = [
                self._weighted(layer, each, x, first)
                for each, x in zip(parts, tensors, strict=True)
            ]
            return self.graph.add("Concat", rows, layer.name, axis=1)
        rows = [self._block(layer, each) for each in parts]
        x = self.graph.add("Concat", rows, layer.name, axis=axis + 1)
        same = parts[0].target_shape == layer.shape
        return x if same else self.graph.reshape(x, layer.shape, layer.name)


def _is_last(bundle: OneToOneConnections) -> bool:
    parameter = bundle.parameter
    return parameter is not None and parameter.size == bundle.target.shape[-1]


def _joint(parts: list[OneToOneConnections]) -> int | None:
    """Return the axis along which the blocks of bundles fill their target side by side."""
    whole = parts[0].target_shape
    if any(each.target_shape != whole or len(each.block) != len(whole) for each in parts):
        return None
    axes = {k for each in parts for k, size in enumerate(each.block) if size != whole[k]}
    if len(axes) != 1:
        return None
    axis, place = axes.pop(), 0
    for each in sorted(parts, key=lambda each: each.target_start[axis]):
        if each.target_start[axis] != place:
            return None
        place += each.block[axis]
    return axis if place == whole[axis] else None
