"""An oracle: a feed-forward network calculated from nothing but the list of its edges."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurograph.graph.layer import Layer
from neurograph.graph.network import Network
from neurograph.graph.temporal import FoldConnections, StepConnections, UnfoldConnections

Array = NDArray[Any]
START = {"sum": 0.0, "mean": 0.0, "max": -np.inf, "product": 1.0}
COMBINE = {"sum": np.add, "mean": np.add, "max": np.maximum, "product": np.multiply}


def outputs_of(net: Network, inputs: Any, training: bool = False) -> list[Array]:
    """Return the outputs for inputs of shape (batch, [time,] shape); noise is 1."""
    given = inputs if isinstance(inputs, list) else [inputs]
    known: dict[int, Array] = {}
    for port, values in zip(net.inputs, given, strict=True):
        lead = values.ndim - len(port.shape)
        known[id(port.layer)] = values.reshape(*values.shape[:lead], -1)
    for layer in net.all_layers:
        if layer.role in ("const", "noise"):
            known[id(layer)] = np.ones((len(given[0]), layer.size))
    waiting = [layer for layer in net.all_layers if id(layer) not in known]
    while waiting:
        ready = [
            layer
            for layer in waiting
            if all(id(bundle.source) in known for bundle in layer.incoming)
        ]
        assert ready, "a cycle"
        for layer in ready:
            known[id(layer)] = _calculate(layer, known, training)
        waiting = [layer for layer in waiting if id(layer) not in known]
    found = [(port, known[id(port.layer)]) for port in net.outputs]
    return [values.reshape(*values.shape[:-1], *port.shape) for port, values in found]


def _calculate(layer: Layer, known: dict[int, Array], training: bool) -> Array:
    steps = [known[id(b.source)].shape[1] for b in layer.incoming if b.source.sequence]
    if isinstance(layer.incoming[0], (FoldConnections, UnfoldConnections)):
        source = known[id(layer.incoming[0].source)]
        lead = (len(source), -1) if layer.sequence else (len(source),)
        net = source.reshape(*lead, layer.size)
    elif isinstance(layer.incoming[0], StepConnections):
        net = known[id(layer.incoming[0].source)][:, layer.incoming[0].step]
    else:
        net = _aggregate(layer, known, steps)
    shaped = net.reshape(*net.shape[:-1], *layer.shape)
    if layer.function is not None:
        shaped = layer.function.forward(shaped, training)
    return np.asarray(layer.activation.function(shaped)).reshape(net.shape)


def _aggregate(layer: Layer, known: dict[int, Array], steps: list[int]) -> Array:
    signals, places = [], []
    for bundle in layer.incoming:
        ups, downs, addresses = bundle.edges()
        source = known[id(bundle.source)]
        if layer.sequence and source.ndim == 2:
            source = np.repeat(source[:, None], (steps or [layer.steps])[0], axis=1)
        weights: Any = bundle.constant
        if bundle.parameter is not None:
            weights = bundle.parameter.value.reshape(-1)[addresses]
        signals.append(source[..., ups] * weights)
        places.append(downs)
    signal, down = np.concatenate(signals, axis=-1), np.concatenate(places)
    net = np.full((layer.size, *signal.shape[:-1]), START[layer.aggregation])
    COMBINE[layer.aggregation].at(net, down, np.moveaxis(signal, -1, 0))
    if layer.aggregation == "mean":
        counts = np.bincount(down, minlength=layer.size)
        net /= counts.reshape(-1, *[1] * (net.ndim - 1))
    return np.moveaxis(net, 0, -1)
