"""The tutorial's verbs: training node by node and compiled is the same, number for number."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import neurograph as ng

AND = ([[1.0], [0.0], [0.0], [0.0]], [[1.0, 1.0], [0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])


def twins(sizes: list[int]) -> tuple[ng.Network, ng.Network]:
    return ng.Network(sizes, seed=4), ng.Network(sizes, seed=4)


def test_truth_table_is_learned_with_a_loss_that_only_falls():
    net = ng.Network([2, 1], seed=1)
    errors = net.train(*AND, 0.5, 1500, explicit=True)
    assert len(errors) == 1500
    assert all(later < earlier for earlier, later in itertools.pairwise(errors))
    outputs = net.predict(AND[1], explicit=True)
    assert (outputs.round() == AND[0]).all()


def test_training_is_the_same_compiled_and_node_by_node():
    compiled, explicit = twins([3, 5, 2])
    rng = np.random.default_rng(0)
    samples, labels = rng.normal(size=(7, 3)), rng.random((7, 2))
    errors = compiled.train(labels, samples, 0.4, 6)
    assert errors == pytest.approx(
        explicit.train(labels, samples, 0.4, 6, explicit=True), abs=1e-12
    )
    assert errors[-1] < errors[0]
    for name, parameter in compiled.parameters.items():
        np.testing.assert_allclose(parameter.value, explicit.parameters[name].value, atol=1e-12)
    np.testing.assert_allclose(
        compiled.predict(samples), explicit.predict(samples, explicit=True), atol=1e-12
    )
    np.testing.assert_allclose(
        compiled.predict(samples[0]), explicit.predict(samples[0], explicit=True), atol=1e-12
    )


def test_training_is_the_same_for_hand_made_graphs_in_time():
    nets = []
    for _ in range(2):
        x, h, y = ng.InputNode("x"), ng.Node("tanh", name="h"), ng.Node("sigmoid", name="y")
        for up, down, weight, delay in ((x, h, 0.5, 0), (h, h, 0.3, 1), (h, y, 1.0, 0)):
            ng.Connection(up, down, weight, delay=delay)
        nets.append(ng.Network(inputs=[x], outputs=[y]))
    rng = np.random.default_rng(1)
    samples, labels = rng.normal(size=(4, 5, 1)), rng.random((4, 5, 1))
    compiled = nets[0].train(labels, samples, 0.2, 3)
    assert compiled == pytest.approx(
        nets[1].train(labels, samples, 0.2, 3, explicit=True), abs=1e-12
    )
    for first, second in zip(nets[0].connections, nets[1].connections, strict=True):
        assert first.weight == pytest.approx(second.weight, abs=1e-12)


def test_deltas_after_a_compiled_prediction():
    net, other = twins([2, 3, 2])
    net.predict([0.3, -0.5])
    error = net.calc_delta([1.0, 0.0])
    other.predict([0.3, -0.5], explicit=True)
    assert error == other.calc_delta([1.0, 0.0])
    for node, twin in zip(net.layer("layer_1").nodes, other.layer("layer_1").nodes, strict=True):
        assert node.delta == twin.delta


def test_error_is_half_the_squares_and_the_mean_over_a_batch():
    net = ng.Network([2, 2], seed=0)
    x, t = np.array([[1.0, 2.0], [0.0, -1.0]]), np.array([[1.0, 0.0], [0.5, 0.5]])
    y = net.predict(x, explicit=True)
    assert net.calc_delta(t) == pytest.approx(((y - t) ** 2).sum() / 2 / 2, rel=1e-14)
    delta = y * (1 - y) * (t - y) / 2
    np.testing.assert_allclose(net.layer("layer_1").delta, delta, rtol=1e-13)
    net.calc_gradient()
    np.testing.assert_allclose(net.parameters["layer_1/kernel"].gradient, -x.T @ delta, rtol=1e-13)


def test_get_gradient_fills_and_returns_the_gradients():
    net = ng.Network([2, 2], seed=0)
    found = net.get_gradient([1.0, 0.0], [0.5, 0.25])
    assert list(found) == ["layer_1/kernel", "layer_1/bias"]
    assert found["layer_1/kernel"] is net.parameters["layer_1/kernel"].gradient
    for connection in net.connections:
        assert connection.get_gradient() == connection.gradient != 0.0


def test_every_weight_is_updated_once_however_many_share_it():
    x, y, w = ng.InputNode("x"), ng.Node("identity", name="y"), ng.Parameter(1.0, name="w")
    for _ in range(2):
        ng.Connection(x, y, parameter=w)
    net = ng.Network(inputs=[x], outputs=[y])
    net.train_one_sample([0.0], [1.0], 0.1)  # y = 2, dE/dw = 2 * 2
    assert float(w.value) == pytest.approx(0.6)


def test_frozen_parameters_do_not_learn():
    net = ng.Network([2, 2], seed=0)
    net.parameters["layer_1/kernel"].trainable = False
    kernel = net.parameters["layer_1/kernel"].value.copy()
    bias = net.parameters["layer_1/bias"].value.copy()
    net.train([[1.0, 0.0]], [[1.0, 1.0]], 0.5, 1, explicit=True)
    assert net.parameters["layer_1/kernel"].value.tolist() == kernel.tolist()
    assert (net.parameters["layer_1/bias"].value != bias).all()


def test_a_changed_structure_is_walked_anew():
    net = ng.Network([2, 2], seed=0)
    net.predict([1.0, 1.0], explicit=True)
    net.find("(0-0)->(1-0)").remove()
    net.calc_delta([1.0, 1.0])
    net.calc_gradient()
    assert len(net.node("(1-0)").upstream) == 2
    kernel, bias = (net.parameters[f"layer_1/{name}"].value for name in ("kernel", "bias"))
    expected = 1 / (1 + np.exp(-(kernel[1, 0] + bias[0])))
    assert net.node("(1-0)").output == pytest.approx(expected, rel=1e-14)


def test_several_inputs_and_outputs():
    a, b = ng.Input(2, name="a"), ng.Input(1, name="b")
    both = ng.Concatenate()([a, b])
    outputs = [ng.Dense(1, name="first")(both), ng.Dense(2, name="second")(both)]
    net = ng.Network(inputs=[a, b], outputs=outputs, seed=0)
    sample = [[1.0, 2.0], [3.0]]
    explicit, compiled = net.predict(sample, explicit=True), net.predict(sample)
    assert [each.shape for each in explicit] == [each.shape for each in compiled] == [(1,), (2,)]
    for one, other in zip(explicit, compiled, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)
    labels = [[0.5], [1.0, -1.0]]
    first = net.train_one_sample(labels, sample, 0.01)
    assert net.train_one_sample(labels, sample, 0.01) < first
    with pytest.raises(ng.ShapeError, match="label: give a list of 2 arrays"):
        net.calc_delta([[0.5]])
    with pytest.raises(ng.ShapeError, match=r"label for output 'second' has shape \(1,\)"):
        net.calc_delta([[0.5], [1.0]])


def test_dump_has_a_line_for_every_node_and_connection():
    net = ng.Network([2, 1], seed=0)
    lines = net.dump().splitlines()
    assert lines[0] == "(0-0): input, output 0"
    assert lines[2] == "(0-2): constant, output 1"
    assert lines[3].startswith("(1-0): sigmoid of sum")
    assert [line.split(":")[0] for line in lines[5:]] == [
        "(0-0) -> (1-0)", "(0-1) -> (1-0)", "(0-2) -> (1-0)",
    ]  # fmt: skip
