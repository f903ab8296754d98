"""Softmax and the normalisations as operators of ONNX."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurograph.errors import GraphError
from neurograph.graph.layer import Layer
from neurograph.storage.onnx_graph import Array, OnnxGraph


def function_of(graph: OnnxGraph, layer: Layer, x: str, first: bool) -> str:
    """Return what a softmax or normalisation makes of a net input, channels first or last."""
    function: Any = layer.function
    if function.name == "softmax":
        return graph.add("Softmax", [x], layer.name, axis=1 if first else -1)
    values = {name: each.value for name, each in function.parameters.items()}
    if function.name == "batch_normalization":
        return _batch_normalization(graph, layer, x, first, values)
    if function.name == "local_response_normalization":
        return _local_response(graph, layer, x, first)
    if function.name != "layer_normalization":
        raise GraphError(f"layer {layer.name!r}: its {function.name} has no counterpart in ONNX")
    axes = sorted(function.describe()["axes"])
    if axes == list(range(-len(axes), 0)) and not first:
        return _last_normalization(graph, layer, x, axes, values)
    return _layer_normalization(graph, layer, x, first, axes, values)


def _local_response(graph: OnnxGraph, layer: Layer, x: str, first: bool) -> str:
    """Return the normalisation by neighbouring channels, which runs on pictures, channels first."""
    name, rank = layer.name, len(layer.shape)
    options = layer.function.describe()  # type: ignore[union-attr]
    channels, *space = (layer.shape[-1], *layer.shape[:-1])
    x = x if first else graph.turned(x, rank, name)
    if rank != 3:
        x = graph.reshape(x, (channels, -1, 1), name)
    x = graph.add("LRN", [x], name, **options)
    if rank != 3:
        x = graph.reshape(x, (channels, *space), name)
    return x if first else graph.turned(x, rank, name, first=False)


def _last_normalization(
    graph: OnnxGraph, layer: Layer, x: str, axes: list[int], values: dict[str, Array]
) -> str:
    """Return the normalisation of the last axes, which is an operator."""
    sizes = layer.shape[len(layer.shape) - len(axes) :]
    scale = graph.weight(values.get("gamma", np.ones(sizes)), f"{layer.name}/gamma")
    given = [x, scale]
    if "beta" in values:
        given.append(graph.weight(values["beta"], f"{layer.name}/beta"))
    epsilon = layer.function.epsilon  # type: ignore[union-attr]
    return graph.add("LayerNormalization", given, layer.name, axis=-len(axes), epsilon=epsilon)


def _layer_normalization(
    graph: OnnxGraph, layer: Layer, x: str, first: bool, axes: list[int], values: dict[str, Array]
) -> str:
    """Return the normalisation of any axes, in the words of its formula."""
    name = layer.name
    rank = len(layer.shape)
    order = [rank - 1, *range(rank - 1)] if first else list(range(rank))
    places = [order.index(rank + axis) + 1 for axis in axes]

    def mean(values: str) -> str:
        return graph.add("ReduceMean", [values], name, axes=places, keepdims=1)

    centred = graph.add("Sub", [x, mean(x)], name)
    variance = mean(graph.add("Mul", [centred, centred], name))
    epsilon = graph.constant(layer.function.epsilon)  # type: ignore[union-attr]
    spread = graph.add("Sqrt", [graph.add("Add", [variance, epsilon], name)], name)
    x = graph.add("Div", [centred, spread], name)
    sizes = [layer.shape[k] if k - rank in axes else 1 for k in range(rank)]
    for key, kind in (("gamma", "Mul"), ("beta", "Add")):
        if key in values:
            rows = values[key].reshape(sizes).transpose(order)
            x = graph.add(kind, [x, graph.weight(rows, f"{name}/{key}")], name)
    return x


def _batch_normalization(
    graph: OnnxGraph, layer: Layer, x: str, first: bool, values: dict[str, Array]
) -> str:
    function: Any = layer.function
    mean, variance = values["moving_mean"], values["moving_variance"]
    gamma = values.get("gamma", np.ones_like(mean))
    beta = values.get("beta", np.zeros_like(mean))
    name = layer.name
    if function.axis == -1 and (first or len(layer.shape) == 1):
        rows = {"gamma": gamma, "beta": beta, "mean": mean, "variance": variance}
        given = [graph.weight(each, f"{name}/{key}") for key, each in rows.items()]
        return graph.add("BatchNormalization", [x, *given], name, epsilon=function.epsilon)
    factor = gamma / np.sqrt(variance + function.epsilon)
    shape = (-1, *(1,) * (-1 - function.axis))
    if first:
        full = np.ones(len(layer.shape), dtype=int)
        full[function.axis] = mean.size
        shape = tuple(int(each) for each in np.roll(full, 1))
    scale = graph.weight(factor.reshape(shape), f"{name}/scale")
    shift = graph.weight((beta - mean * factor).reshape(shape), f"{name}/shift")
    return graph.add("Add", [graph.add("Mul", [x, scale], name), shift], name)
