"""Networks of every kind to save and load, and the comparison of two networks part by part."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

import neurograph as ng
from neurograph.graph.layer import Layer
from neurograph.graph.network import Network
from neurograph.graph.node import Node
from neurograph.storage import file, tensors
from neurograph.storage.weights import named_parameters

WEIGHTS = st.floats(allow_nan=False, allow_infinity=False)
ACTIVATIONS = st.sampled_from(["identity", "sigmoid", "tanh", "relu", "step", "softplus"])
NAMES = st.text(min_size=1, max_size=8)


@st.composite
def graphs(draw: Any, weights: Any = WEIGHTS) -> Network:
    """Draw a network made by hand: any wiring, delays, shared weights, edits afterwards."""
    names = draw(st.lists(NAMES, min_size=14, max_size=14, unique=True))
    inputs = [ng.InputNode(names.pop()) for _ in range(draw(st.integers(1, 3)))]
    nodes: list[Node] = [*inputs, ng.ConstNode(names.pop())]
    shared = ng.Parameter(draw(st.lists(weights, min_size=2, max_size=3)), name=draw(NAMES))
    for _ in range(draw(st.integers(1, 6))):
        node = ng.Node(
            draw(ACTIVATIONS),
            draw(st.sampled_from(["sum", "mean", "max", "product"])),
            name=names.pop(),
            position=draw(st.none() | st.tuples(st.integers(-9, 99), st.integers(0, 9))),
            initial=draw(st.sampled_from([0.0, -0.25, 1.5])),
        )
        ng.Connection(draw(st.sampled_from(inputs)), node, weight=draw(weights))
        for _ in range(draw(st.integers(0, 4))):
            _connect(
                draw, draw(st.sampled_from(nodes)), node, shared, weights, draw(st.integers(0, 2))
            )
        if draw(st.booleans()):
            _connect(draw, node, node, shared, weights, draw(st.integers(1, 3)))
        nodes.append(node)
    net = ng.Network(inputs=inputs, outputs=nodes[-1:], name=draw(NAMES), seed=draw(st.integers(0)))
    net.handmade.table()
    for connection in draw(st.lists(st.sampled_from(net.handmade.connections), max_size=3)):
        connection.remove()
    if draw(st.booleans()):
        net.connect(nodes[0], nodes[-1], weight=draw(weights), delay=4, trainable=False)
    return net


def _connect(
    draw: Any, up: Node, down: Node, shared: ng.Parameter, weights: Any, delay: int
) -> None:
    if draw(st.booleans()):
        index = draw(st.integers(0, shared.size - 1))
        ng.Connection(up, down, parameter=shared, index=index, delay=delay)
    else:
        trainable = draw(st.booleans())
        ng.Connection(up, down, weight=draw(weights), delay=delay, trainable=trainable)


@st.composite
def stacks(draw: Any) -> Network:
    """Draw a network of library layers, edited: frozen, pruned, with hand-made connections."""
    x = ng.Input((draw(st.integers(4, 6)), draw(st.integers(4, 6)), draw(st.integers(1, 2))))
    h: Layer = x
    for _ in range(draw(st.integers(0, 3))):
        h = draw(st.sampled_from(_IMAGE_RECIPES))()(h)
    if draw(st.booleans()):
        h = ng.Add()([h, ng.Activation("tanh")(h)])
    h = ng.Flatten()(h)
    for recipe in draw(st.lists(st.sampled_from(_VECTOR_RECIPES), max_size=2, unique=True)):
        h = recipe()(h)
    y = ng.Dense(draw(st.integers(1, 4)), activation=draw(st.sampled_from(["softmax", "relu"])))(h)
    net = ng.Network(inputs=x, outputs=y, name=draw(NAMES), seed=draw(st.integers(0, 2**70)))
    _edit(draw, net, x, y)
    return net


_IMAGE_RECIPES = [
    lambda: ng.Conv2D(2, (2, 3), padding="same", activation="relu"),
    lambda: ng.Conv2D(3, 2, strides=2, use_bias=False, padding="same"),
    lambda: ng.DepthwiseConv2D(2, padding="same"),
    lambda: ng.MaxPooling2D(2, strides=1, padding="same"),
    lambda: ng.AveragePooling2D(2, padding="same"),
    lambda: ng.BatchNormalization(),
    lambda: ng.ZeroPadding2D(1),
    lambda: ng.LayerNormalization(),
]
_VECTOR_RECIPES = [
    lambda: ng.Dense(3, activation="sigmoid", kernel_regularizer="l2(0.5)", name="a/b"),
    lambda: ng.Dense(4, use_bias=False, bias_regularizer=None),
    lambda: ng.Dropout(0.25),
    lambda: ng.LeakyReLU(0.1),
]


def _edit(draw: Any, net: Network, x: Layer, y: Layer) -> None:
    kernel = list(net.parameters.values())[-2]
    if draw(st.booleans()):
        kernel.value = kernel.value * draw(st.sampled_from([1.0, 0.0, 1e-310, -1e30]))
    if draw(st.booleans()):
        net.prune(draw(st.sampled_from([0.0, 0.1, 10.0])))
    if draw(st.booleans()):
        y[0].upstream[0].trainable = False
        kernel.learning_rate_factor = draw(st.sampled_from([0.5, np.full(kernel.shape, 0.25)]))
    if draw(st.booleans()):
        extra = ng.Node("tanh", name="extra")
        ng.Connection(x[0], extra, weight=0.3)
        ng.Connection(extra, y[0], weight=-2.5)
        net.connect(x[1], y[0], weight=1 / 3)
    for parameter in net.parameters.values():
        if draw(st.booleans()):
            dtype = draw(st.sampled_from(["float32", "float64"]))
            parameter.move(np.zeros(parameter.shape, dtype), np.zeros(parameter.shape, dtype))
        parameter.trainable = draw(st.booleans())


def assert_same(net: Network, twin: Network) -> None:
    """Compare everything that a network is made of; arrays bit by bit."""
    assert twin.name == net.name
    assert [each.name for each in twin.all_layers] == [each.name for each in net.all_layers]
    for ours, theirs in zip(net.all_layers, twin.all_layers, strict=True):
        assert _layer(theirs, twin) == _layer(ours, net)
    ours_named, theirs_named = named_parameters(net), named_parameters(twin)
    assert list(theirs_named) == list(ours_named)
    for name, ours in ours_named.items():
        assert _parameter(theirs_named[name]) == _parameter(ours)
    assert [_node(each) for each in twin.handmade.nodes] == [_node(n) for n in net.handmade.nodes]
    assert {_node(n)[0]: _node(n) for n in twin.handmade.anchors.values()} == {
        _node(n)[0]: _node(n) for n in net.handmade.anchors.values()
    }
    assert [_port(each) for each in twin.inputs] == [_port(each) for each in net.inputs]
    assert [_port(each) for each in twin.outputs] == [_port(each) for each in net.outputs]
    assert _schedule(twin) == _schedule(net)
    assert len(twin.connections) == len(net.connections)
    assert twin.to_json() == net.to_json()


def _layer(layer: Layer, net: Network) -> Any:
    number = {id(each): k for k, each in enumerate(net.all_layers)}
    parameters = {id(each): name for name, each in named_parameters(net).items()}
    initial = layer.initial
    return (
        type(layer),
        (layer.name, layer.kind, layer.shape, layer.role, layer.size, layer.offset),
        (layer.activation, layer.aggregation, bool(layer.sequence), layer.steps),
        {key: parameters[id(each)] for key, each in layer.parameters.items()},
        list(layer.parameters),
        layer.config,
        {key: number[id(each)] for key, each in layer.parts.items()},
        number.get(id(layer.root)),
        number.get(id(layer.const)),
        number.get(id(initial)) if isinstance(initial, Layer) else np.asarray(initial).tolist(),
        layer.function and (type(layer.function), layer.function.describe()),
        layer.function and {k: parameters[id(v)] for k, v in layer.function.parameters.items()},
        [_bundle(each, number, parameters) for each in layer.incoming],
        [(number[id(each.target)], each.label) for each in layer.outgoing],
    )


def _bundle(bundle: Any, number: dict[int, int], parameters: dict[int, str]) -> Any:
    return (
        (type(bundle), number[id(bundle.source)], number[id(bundle.target)], bundle.delay),
        None if bundle.parameter is None else parameters[id(bundle.parameter)],
        bundle.describe(),
        len(bundle),
        [each.tolist() for each in bundle.edges()],
    )


def _parameter(parameter: ng.Parameter) -> Any:
    factor = np.asarray(parameter.learning_rate_factor)
    return (
        (parameter.name, parameter.shape, parameter.trainable, parameter.value.dtype),
        parameter.value.tobytes(),
        None if parameter.frozen is None else parameter.frozen.tolist(),
        parameter.regularizer,
        (factor.shape, factor.tolist()),
    )


def _node(node: Node) -> Any:
    return (
        (node.label, type(node), node.activation, node.aggregation, node.position, node.initial),
        [_connection(each) for each in node._upstream],
        [_connection(each) for each in node._downstream],
    )


def _connection(connection: ng.Connection) -> Any:
    assert connection.parameter is not None
    where = (connection.parameter.name, connection.index, connection.trainable)
    return connection.label, where, np.float64(connection.weight).tobytes()


def _port(port: Any) -> Any:
    return port.layer.name, port.indices, port.shape, port.name


def _schedule(net: Network) -> Any:
    return [([rank.tolist() for rank in each.ranks], each.direction) for each in net.stages()]


def rewrite(path: Path, content: bytes | bytearray) -> None:
    """Write a file anew: some file systems wait for the disk where one is written over."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def forge(path: Path, metadata: dict[str, str], arrays: dict[str, Any]) -> None:
    """Write a file whose checksums are right whatever it says."""
    metadata = {**metadata, "sha256": file._digest(metadata)}
    buffer = io.BytesIO()
    tensors.write_tensors(buffer, arrays, metadata)
    rewrite(path, buffer.getvalue())
