"""The node-by-node run against a recursive definition and against complex steps of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_graphs import random_network

import neurograph as ng
from neurograph.check.numeric import Weight, derivatives
from neurograph.check.setting import Setting
from neurograph.check.sites import weight_sites
from neurograph.interpret import backward, calc_gradients, forward, update_weights

COMBINE: dict[str, Callable[[list[float]], float]] = {
    "sum": sum,
    "mean": lambda signals: sum(signals) / len(signals),
    "max": max,
    "product": lambda signals: reduce(lambda a, b: a * b, signals, 1.0),
}


def by_recursion(net: ng.Network, x: Any) -> Any:
    """Calculate hand-made nodes from nothing but their definition, one sample: (time, inputs)."""
    inputs = {id(net.handmade.nodes[k]): place for place, k in enumerate(net.inputs[0].indices)}
    known: dict[tuple[int, int], float] = {}

    def output(node: ng.Node, step: int) -> float:
        if isinstance(node, ng.ConstNode):
            return 1.0
        if not 0 <= step < len(x):
            return float(node.initial)
        if id(node) in inputs:
            return float(x[step][inputs[id(node)]])
        if (id(node), step) not in known:
            signals = [
                each.weight * output(each.upstream_node, step - each.delay)
                for each in node._upstream
            ]
            net_input = COMBINE[node.aggregation](signals)
            known[id(node), step] = float(node.activation(float(net_input)))
        return known[id(node), step]

    nodes = [net.handmade.nodes[k] for k in net.outputs[0].indices]
    return [[output(node, step) for node in nodes] for step in range(len(x))]


SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, smooth=st.booleans())
def test_forward_of_random_graphs_is_the_recursive_definition(seed, smooth):
    net, x, _ = random_network(seed, smooth=smooth)
    (outputs,) = forward(net, x)
    for sample, found in zip(x, outputs, strict=True):
        single = sample if net.is_recurrent else sample[None]
        expected = by_recursion(net, single)
        expected = expected if net.is_recurrent else expected[0]
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS)
def test_gradients_of_random_graphs_are_complex_steps(seed):
    net, x, y = random_network(seed)
    options = {"training": False, "noise": None, "initial": None, "mask": None}
    setting = Setting.of(net, x, y, "sse", options)
    setting.explicit_gradients()
    sites = weight_sites(net)
    found = np.array([site.parameter.gradient.reshape(-1)[site.index] for site in sites])
    expected = derivatives(setting, sites, "complex")
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * np.abs(found).max())


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_a_batch_is_its_samples_one_by_one(seed):
    net, x, _ = random_network(seed)
    (together,) = forward(net, x)
    backward(net, [np.ones_like(together)])
    calc_gradients(net)
    whole = {name: p.gradient.copy() for name, p in net.parameters.items()}
    deltas = np.array([node.delta for node in net.handmade.nodes if not node.is_constant])
    total = {name: np.zeros_like(gradient) for name, gradient in whole.items()}
    for number, sample in enumerate(x):
        (alone,) = forward(net, sample)
        np.testing.assert_allclose(alone, together[number], rtol=1e-12, atol=1e-14)
        backward(net, [np.ones_like(alone)])
        calc_gradients(net)
        here = np.array([node.delta for node in net.handmade.nodes if not node.is_constant])
        np.testing.assert_allclose(here, deltas[:, number], rtol=1e-10, atol=1e-13)
        for name, parameter in net.parameters.items():
            total[name] += parameter.gradient
    for name, gradient in whole.items():
        np.testing.assert_allclose(total[name], gradient, rtol=1e-10, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_step_by_step_is_all_steps_at_once(seed):
    net, x, _ = random_network(seed, timed=True)
    (at_once,) = forward(net, x)
    backward(net, [np.cos(at_once)])
    calc_gradients(net)
    gradients = [parameter.gradient.copy() for parameter in net.parameters.values()]
    (stepwise,) = forward(net, x, stepwise=True)
    np.testing.assert_array_equal(stepwise, at_once)
    backward(net, [np.cos(at_once)])
    calc_gradients(net)
    for before, parameter in zip(gradients, net.parameters.values(), strict=True):
        np.testing.assert_allclose(parameter.gradient, before, rtol=1e-12, atol=1e-14)


def test_a_weight_that_no_connection_uses_any_more_has_no_gradient():
    net = ng.Network([ng.Input((1,)), ng.Dense(1, use_bias=False)], seed=0)
    for remove in (False, True):
        if remove:
            net.layer("dense")[0].upstream[0].remove()
        forward(net, [1.0])
        backward(net, [[1.0]])
        calc_gradients(net)
        assert net.parameters["dense/kernel"].gradient.tolist() == [[0.0 if remove else 1.0]]


# recurrence, worked out in matrices --------------------------------------------------------------


def elman(delay: int) -> tuple[ng.Network, dict[str, Any]]:
    """Return x (2) -> h (3, tanh, with itself through time) -> y (1), made by hand."""
    rng = np.random.default_rng(5)
    w = {"U": rng.normal(size=(2, 3)), "W": rng.normal(size=(3, 3)), "V": rng.normal(size=(3, 1)),
         "b": rng.normal(size=3), "h0": rng.normal(size=3)}  # fmt: skip
    shared = {name: ng.Parameter(w[name], name=name) for name in ("U", "W", "V", "b")}
    x = [ng.InputNode(f"x{k}") for k in range(2)]
    h = [ng.Node("tanh", name=f"h{k}", initial=w["h0"][k]) for k in range(3)]
    y, one = ng.Node("identity", name="y"), ng.ConstNode("one")
    for k, node in enumerate(h):
        for j in range(2):
            ng.Connection(x[j], node, parameter=shared["U"], index=3 * j + k)
        for j in range(3):
            ng.Connection(h[j], node, parameter=shared["W"], index=3 * j + k, delay=delay)
        ng.Connection(one, node, parameter=shared["b"], index=k)
        ng.Connection(node, y, parameter=shared["V"], index=k)
    return ng.Network(inputs=x, outputs=[y]), w


def elman_outputs(w: dict[str, Any], x: Any, delay: int) -> Any:
    """Return (time, 1) outputs by matrices."""
    steps = range(len(x)) if delay > 0 else range(len(x) - 1, -1, -1)
    states: dict[int, Any] = {}
    for t in steps:
        before = states.get(t - delay, w["h0"])
        states[t] = np.tanh(x[t] @ w["U"] + before @ w["W"] + w["b"])
    return np.array([states[t] @ w["V"] for t in range(len(x))])


@pytest.mark.parametrize("delay", [1, -1, 2, -3])
def test_recurrent_network_through_time(delay):
    net, w = elman(delay)
    rng = np.random.default_rng(6)
    x, target = rng.normal(size=(6, 2)), rng.normal(size=(6, 1))
    outputs = net.predict(x, explicit=True)
    np.testing.assert_allclose(outputs, elman_outputs(w, x, delay), rtol=1e-13)
    net.calc_delta(target)
    net.calc_gradient()
    for name in ("U", "W", "V", "b"):
        for place in np.ndindex(w[name].shape):
            moved = {key: value.astype(complex) for key, value in w.items()}
            moved[name][place] += 1e-30j
            error = (elman_outputs(moved, x, delay) - target) ** 2 / 2
            slope = error.sum().imag / 1e-30
            assert net.parameters[name].gradient[place] == pytest.approx(slope, rel=1e-11)


def test_values_stay_readable_by_step():
    net, w = elman(1)
    x = np.random.default_rng(6).normal(size=(2, 6, 2))
    net.predict(x, explicit=True)
    node = net.node("h1")
    assert node.output.shape == node.net.shape == (2, 6)
    np.testing.assert_allclose(np.tanh(node.net), node.output, rtol=1e-15)
    sees = x[:, :, :] @ w["U"][:, 1] + w["b"][1]
    before = np.stack([net.node(f"h{k}").output for k in range(3)], axis=-1)[:, :-1] @ w["W"][:, 1]
    np.testing.assert_allclose(node.net[:, 1:], sees[:, 1:] + before, rtol=1e-12)


def test_lstm_cell_made_of_products():
    """One LSTM unit: i, f, o gates, candidate g; c = f c[t-1] + i g; h = o tanh(c)."""
    rng = np.random.default_rng(7)
    weights = {gate: rng.normal(size=3) for gate in "ifog"}  # x, h[t-1], 1
    x, one = ng.InputNode("x"), ng.ConstNode("one")
    gates = {k: ng.Node("tanh" if k == "g" else "sigmoid", name=k) for k in "ifog"}
    kept, fresh = (ng.Node("identity", "product", name=name) for name in ("kept", "fresh"))
    cell = ng.Node("identity", name="cell", initial=0.4)
    shown = ng.Node("tanh", name="shown")
    out = ng.Node("identity", "product", name="out", initial=-0.2)
    for k, gate in gates.items():
        ng.Connection(x, gate, weights[k][0])
        ng.Connection(out, gate, weights[k][1], delay=1)
        ng.Connection(one, gate, weights[k][2])
    for up, down, delay in (
        (gates["f"], kept, 0), (cell, kept, 1), (gates["i"], fresh, 0), (gates["g"], fresh, 0),
        (kept, cell, 0), (fresh, cell, 0), (cell, shown, 0), (shown, out, 0), (gates["o"], out, 0),
    ):  # fmt: skip
        ng.Connection(up, down, 1.0, delay=delay)
    net = ng.Network(inputs=[x], outputs=[out])

    def run(weights: dict[str, Any], xs: Any) -> list[Any]:
        c, h, outputs = 0.4, -0.2, []
        for value in xs:
            z = {k: w[0] * value + w[1] * h + w[2] for k, w in weights.items()}
            i, f, o = (1 / (1 + np.exp(-z[k])) for k in "ifo")
            c = f * c + i * np.tanh(z["g"])
            h = o * np.tanh(c)
            outputs.append(h)
        return outputs

    xs = rng.normal(size=5)
    outputs = net.predict(xs[:, None], explicit=True)
    np.testing.assert_allclose(outputs[:, 0], run(weights, xs), rtol=1e-13)
    net.calc_delta(np.zeros((5, 1)))
    net.calc_gradient()
    for k in "ifog":
        for place, source in enumerate(("x", "out", "one")):
            moved = {each: w.astype(complex) for each, w in weights.items()}
            moved[k][place] += 1e-30j
            slope = sum(np.array(run(moved, xs)) ** 2 / 2).imag / 1e-30
            late = " [delay 1]" if source == "out" else ""
            gradient = net.find(f"{source} -> {k}{late}").gradient
            assert gradient == pytest.approx(slope, rel=1e-11)


def test_a_delay_longer_than_the_sequence_brings_initial_values_only():
    x, y = ng.InputNode("x"), ng.Node("identity", name="y")
    ng.Connection(x, y, 1.0)
    ng.Connection(x, y, 10.0, delay=9)
    ng.Connection(x, y, 100.0, delay=-9)
    x.initial = 3.0
    net = ng.Network(inputs=[x], outputs=[y])
    assert net.predict([[1.0], [2.0]], explicit=True).tolist() == [[331.0], [332.0]]


# aggregations -------------------------------------------------------------------------------------


def fan_in(aggregation: str, weights: list[float]) -> ng.Network:
    inputs = [ng.InputNode(f"x{k}") for k in range(len(weights))]
    y = ng.Node("identity", aggregation, name="y")
    for node, weight in zip(inputs, weights, strict=True):
        ng.Connection(node, y, weight)
    return ng.Network(inputs=inputs, outputs=[y])


@pytest.mark.parametrize(
    ("aggregation", "x", "output", "gradients"),
    [
        ("sum", [2.0, 3.0, 4.0], 2 - 6 + 2, [2, 3, 4]),
        ("mean", [2.0, 3.0, 4.0], -2 / 3, [2 / 3, 1, 4 / 3]),
        ("max", [2.0, 3.0, 4.0], 2, [2, 0, 0]),  # 2, -6, 2: a tie, and the first wins
        ("max", [-2.0, -3.0, -4.0], 6, [0, -3, 0]),
        ("product", [2.0, 3.0, 4.0], 2 * -6 * 2, [-24, 12, -48]),
        ("product", [0.0, 3.0, 4.0], 0, [0, 0, 0]),
        ("product", [0.0, 0.0, 4.0], 0, [0, 0, 0]),
        ("product", [2.0, 0.0, 4.0], 0, [0, 0, 0]),
    ],
)
@pytest.mark.parametrize("batched", [False, True])
def test_aggregations_by_hand(aggregation, x, output, gradients, batched):
    net = fan_in(aggregation, [1.0, -2.0, 0.5])
    (found,) = forward(net, [x] if batched else x)
    assert np.ravel(found) == pytest.approx([output], abs=1e-15)
    backward(net, [np.ones_like(found)])
    calc_gradients(net)
    assert [each.gradient for each in net.connections] == pytest.approx(gradients, abs=1e-14)


def test_product_sends_back_the_product_of_the_others_even_at_zero():
    net = fan_in("product", [1.0, 1.0, 1.0])
    forward(net, [0.0, 3.0, 4.0])
    backward(net, [[1.0]])
    assert [-net.node(f"x{k}").delta for k in range(3)] == [12.0, 0.0, 0.0]


def test_max_of_a_batch_sends_back_to_each_samples_winner():
    net = fan_in("max", [1.0, 1.0])
    forward(net, [[1.0, 2.0], [3.0, 2.0], [5.0, 5.0]])
    backward(net, [[[1.0], [10.0], [100.0]]])
    assert (-net.node("x0").delta).tolist() == [0.0, 10.0, 100.0]
    assert (-net.node("x1").delta).tolist() == [1.0, 0.0, 0.0]


# sharing, several outputs ------------------------------------------------------------------------


def test_shared_weight_has_the_sum_of_the_shares():
    a, b = ng.InputNode("a"), ng.InputNode("b")
    y, w = ng.Node("identity", name="y"), ng.Parameter(0.5, name="w")
    first, second = ng.Connection(a, y, parameter=w), ng.Connection(b, y, parameter=w)
    net = ng.Network(inputs=[a, b], outputs=[y])
    forward(net, [2.0, 3.0])
    backward(net, [[1.0]])
    calc_gradients(net)
    assert (first.gradient, second.gradient, float(w.gradient)) == (5.0, 5.0, 5.0)
    assert (first.share(), second.share()) == (2.0, 3.0)
    update_weights(net, 0.1)
    assert float(w.value) == 0.0


def test_an_output_that_feeds_another_collects_from_both():
    x, first, second = ng.InputNode("x"), ng.Node("identity"), ng.Node("identity")
    ng.Connection(x, first, 2.0)
    ng.Connection(first, second, 3.0)
    net = ng.Network(inputs=[x], outputs=[second, first])
    assert net.predict([1.0], explicit=True).tolist() == [6.0, 2.0]
    backward(net, [[10.0, 1.0]])
    assert (first.delta, x.delta) == (-31.0, -62.0)


def test_a_node_without_connections_to_aggregate():
    x, y = ng.InputNode("x"), ng.Node("identity", "max", name="y")
    lonely = ng.Node("identity", "max", name="lonely")
    ng.Connection(x, y, 1.0)
    ng.Connection(lonely, y, 1.0)
    net = ng.Network(inputs=[x], outputs=[y])
    with pytest.raises(ng.GraphError, match="lonely: a node that takes the max needs incoming"):
        forward(net, [1.0])


def test_single_samples_are_python_floats():
    net = ng.Network([2, 2, 1])
    net.get_gradient([1.0], [0.5, 0.25])
    node = net.layer("layer_1")[0]
    assert {type(each) for each in (node.net, node.output, node.delta)} == {float}
    assert type(node.upstream[0].gradient) is type(node.upstream[0].weight) is float
    assert math.isfinite(node.delta)


def test_gradient_of_one_weight_by_its_address():
    net, x, y = random_network(3, timed=False)
    options = {"training": False, "noise": None, "initial": None, "mask": None}
    setting = Setting.of(net, x, y, "sse", options)
    setting.explicit_gradients()
    parameter = next(iter(net.parameters.values()))
    found = derivatives(setting, [Weight(parameter, 0)], "central")
    assert parameter.gradient.reshape(-1)[0] == pytest.approx(found[0], rel=1e-8)
