"""The gradient check: it passes what is right, catches what is wrong, and leaves no trace."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_graphs import random_network

import neurograph as ng
from neurograph.check.comparison import Comparison
from neurograph.functions import ACTIVATIONS
from neurograph.graph.bundles import DenseConnections
from neurograph.graph.layer import Layer

SEEDS = st.integers(0, 2**32 - 1)
RNG = np.random.default_rng(2)
X, Y = RNG.normal(size=(4, 2)), RNG.random((4, 2))


def weights_of(net: ng.Network) -> list[bytes]:
    return [parameter.value.tobytes() for parameter in net.parameters.values()]


# what is right passes ----------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, smooth=st.booleans(), compiled=st.booleans())
def test_random_graphs_pass(seed, smooth, compiled):
    net, x, y = random_network(seed, smooth=smooth)
    before = weights_of(net)
    report = ng.gradient_check(
        net, x, y, inputs=True, against="compiled" if compiled else "explicit"
    )
    assert report.ok, str(report)
    assert weights_of(net) == before
    assert len(report.rows) == report.total
    if smooth and compiled:
        assert ng.gradient_check(net, x, y, direction=True).ok


@pytest.mark.parametrize("against", ["compiled", "explicit"])
def test_rows_hold_both_derivatives(against):
    net = ng.Network([2, 3, 2], seed=0)
    report = ng.gradient_check(net, X, Y, against=against)
    assert report.ok
    assert bool(report)
    assert report.worst is report.rows[0]
    assert report.worst.relative < 1e-11
    assert {row.name for row in report.rows} == {each.label for each in net.connections}
    for row in report.rows:
        assert row.connection is net.find(row.name)
        assert row.analytic == pytest.approx(row.connection.gradient, rel=1e-12)
        assert row.numeric == pytest.approx(row.analytic, rel=1e-9)
        assert row.absolute == pytest.approx(abs(row.analytic - row.numeric), abs=1e-20)
        assert row.verdict == "ok"
    relative = [row.relative for row in report.rows]
    assert relative == sorted(relative, reverse=True)


def test_central_differences_agree_with_complex_steps():
    net = ng.Network([2, 3, 2], seed=0)
    central = ng.gradient_check(net, X, Y, method="central", inputs=True)
    exact = ng.gradient_check(net, X, Y, method="complex", inputs=True)
    assert central.ok
    assert exact.ok
    slopes = {row.name: row.numeric for row in exact.rows}
    assert len(slopes) == 17 + 8
    for row in central.rows:
        assert row.numeric == pytest.approx(slopes[row.name], rel=1e-6, abs=1e-12)


@pytest.mark.parametrize(
    ("loss", "activation"),
    [("mse", "tanh"), ("mae", "tanh"), ("huber", "softplus"), ("binary_crossentropy", "sigmoid"),
     ("categorical_crossentropy", "softmax")],
)  # fmt: skip
@pytest.mark.parametrize("against", ["compiled", "explicit"])
def test_other_losses(loss, activation, against):
    net = ng.Network([ng.Input(2), ng.Dense(3, activation=activation)], seed=1)
    y = np.eye(3)[[0, 2, 1, 1]] if loss.endswith("crossentropy") else RNG.normal(size=(4, 3))
    report = ng.gradient_check(net, X, y, loss, against=against)
    assert report.ok, str(report)
    assert len(report.rows) == 9


def test_own_loss_regularizer_and_single_sample():
    def cubic(target: Any, output: Any) -> tuple[float, Any]:
        error = output - target
        return float((np.abs(error) ** 3).mean()), 3 * error * np.abs(error) / error.size

    net = ng.Network(
        [ng.Input(2), ng.Dense(2, activation="tanh", kernel_regularizer="l2(0.1)")], seed=1
    )
    for against in ("compiled", "explicit"):
        assert ng.gradient_check(net, X[0], Y[0], cubic, against=against, inputs=True).ok
        assert ng.gradient_check(net, X, Y, cubic, against=against, direction=True).ok
    explicit = ng.gradient_check(net, X, Y, cubic, against="explicit")
    compiled = ng.gradient_check(net, X, Y, cubic)
    slopes = {row.name: row.analytic for row in explicit.rows}
    for row in compiled.rows:
        assert row.analytic == pytest.approx(slopes[row.name], rel=1e-10)


def test_several_outputs_and_what_is_not_trained():
    a = ng.Input(2)
    h = ng.Dense(2, activation="tanh", name="h")(a)
    net = ng.Network(inputs=a, outputs=[ng.Dense(1, name="y")(h), ng.Dense(2, name="z")(h)], seed=0)
    net.find("h[0]->y[0]").trainable = False
    net.parameters["z/bias"].trainable = False
    report = ng.gradient_check(net, X, [Y[:, :1], Y], ["sse", "mse"])
    assert report.ok
    names = {row.name for row in report.rows}
    assert len(names) == 4 + 2 + 1 + 1 + 4
    assert "h[0] -> y[0]" not in names
    assert "h[1] -> y[0]" in names


def test_without_weights_the_inputs_are_checked():
    net = ng.Network([ng.Input((4, 4, 1)), ng.AveragePooling2D(2)])
    report = ng.gradient_check(net, RNG.normal(size=(4, 4, 1)), np.zeros((2, 2, 1)))
    assert report.ok
    assert len(report.rows) == 16
    assert report.worst.name.startswith("input input at [")


def test_gradients_of_ones_own():
    def half(net: ng.Network, x: Any, y: Any) -> None:
        output = net.predict(x, explicit=True)
        net.calc_delta(y)
        net.calc_gradient()
        assert output.shape == y.shape
        net.parameters["layer_1/bias"].gradient *= 0.5

    net = ng.Network([2, 2], seed=0)
    report = ng.gradient_check(net, X, Y, against=half)
    wrong = {row.name for row in report.rows if row.verdict == "wrong"}
    assert wrong == {"(0-2) -> (1-0)", "(0-2) -> (1-1)"}
    assert report.worst.relative == pytest.approx(0.5)
    assert "all deltas are right" in report.first_wrong


# what is wrong is caught ------------------------------------------------------------------------


def almost(name: str) -> Any:
    """Return an activation whose derivative is wrong by 0.05 %."""
    right = ACTIVATIONS[name]
    return replace(
        right,
        name=f"almost_{name}",
        derivative=lambda net, output: 1.0005 * right.derivative(net, output),
        lines=None,
        gradient_lines=None,
    )


@pytest.mark.parametrize("against", ["compiled", "explicit"])
@pytest.mark.parametrize("name", ["tanh", "relu"])
def test_planted_derivative_is_caught_and_its_node_named(name, against):
    x, h, g = ng.InputNode("x"), ng.Node(almost(name), name="h"), ng.Node("sigmoid", name="g")
    y = ng.Node("tanh", name="y")
    for up, down, weight in ((x, h, 0.4), (h, g, 0.3), (g, y, 0.9), (x, y, 0.1)):
        ng.Connection(up, down, weight)
    net = ng.Network(inputs=[x], outputs=[y])
    report = ng.gradient_check(net, [[0.7], [1.3]], [[0.0], [1.0]], against=against)
    assert not report.ok
    assert report.worst.name == "x -> h"
    assert report.worst.relative == pytest.approx(0.0005, rel=1e-2)
    assert [row.verdict for row in report.rows] == ["wrong", "ok", "ok", "ok"]
    assert "the first wrong node, coming from the outputs, is h (almost_" in report.first_wrong
    assert "1 is wrong" in str(report)
    assert not ng.gradient_check(
        net, [[0.7], [1.3]], [[0.0], [1.0]], against=against, direction=True, tolerance=1e-6
    ).ok


@pytest.mark.parametrize("against", ["compiled", "explicit"])
def test_planted_derivative_in_a_recurrent_network_is_placed_in_time(against):
    x, h, y = ng.InputNode("x"), ng.Node(almost("tanh"), name="h"), ng.Node("tanh", name="y")
    for up, down, weight, delay in ((x, h, 0.4, 0), (h, h, 0.2, 1), (h, y, 0.9, 0)):
        ng.Connection(up, down, weight, delay=delay)
    net = ng.Network(inputs=[x], outputs=[y])
    inputs, targets = np.zeros((1, 5, 1)), np.zeros((1, 5, 1))
    inputs[0, 1], targets[0, 3] = 2.0, 50.0  # what is wrong is felt through step 3
    report = ng.gradient_check(net, inputs, targets, against=against)
    steps = {row.name: row.step for row in report.rows if row.verdict == "wrong"}
    assert steps["x -> h"] == 1
    assert steps["h -> h [delay 1]"] in (2, 3)
    assert "h (almost_tanh of sum) at step 4" in report.first_wrong
    assert "at step 1" in str(report)


class ForgetfulConnections(DenseConnections):
    """Backward it forgets the last of its targets."""

    def out_of(self, up: int) -> Any:
        """Return all connections but one."""
        downs, addresses = super().out_of(up)
        return downs[:-1], addresses[:-1]


def test_planted_bundle_is_caught():
    x, h, y = Layer((2,), role="input", name="x"), Layer((3,), name="h"), Layer((2,), name="y")
    h.parameters = {"kernel": ng.Parameter(RNG.normal(size=(2, 3)))}
    y.parameters = {"kernel": ng.Parameter(RNG.normal(size=(3, 2)))}
    DenseConnections(x, h, h.parameters["kernel"])
    ForgetfulConnections(h, y, y.parameters["kernel"])
    net = ng.Network(inputs=x, outputs=y)
    report = ng.gradient_check(net, X, Y, against="explicit")
    assert not report.ok
    wrong = {row.name.split(" ->")[0][0] for row in report.rows if row.verdict == "wrong"}
    assert wrong == {"x"}  # the gradients of x -> h, whose deltas pass through the bundle
    assert "is h[0] (identity of sum)" in report.first_wrong


def test_planted_loss_is_caught():
    def wrong_loss(target: Any, output: Any) -> tuple[float, Any]:
        error = output - target
        return float((error**2).sum() / 2 / len(error)), 1.0005 * error / len(error)

    net = ng.Network([2, 2], seed=0)
    for against in ("compiled", "explicit"):
        report = ng.gradient_check(net, X, Y, wrong_loss, against=against)
        assert not report.ok
        assert report.worst.name.startswith("loss, output layer_1 at [")


# kinks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("against", ["compiled", "explicit"])
def test_kinks_are_no_failures(against):
    a, b = ng.InputNode("a"), ng.InputNode("b")
    h, m = ng.Node("relu", name="h"), ng.Node("identity", "max", name="m")
    y = ng.Node("tanh", name="y")
    for up, down, weight in ((a, h, 1), (b, h, -1), (a, m, 1), (b, m, 1), (h, y, 0.9), (m, y, 0.5)):
        ng.Connection(up, down, float(weight))
    net = ng.Network(inputs=[a, b], outputs=[y])
    report = ng.gradient_check(net, [0.5, 0.5], [0.2], inputs=True, against=against)
    assert report.ok
    notes = {row.name: row.note for row in report.rows if row.verdict == "kink"}
    assert notes["a -> h"] == notes["b -> h"] == "h: relu at 0"
    assert notes["a -> m"] == notes["b -> m"] == "m: a tie of the maximum"
    assert {"h -> y", "m -> y"}.isdisjoint(notes)
    assert "6 at kinks" in str(report)
    assert (
        ng.gradient_check(net, [0.5, 0.4], [0.2], inputs=True, against=against).worst.verdict
        == "ok"
    )


def test_kink_of_the_loss():
    def profit(target: Any, output: Any) -> tuple[float, Any]:
        error = output - target  # too much costs 1, too little 9
        return float(np.where(error > 0, error, -9 * error).mean()), np.where(error > 0, 1.0, -9.0)

    net = ng.Network([ng.Input(1), ng.Dense(1, use_bias=False)], seed=0)
    net.parameters["dense/kernel"].value = [[2.0]]
    for against in ("compiled", "explicit"):
        report = ng.gradient_check(net, [[1.0]], [[2.0]], profit, against=against)
        assert report.ok
        assert report.rows[0].name == "loss, output dense at [0, 0]"
        assert report.rows[0].verdict == "kink"


def test_direction_between_and_at_kinks():
    net = ng.Network([ng.Input(2), ng.Dense(6, activation="relu"), ng.Dense(2)], seed=0)
    for against in ("compiled", "explicit"):
        report = ng.gradient_check(net, X, Y, direction=True, against=against)
        assert report.ok
        assert report.worst.verdict == "ok"
        assert report.worst.name == "all 32 weights, along a random direction"
        report = ng.gradient_check(net, np.zeros((1, 2)), Y[:1], direction=True, against=against)
        assert report.ok
        assert report.worst.verdict in ("ok", "kink")
    net.parameters["dense_1/kernel"].value = np.ones((6, 2))
    report = ng.gradient_check(net, np.zeros((1, 2)), Y[:1], direction=True)
    assert report.worst.verdict == "kink"
    assert report.worst.note.endswith(": relu at 0")


# sampling, large networks ------------------------------------------------------------------------


def test_samples_of_a_larger_network():
    net = ng.Network([30, 20, 10], seed=0)
    x, y = RNG.normal(size=(2, 30)), RNG.random((2, 10))
    report = ng.gradient_check(net, x, y, samples=15)
    assert report.ok
    assert (len(report.rows), report.total) == (15, 830)
    assert "15 of 830 derivatives" in str(report)
    assert {row.connection.parameter.name for row in report.rows} == set(net.parameters)
    again = ng.gradient_check(net, x, y, samples=15)
    other = ng.gradient_check(net, x, y, samples=15, seed=1)
    assert {row.name for row in again.rows} == {row.name for row in report.rows}
    assert {row.name for row in other.rows} != {row.name for row in report.rows}
    assert len(ng.gradient_check(net, x, y, samples="all").rows) == 830


def test_more_connections_than_are_walked():
    net = ng.Network([784, 300, 10], seed=0)
    x, y = RNG.random((2, 784)), RNG.random((2, 10))
    report = ng.gradient_check(net, x, y, samples=6)
    assert report.ok, str(report)
    assert "central differences of the compiled loss" in str(report)
    assert "layer_1/kernel[" in str(report)
    assert not net.layer("layer_1").own_node(0)._wiring  # nothing was walked
    assert ng.gradient_check(net, x, y, direction=True).ok


def test_what_the_rounding_of_a_loss_hides_is_not_wrong(monkeypatch):
    """Only differences of the loss itself are rounded so: those of networks not walked."""
    monkeypatch.setattr("neurograph.check.comparison.MOST_CONNECTIONS", 0)

    def far_from_zero(target: Any, output: Any) -> tuple[float, Any]:
        error = output - target
        return 1e4 + float((error**2).sum() / 2 / len(error)), error / len(error)

    net = ng.Network([ng.Input(2), ng.Dense(5, activation="relu"), ng.Dense(2)], seed=0)
    net.parameters["dense_1/kernel"].value *= 1e-6
    report = ng.gradient_check(net, X, Y, far_from_zero)
    assert report.ok
    hidden = [row for row in report.rows if row.note == "within the rounding of the loss"]
    assert hidden
    assert all(row.connection is None and row.name.startswith("dense/") for row in hidden)
    assert all(row.absolute < 1e-5 for row in hidden)

    def a_little_off(net: ng.Network, x: Any, y: Any) -> None:
        net.compile(loss=far_from_zero, dtype="float64").gradients(x, y)
        net.parameters["dense_1/bias"].gradient *= 1.0005

    report = ng.gradient_check(net, X, Y, far_from_zero, against=a_little_off)
    wrong = {row.name for row in report.rows if row.verdict == "wrong"}
    assert wrong == {"dense_1/bias[0]", "dense_1/bias[1]"}


def test_table_is_cut_short():
    net = ng.Network([5, 5, 5], seed=0)
    lines = str(ng.gradient_check(net, RNG.normal(size=5), RNG.random(5))).splitlines()
    assert len(lines) == 15
    assert lines[1].split() == [
        "connection",
        "analytic",
        "numeric",
        "relative",
        "absolute",
        "verdict",
    ]
    assert lines[-1].startswith("… 48 more, relative errors of ")


# nothing is left behind --------------------------------------------------------------------------


def test_weights_are_the_same_bits_after_an_exception(monkeypatch):
    def broken(target: Any, output: Any) -> tuple[float, Any]:
        calls.append(1)
        if len(calls) > 5:
            raise RuntimeError("enough")
        return float((output - target).sum()), np.ones_like(output)

    calls: list[int] = []
    net = ng.Network([2, 3, 2], seed=0)
    before, homes = weights_of(net), [parameter.value for parameter in net.parameters.values()]
    for method in ("central", "complex"):
        calls.clear()
        with pytest.raises(RuntimeError, match="enough"):
            ng.gradient_check(net, X, Y, broken, against="explicit", method=method)
        assert weights_of(net) == before
    monkeypatch.setattr(Comparison, "_numeric", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        ng.gradient_check(net, X, Y)
    assert weights_of(net) == before
    for parameter, home in zip(net.parameters.values(), homes, strict=True):
        assert parameter.value is home


def test_a_float32_model_goes_on_as_if_nothing_had_been():
    checked, other = (ng.Network([2, 3, 2], seed=0) for _ in range(2))
    models = [net.compile(loss="mse", optimizer="sgd", seed=0) for net in (checked, other)]
    for number in range(4):
        if number == 2:
            before = weights_of(checked)
            assert ng.gradient_check(checked, X, Y, "mse").ok
            assert weights_of(checked) == before
        for model in models:
            model.train_on_batch(X, Y)
    assert weights_of(checked) == weights_of(other)
    assert checked.parameters["layer_1/kernel"].value.dtype == np.float32


def test_nodes_keep_the_values_and_gradients_of_the_checked_run():
    net = ng.Network([2, 3, 2], seed=0)
    ng.gradient_check(net, X, Y, against="explicit")
    outputs = net.layer("layer_2").output
    gradients = [parameter.gradient.copy() for parameter in net.parameters.values()]
    assert outputs.tolist() == net.predict(X, explicit=True).tolist()
    net.calc_delta(Y)
    net.calc_gradient()
    for gradient, parameter in zip(gradients, net.parameters.values(), strict=True):
        np.testing.assert_allclose(gradient, parameter.gradient, rtol=1e-14)


# what is refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "message", "options"),
    [
        (ng.OptionError, "against is 'nodes'", {"against": "nodes"}),
        (ng.OptionError, "samples is 0", {"samples": 0}),
        (ng.OptionError, "use against='explicit'", {"against": "compiled", "mask": [1, 1]}),
        (ng.UnknownNameError, "did you mean 'mse'", {"loss": "msee"}),
        (ng.DataError, "the targets are not finite", {"y": [[np.nan, 1.0]] * 4}),
        (ng.ShapeError, "sse", {"y": [[1.0, 2.0, 3.0]] * 4}),
        (ng.OptionError, "2 losses for 1 outputs", {"loss": ["sse", "sse"]}),
        (ng.ShapeError, r"'layer_0' got values of shape \(4, 3\)", {"x": np.ones((4, 3))}),
    ],
)
def test_options_and_data_that_cannot_be(error, message, options):
    given = {"x": X, "y": Y, **options}
    with pytest.raises(error, match=message):
        ng.gradient_check(ng.Network([2, 2]), **given)


def test_targets_and_losses_of_several_outputs_go_by_name():
    x = ng.Input((2,), name="x")
    net = ng.Network(inputs=x, outputs=[ng.Dense(2, name="p")(x), ng.Dense(1, name="q")(x)])
    p, q = np.ones((4, 2)), np.zeros((4, 1))
    named = {"y": {"q": q, "p": p}, "loss": {"q": "sse", "p": "mse"}}
    in_order = {"y": [p, q], "loss": ["mse", "sse"]}
    for check in (ng.gradient_check, ng.parity_check):
        by_name, by_place = (check(net, {"x": X}, **each) for each in (named, in_order))
        assert by_name.ok
        assert str(by_name) == str(by_place)
    with pytest.raises(ng.ShapeError, match="nothing is given for 'q'"):
        ng.gradient_check(net, X, {"p": p})


def test_complex_steps_where_they_are_not_right():
    net = ng.Network([ng.Input(2), ng.Dense(2, activation="relu")])
    with pytest.raises(ng.OptionError, match="leave method out"):
        ng.gradient_check(net, X, Y, method="complex")
