"""Numbers worked out elsewhere (golden.json): every one is reproduced, to the last digits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neurograph as ng
from neurograph.interpret import backward, calc_gradients, forward, update_weights

GOLDEN: dict[str, Any] = json.loads(Path(__file__).with_name("golden.json").read_text())


def test_perceptron_learns_the_logical_and():
    case = GOLDEN["perceptron_and"]
    unit = ng.Perceptron(2)
    unit.train(case["order"], case["labels"], case["epochs"], case["rate"])
    assert unit.weights == pytest.approx(case["weights"], abs=1e-15)
    assert unit.bias == pytest.approx(case["bias"], abs=1e-15)
    assert [unit.predict(vector) for vector in case["order"]] == case["predict"]


def test_linear_unit_learns_salaries_to_the_last_bit():
    case = GOLDEN["linear_unit_salary"]
    unit = ng.LinearUnit(1)
    unit.train([[x] for x in case["x"]], case["y"], case["epochs"], case["rate"])
    assert unit.weights == [case["w"]]
    assert unit.bias == case["b"]
    for years, salary in case["predict"].items():
        assert unit.predict([float(years)]) == pytest.approx(salary, rel=1e-15)


@pytest.fixture
def tutorial_net() -> ng.Network:
    net = ng.Network([2, 2, 2])
    for label, weight in GOLDEN["network_2_2_2"]["conns"]:
        net.find(label).weight = weight
    return net


def test_order_of_connections_is_upstream_node_by_upstream_node(tutorial_net):
    bundled = [connection for pair in layer_pairs(tutorial_net) for connection in pair]
    labels = [connection.label for connection in bundled]
    assert labels == [label for label, _ in GOLDEN["network_2_2_2"]["conns"]]


def layer_pairs(net: ng.Network) -> list[list[ng.Connection]]:
    """Return the connections of each two layers, upstream node by upstream node."""
    return [
        [connection for node in layer.nodes for connection in node.downstream]
        for layer in net.layers
    ]


def test_outputs_deltas_and_gradients_of_the_tutorials_network(tutorial_net):
    case = GOLDEN["network_2_2_2"]
    predicted = tutorial_net.predict(case["sample"], explicit=True)
    assert predicted.tolist() == pytest.approx(case["outputs"][2][:2], abs=1e-15)
    for number, outputs in enumerate(case["outputs"]):
        nodes = tutorial_net.layer(f"layer_{number}").nodes
        assert [node.output for node in nodes] == pytest.approx(outputs, abs=1e-15)
    tutorial_net.calc_delta(case["label"])
    for number, deltas in enumerate(case["deltas"], start=1):
        layer = tutorial_net.layer(f"layer_{number}")
        assert [layer[k].delta for k in range(2)] == pytest.approx(deltas, abs=1e-15)
    tutorial_net.calc_gradient()
    for (label, _), minus_gradient in zip(case["conns"], case["gradients"], strict=True):
        assert tutorial_net.find(label).gradient == pytest.approx(-minus_gradient, abs=1e-15)
        assert tutorial_net.find(label).get_gradient() == tutorial_net.find(label).gradient


def by_one_sample(net: ng.Network, case: dict[str, Any]) -> None:
    net.train_one_sample(case["label"], case["sample"], 0.3)


def by_steps(net: ng.Network, case: dict[str, Any]) -> None:
    net.predict(case["sample"], explicit=True)
    net.calc_delta(case["label"])
    net.update_weight(0.3)


def by_connections(net: ng.Network, case: dict[str, Any]) -> None:
    net.predict(case["sample"], explicit=True)
    net.calc_delta(case["label"])
    for connection in net.connections:
        connection.update_weight(0.3)


def by_training(net: ng.Network, case: dict[str, Any]) -> None:
    net.train([case["label"]], [case["sample"]], 0.3, 1, explicit=True)


def by_compiled_training(net: ng.Network, case: dict[str, Any]) -> None:
    net.train([case["label"]], [case["sample"]], 0.3, 1)


def by_hand(net: ng.Network, case: dict[str, Any]) -> None:
    layers = [net.layer(f"layer_{number}") for number in range(3)]
    layers[0].set_output(case["sample"])
    for layer in layers[1:]:
        layer.calc_output()
    for node, label in zip(layers[2].nodes[:2], case["label"], strict=True):
        node.calc_output_layer_delta(label)
    for node in layers[1].nodes[:2]:
        node.calc_hidden_layer_delta()
    for connection in net.connections:
        connection.update_weight(0.3)


@pytest.mark.parametrize(
    "way", [by_one_sample, by_steps, by_connections, by_training, by_compiled_training, by_hand]
)
def test_one_step_of_training_however_it_is_taken(tutorial_net, way):
    case = GOLDEN["network_2_2_2"]
    way(tutorial_net, case)
    for (label, _), weight in zip(case["conns"], case["weights_after_rate_0.3"], strict=True):
        assert tutorial_net.find(label).weight == pytest.approx(weight, abs=1e-15)
    for explicit in (True, False):
        predicted = tutorial_net.predict(case["sample"], explicit=explicit)
        assert predicted.tolist() == pytest.approx(case["predict_after"], abs=1e-15)


# convolution ------------------------------------------------------------------------------------


def convolution_by_hand() -> tuple[ng.Network, ng.Parameter, ng.Parameter]:
    """Connect every node: input (channel, row, column), windows of 3 x 3, stride 2, padding 1."""
    case = GOLDEN["convolution"]
    kernel = ng.Parameter(case["W"], name="kernel")  # (filter, channel, row, column)
    bias = ng.Parameter(case["b"], name="bias")
    one = ng.ConstNode("one")
    pixels = {place: ng.InputNode(f"pixel{place}") for place in np.ndindex(3, 5, 5)}
    outputs = []
    for filter_, row, column in np.ndindex(2, 3, 3):
        node = ng.Node("identity", name=f"map{(filter_, row, column)}")
        outputs.append(node)
        for channel, i, j in np.ndindex(3, 3, 3):
            pixel = pixels.get((channel, 2 * row - 1 + i, 2 * column - 1 + j))
            if pixel is not None:
                index = int(np.ravel_multi_index((filter_, channel, i, j), kernel.shape))
                ng.Connection(pixel, node, parameter=kernel, index=index)
        ng.Connection(one, node, parameter=bias, index=filter_)
    return ng.Network(inputs=list(pixels.values()), outputs=outputs), kernel, bias


@pytest.mark.parametrize("which", ["sens", "ones"])
def test_convolution_by_hand(which):
    case = GOLDEN["convolution"]
    net, kernel, bias = convolution_by_hand()
    (output,) = forward(net, np.ravel(case["input"]))
    assert output.tolist() == np.ravel(case["out"]).tolist()
    wanted = case if which == "sens" else case["ones_sens"]
    sens = case["sens"] if which == "sens" else np.ones((2, 3, 3))
    backward(net, [np.ravel(sens)])
    calc_gradients(net)
    assert kernel.gradient.tolist() == wanted["dW"]
    assert bias.gradient.tolist() == wanted["db"]
    d_input = [-net.node(f"pixel{place}").delta for place in np.ndindex(3, 5, 5)]
    assert d_input == np.ravel(wanted["dX"]).tolist()
    if which == "sens":
        update_weights(net, 0.001)
        np.testing.assert_allclose(kernel.value, case["lr_0.001_updated"]["W"], rtol=1e-15)
        np.testing.assert_allclose(bias.value, case["lr_0.001_updated"]["b"], rtol=1e-15)


def test_convolution_by_the_library_layer():
    case = GOLDEN["convolution"]
    net = ng.Network(
        [ng.Input((5, 5, 3)), ng.ZeroPadding2D(1), ng.Conv2D(2, 3, strides=2, name="conv")]
    )
    net.parameters["conv/kernel"].value = np.transpose(case["W"], (2, 3, 1, 0))
    net.parameters["conv/bias"].value = case["b"]
    image = np.moveaxis(np.array(case["input"], dtype=float), 0, -1)
    (output,) = forward(net, image)
    assert np.moveaxis(output, -1, 0).tolist() == case["out"]
    backward(net, [np.moveaxis(np.array(case["sens"], dtype=float), 0, -1)])
    calc_gradients(net)
    gradient = net.parameters["conv/kernel"].gradient
    assert np.transpose(gradient, (3, 2, 0, 1)).tolist() == case["dW"]
    assert net.parameters["conv/bias"].gradient.tolist() == case["db"]
    assert np.moveaxis(-net.layers[0].delta, -1, 0).tolist() == case["dX"]


# pooling ----------------------------------------------------------------------------------------


def test_max_pooling_by_hand():
    case = GOLDEN["max_pooling"]
    pixels = {place: ng.InputNode(f"pixel{place}") for place in np.ndindex(2, 4, 4)}
    outputs = []
    for channel, row, column in np.ndindex(2, 2, 2):
        node = ng.Node("identity", "max", name=f"largest{(channel, row, column)}")
        outputs.append(node)
        for i, j in np.ndindex(2, 2):
            pixel = pixels[channel, 2 * row + i, 2 * column + j]
            ng.Connection(pixel, node, weight=1.0, trainable=False)
    net = ng.Network(inputs=list(pixels.values()), outputs=outputs)
    (output,) = forward(net, np.ravel(case["x"]))
    assert output.tolist() == np.ravel(case["out"]).tolist()
    backward(net, [np.ravel(case["sens"])])
    d_input = [-net.node(f"pixel{place}").delta for place in np.ndindex(2, 4, 4)]
    assert d_input == np.ravel(case["dX"]).tolist()


def test_max_pooling_by_the_library_layer():
    case = GOLDEN["max_pooling"]
    net = ng.Network([ng.Input((4, 4, 2)), ng.MaxPooling2D(2)])
    (output,) = forward(net, np.moveaxis(np.array(case["x"]), 0, -1))
    assert np.moveaxis(output, -1, 0).tolist() == case["out"]
    backward(net, [np.moveaxis(np.array(case["sens"]), 0, -1)])
    assert np.moveaxis(-net.layers[0].delta, -1, 0).tolist() == case["dX"]


# recursive network ------------------------------------------------------------------------------


def test_recursive_network_by_hand():
    """((l0, l1), l2): one weight matrix serves both inner nodes of the tree."""
    case = GOLDEN["recursive"]
    weights = ng.Parameter(case["W"], name="W")  # (unit, left and right child's units)
    bias = ng.Parameter(np.ravel(case["b"]), name="b")
    one = ng.ConstNode("one")
    leaves = [[ng.InputNode(f"l{leaf}{unit}") for unit in range(2)] for leaf in range(3)]

    def parent(name: str, children: list[ng.Node]) -> list[ng.Node]:
        units = [ng.Node("identity", name=f"{name}{unit}") for unit in range(2)]
        for unit, node in enumerate(units):
            for place, child in enumerate(children):
                ng.Connection(child, node, parameter=weights, index=4 * unit + place)
            ng.Connection(one, node, parameter=bias, index=unit)
        return units

    inner = parent("inner", [*leaves[0], *leaves[1]])
    root = parent("root", [*inner, *leaves[2]])
    net = ng.Network(inputs=[unit for leaf in leaves for unit in leaf], outputs=root)
    (output,) = forward(net, np.ravel(case["leaves"]))
    assert [node.output for node in inner] == pytest.approx(case["parent01"], rel=1e-15)
    assert output.tolist() == pytest.approx(case["root"], rel=1e-15)
    backward(net, [case["root_delta"]])
    calc_gradients(net)
    np.testing.assert_allclose(weights.gradient, case["dW"], rtol=1e-14)
    np.testing.assert_allclose(bias.gradient, np.ravel(case["db"]), rtol=1e-14)
