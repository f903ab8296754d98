"""What each bundle of connections is in ONNX, and what a layer makes of several."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from neurograph.errors import GraphError
from neurograph.graph.bundles import BiasConnections, DenseConnections, OneToOneConnections
from neurograph.graph.connections import Bundle
from neurograph.graph.layer import Layer
from neurograph.graph.spatial import ConvolutionConnections, PoolingConnections
from neurograph.storage.onnx_graph import Array, OnnxGraph

_COMBINE = {"sum": "Sum", "mean": "Mean", "max": "Max"}


class Terms:
    """The operators of bundles, added to a graph.

    Parameters
    ----------
    graph : OnnxGraph
    tensor : callable
        ``tensor(layer, first) -> name``: the values of a layer, its channels first or last.
    """

    def __init__(self, graph: OnnxGraph, tensor: Callable[[Layer, bool], str]) -> None:
        self.graph = graph
        self.tensor = tensor

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
        for bias in biases:
            values = self._bias(layer, bias, first)
            found.append(self.graph.weight(values, f"{layer.name}/bias"))
        if not found:
            raise GraphError(f"layer {layer.name!r}: nothing feeds it, which ONNX cannot say")
        if len(found) == 1:
            return found[0]
        if layer.aggregation in _COMBINE:
            return self.graph.add(_COMBINE[layer.aggregation], found, layer.name)
        product = found[0]
        for factor in found[1:]:
            product = self.graph.add("Mul", [product, factor], layer.name)
        return product

    def _term(self, layer: Layer, bundle: Bundle, first: bool, bias: BiasConnections | None) -> str:
        if isinstance(bundle, PoolingConnections):
            x = self._pooling(layer, bundle)
            return x if bias is None else self._added(layer, x, bias, first)
        if isinstance(bundle, OneToOneConnections):
            return self._one_to_one(layer, bundle, first)
        if isinstance(bundle, ConvolutionConnections):
            return self._convolution(layer, bundle, bias)
        alone = layer.aggregation == "sum"
        if isinstance(bundle, DenseConnections) and alone and not first:
            return self._dense(layer, bundle, bias)
        raise GraphError(
            f"layer {layer.name!r}: its {type(bundle).__name__} with aggregation "
            f"{layer.aggregation!r} have no counterpart in ONNX"
        )

    # dense ------------------------------------------------------------------------------------

    def _dense(self, layer: Layer, bundle: DenseConnections, bias: BiasConnections | None) -> str:
        graph, name = self.graph, layer.name
        source = bundle.source
        if bundle.parameter is None:
            kernel: Array = np.full((bundle.inputs, bundle.units), bundle.constant)
        else:
            columns = slice(bundle.first_column, bundle.first_column + bundle.units)
            kernel = bundle.parameter.value[:, columns]
        if bundle.mask is not None:
            kernel = np.where(bundle.mask, 0.0, kernel)
        weight = graph.weight(kernel, f"{name}/kernel")
        if source.function is not None and source.function.name == "one_hot":
            index = self.tensor(source.incoming[0].source, False)
            index = graph.add("Cast", [index], name, to=graph.onnx.TensorProto.INT64)
            x = graph.add("Gather", [weight, index], name, axis=0)
            return x if bias is None else self._added(layer, x, bias, False)
        x = self.tensor(source, False)
        if bundle.positions == 1:
            x = x if len(source.shape) == 1 else graph.reshape(x, (bundle.inputs,), name)
            given = [x, weight]
            if bias is not None:
                given.append(graph.weight(self._channel_bias(bias), f"{name}/bias"))
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

    @staticmethod
    def _channel_bias(bundle: BiasConnections) -> Array:
        if bundle.parameter is None:
            return np.full(bundle.channels, bundle.constant)
        values = bundle.parameter.value.reshape(-1)
        found: Array = values[bundle.first : bundle.first + bundle.channels]
        return found

    def _bias(self, layer: Layer, bundle: BiasConnections, first: bool) -> Array:
        """Return what broadcasts to the layer: (channels,), or an element for each node."""
        values = self._channel_bias(bundle)
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
        return self.tensor(source, True), attributes, line

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
            given.append(self.graph.weight(self._channel_bias(bias), f"{layer.name}/bias"))
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
            return self._weighted(layer, bundle, self.tensor(bundle.source, True), first)
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
        return self.graph.add("Transpose", [x], name, perm=_to_first(layer)) if first else x

    def _block(self, layer: Layer, bundle: OneToOneConnections) -> str:
        """Return the block of the source that a bundle takes, weighted, channels last."""
        graph, name = self.graph, layer.name
        x = self.tensor(bundle.source, False)
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
            tensors = [self.tensor(each.source, True) for each in parts]
            rows = [
                self._weighted(layer, each, x, first)
                for each, x in zip(parts, tensors, strict=True)
            ]
            return self.graph.add("Concat", rows, layer.name, axis=1)
        rows = [self._block(layer, each) for each in parts]
        x = self.graph.add("Concat", rows, layer.name, axis=axis + 1)
        same = parts[0].target_shape == layer.shape
        return x if same else self.graph.reshape(x, layer.shape, layer.name)

    # whole-layer functions ---------------------------------------------------------------------

    def function(self, layer: Layer, x: str, first: bool) -> str:
        """Return what a softmax or normalisation makes of a net input."""
        function: Any = layer.function
        if function.name == "softmax":
            return self.graph.add("Softmax", [x], layer.name, axis=1 if first else -1)
        values = {name: each.value for name, each in function.parameters.items()}
        if function.name == "batch_normalization":
            return self._batch_normalization(layer, x, first, values)
        options = function.describe()
        axes = sorted(options.get("axes", ()))
        trailing = axes == list(range(-len(axes), 0))
        if function.name != "layer_normalization" or first or not trailing:
            raise GraphError(
                f"layer {layer.name!r}: its {function.name} over axes {axes} has no counterpart "
                f"in ONNX here"
            )
        sizes = layer.shape[len(layer.shape) - len(axes) :]
        scale = self.graph.weight(values.get("gamma", np.ones(sizes)), f"{layer.name}/gamma")
        given = [x, scale]
        if "beta" in values:
            given.append(self.graph.weight(values["beta"], f"{layer.name}/beta"))
        epsilon = options["epsilon"]
        return self.graph.add(
            "LayerNormalization", given, layer.name, axis=-len(axes), epsilon=epsilon
        )

    def _batch_normalization(
        self, layer: Layer, x: str, first: bool, values: dict[str, Array]
    ) -> str:
        function: Any = layer.function
        mean, variance = values["moving_mean"], values["moving_variance"]
        gamma = values.get("gamma", np.ones_like(mean))
        beta = values.get("beta", np.zeros_like(mean))
        name = layer.name
        if function.axis == -1 and (first or len(layer.shape) == 1):
            rows = {"gamma": gamma, "beta": beta, "mean": mean, "variance": variance}
            given = [self.graph.weight(each, f"{name}/{key}") for key, each in rows.items()]
            return self.graph.add("BatchNormalization", [x, *given], name, epsilon=function.epsilon)
        factor = gamma / np.sqrt(variance + function.epsilon)
        shape = (-1, *(1,) * (-1 - function.axis))
        if first:
            full = np.ones(len(layer.shape), dtype=int)
            full[function.axis] = mean.size
            shape = tuple(int(each) for each in np.roll(full, 1))
        scale = self.graph.weight(factor.reshape(shape), f"{name}/scale")
        shift = self.graph.weight((beta - mean * factor).reshape(shape), f"{name}/shift")
        return self.graph.add("Add", [self.graph.add("Mul", [x, scale], name), shift], name)


def _is_last(bundle: OneToOneConnections) -> bool:
    parameter = bundle.parameter
    return parameter is not None and parameter.size == bundle.target.shape[-1]


def _to_first(layer: Layer) -> list[int]:
    rank = len(layer.shape)
    return [0, rank, *range(1, rank)]


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
