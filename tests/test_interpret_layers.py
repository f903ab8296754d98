"""The node-by-node run of library layers: time, masks, initial states, noise, statistics."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import neurograph as ng
from neurograph.graph.bundles import BiasConnections, DenseConnections
from neurograph.graph.layer import Layer
from neurograph.graph.temporal import FoldConnections, StepConnections, UnfoldConnections
from neurograph.interpret import backward, calc_gradients, forward

RNG = np.random.default_rng(11)
W = {"U": RNG.normal(size=(2, 3)), "W": RNG.normal(size=(3, 3)), "b": RNG.normal(size=3)}


def sequence(width: int, name: str, **options: Any) -> Layer:
    return Layer((width,), name=name, sequence=True, **options)


def recurrent(source: Layer, name: str = "state", delay: int = 1) -> Layer:
    """Return a layer of three tanh units over a sequence of two, which feed themselves."""
    state, const = sequence(3, name, activation="tanh"), Layer((1,), role="const", name=f"{name}/1")
    state.parameters = {k: ng.Parameter(value) for k, value in W.items()}
    DenseConnections(source, state, state.parameters["U"])
    DenseConnections(state, state, state.parameters["W"], delay=delay)
    BiasConnections(const, state, state.parameters["b"])
    return state


def last_of(source: Layer, step: int = -1) -> Layer:
    picked = Layer(source.shape, name="picked")
    StepConnections(source, picked, step)
    return picked


def states(x: Any, start: Any = 0.0, weights: Any = W) -> list[Any]:
    """Return the states of one sample by matrices, first to last."""
    found, state = [], np.zeros(3) + start
    for value in x:
        state = np.tanh(value @ weights["U"] + state @ weights["W"] + weights["b"])
        found.append(state)
    return found


def gradients(net: ng.Network, outputs: Any) -> dict[str, Any]:
    """Run backward for E = sum(output^2) / 2."""
    backward(net, outputs)
    calc_gradients(net)
    return {name: parameter.gradient.copy() for name, parameter in net.parameters.items()}


def slope(function: Any, place: tuple[str, tuple[int, ...]]) -> float:
    """Return d sum(function(weights)^2) / 2 along one weight, by a complex step."""
    moved = {name: value.astype(complex) for name, value in W.items()}
    moved[place[0]][place[1]] += 1e-30j
    return float((np.sum(np.asarray(function(moved)) ** 2) / 2).imag / 1e-30)


PLACES = [(name, place) for name in W for place in np.ndindex(W[name].shape)]


@pytest.mark.parametrize("step", [-1, 0, 2])
def test_one_step_of_a_recurrent_layer(step):
    x = sequence(2, "x", role="input")
    net = ng.Network(inputs=x, outputs=last_of(recurrent(x), step))
    batch = RNG.normal(size=(3, 5, 2))
    outputs = forward(net, batch)
    expected = [states(sample)[step] for sample in batch]
    np.testing.assert_allclose(outputs[0], expected, rtol=1e-13)
    found = gradients(net, outputs)

    def run(w: Any) -> Any:
        return [states(sample, weights=w)[step] for sample in batch]

    for name, place in PLACES:
        assert found[f"state/{name}"][place] == pytest.approx(slope(run, (name, place)), abs=1e-12)


def test_from_an_image_to_a_sequence_and_back():
    """Rows of an image are steps; the states become an image again, and one dense layer sees it."""
    image, rows = Layer((5, 2), role="input", name="image"), sequence(2, "rows", steps=5)
    FoldConnections(image, rows)
    all_states = Layer((5, 3), name="all")
    UnfoldConnections(recurrent(rows), all_states)
    top, kernel = Layer((1,), name="top"), ng.Parameter(RNG.normal(size=(15, 1)))
    top.parameters = {"kernel": kernel}
    DenseConnections(all_states, top, kernel)
    net = ng.Network(inputs=image, outputs=top)
    batch = RNG.normal(size=(2, 5, 2))

    def run(w: Any) -> Any:
        return [np.ravel(states(sample, weights=w)) @ kernel.value for sample in batch]

    outputs = forward(net, batch)
    np.testing.assert_allclose(outputs[0], run(W), rtol=1e-12)
    assert forward(net, batch[0])[0].tolist() == pytest.approx(outputs[0][0].tolist(), rel=1e-13)
    outputs = forward(net, batch)
    found = gradients(net, outputs)
    for name, place in PLACES:
        assert found[f"state/{name}"][place] == pytest.approx(slope(run, (name, place)), abs=1e-11)
    np.testing.assert_allclose(
        found["top/kernel"][:, 0],
        sum(np.ravel(states(s)) * o for s, o in zip(batch, outputs[0][:, 0], strict=True)),
        rtol=1e-12,
    )
    assert net.layer("image").delta.shape == (2, 5, 2)


def test_a_value_outside_of_time_is_there_at_every_step():
    x, context = sequence(1, "x", role="input"), Layer((1,), role="input", name="context")
    y = sequence(1, "y", activation="tanh")
    kernels = [ng.Parameter([[w]]) for w in (0.5, -0.7)]
    y.parameters = {"kernel": kernels[0], "context_kernel": kernels[1]}
    DenseConnections(x, y, kernels[0])
    DenseConnections(context, y, kernels[1])
    net = ng.Network(inputs=[x, context], outputs=y)
    values, told = RNG.normal(size=(2, 4, 1)), RNG.normal(size=(2, 1))
    (outputs,) = forward(net, [values, told])
    expected = np.tanh(0.5 * values - 0.7 * told[:, None])
    np.testing.assert_allclose(outputs, expected, rtol=1e-14)
    by_name = forward(net, {"context": told, "x": values})
    assert by_name[0].tolist() == outputs.tolist()
    found = gradients(net, [outputs])
    back = outputs * (1 - outputs**2)
    assert found["y/context_kernel"][0, 0] == pytest.approx((back * told[:, None]).sum())
    np.testing.assert_allclose(context.delta, 0.7 * back.sum(axis=1), rtol=1e-12)


# initial states ----------------------------------------------------------------------------------


@pytest.mark.parametrize("delay", [1, -1])
def test_initial_state_given_as_array_or_for_one_run(delay):
    x = sequence(2, "x", role="input")
    state = recurrent(x, delay=delay)
    state.initial = np.array([0.3, -0.2, 0.9])
    net = ng.Network(inputs=x, outputs=state)
    batch = RNG.normal(size=(2, 4, 2))[:, ::delay]

    def run(start: Any) -> Any:
        return np.array([states(s[::delay], start[k]) for k, s in enumerate(batch)])[:, ::delay]

    np.testing.assert_allclose(forward(net, batch)[0], run([state.initial] * 2), rtol=1e-13)
    other = RNG.normal(size=(2, 3))
    for key in (state, "state"):
        given = forward(net, batch, initial={key: other})[0]
        np.testing.assert_allclose(given, run(other), rtol=1e-13)
    np.testing.assert_allclose(forward(net, batch)[0], run([state.initial] * 2), rtol=1e-13)
    with pytest.raises(ng.ShapeError, match=r"'state': its initial state has shape \(2,\)"):
        forward(net, batch, initial={"state": [1.0, 2.0]})
    with pytest.raises(ng.UnknownNameError, match="did you mean 'state'"):
        forward(net, batch, initial={"stat": other})


def test_initial_state_from_another_layer_learns():
    x, start = sequence(2, "x", role="input"), Layer((3,), role="input", name="start")
    state = recurrent(x)
    state.initial = start
    net = ng.Network(inputs=[x, start], outputs=state)
    batch, begun = RNG.normal(size=(2, 4, 2)), RNG.normal(size=(2, 3))
    outputs = forward(net, [batch, begun])
    expected = [states(s, b) for s, b in zip(batch, begun, strict=True)]
    np.testing.assert_allclose(outputs[0], expected, rtol=1e-13)
    backward(net, outputs)
    for sample, place in np.ndindex(2, 3):
        moved = begun[sample].astype(complex)
        moved[place] += 1e-30j
        error = np.sum(np.array(states(batch[sample], moved)) ** 2) / 2
        assert -start.delta[sample, place] == pytest.approx(error.imag / 1e-30, rel=1e-11)


# masks -------------------------------------------------------------------------------------------


def masked(with_layer: bool) -> ng.Network:
    x = sequence(2, "x", role="input")
    state = recurrent(x)
    inputs = [x]
    if with_layer:
        state.mask = sequence(1, "mask", role="input")
        inputs.append(state.mask)
    return ng.Network(inputs=inputs, outputs=last_of(state))


@pytest.mark.parametrize("with_layer", [False, True])
def test_masked_steps_are_as_if_they_were_not(with_layer):
    net, short = masked(with_layer), masked(False)
    batch = RNG.normal(size=(3, 6, 2))
    mask = np.array([[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0], [0, 1, 0, 1, 1, 0]], dtype=float)
    if with_layer:
        outputs = forward(net, [batch, mask[..., None]])
    else:
        outputs = forward(net, batch, mask=mask)
    found = gradients(net, outputs)
    d_inputs = -net.layer("x").delta
    total = {name: np.zeros_like(gradient) for name, gradient in found.items()}
    for number, valid in enumerate(mask.astype(bool)):
        (alone,) = forward(short, batch[number][valid])
        np.testing.assert_allclose(outputs[0][number], alone, rtol=1e-13)
        for name, gradient in gradients(short, [alone]).items():
            total[name] += gradient
        np.testing.assert_allclose(d_inputs[number][valid], -short.layer("x").delta, rtol=1e-11)
        assert not d_inputs[number][~valid].any()
    for name, gradient in found.items():
        np.testing.assert_allclose(gradient, total[name], rtol=1e-12)


def test_mask_that_is_all_zero_returns_to_the_initial_state():
    x, start = sequence(2, "x", role="input"), Layer((3,), role="input", name="start")
    state = recurrent(x)
    state.initial = start
    net = ng.Network(inputs=[x, start], outputs=last_of(state))
    begun = RNG.normal(size=3)
    outputs = forward(net, [RNG.normal(size=(4, 2)), begun], mask=np.zeros(4))
    assert outputs[0].tolist() == begun.tolist()
    backward(net, [[1.0, 2.0, 3.0]])
    assert start.delta.tolist() == [-1.0, -2.0, -3.0]


def test_mask_of_a_wrong_shape():
    with pytest.raises(ng.ShapeError, match=r"mask has shape \(2, 5\), expected \(3, 6\)"):
        forward(masked(False), np.zeros((3, 6, 2)), mask=np.ones((2, 5)))


# functions of whole layers -----------------------------------------------------------------------


def test_softmax_of_one_sample_and_of_a_batch():
    net = ng.Network([ng.Input(2), ng.Dense(3, activation="softmax")], seed=0)
    kernel = net.parameters["dense/kernel"].value
    x, label = np.array([[0.3, -1.0], [2.0, 0.5]]), np.eye(3)[[0, 2]]
    powers = np.exp(x @ kernel)
    expected = powers / powers.sum(axis=1, keepdims=True)
    outputs = forward(net, x)
    np.testing.assert_allclose(outputs[0], expected, rtol=1e-14)
    backward(net, [-label / expected])  # E = -sum(label log y), so that delta = label - y
    np.testing.assert_allclose(net.layer("dense").delta, label - expected, atol=1e-15)
    forward(net, x[0])
    backward(net, [-label[0] / expected[0]])
    np.testing.assert_allclose(net.layer("dense").delta, label[0] - expected[0], atol=1e-15)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("timed", [True, False])
def test_batch_normalization_node_by_node(training, timed):
    shape = (None, 3) if timed else (3,)
    net = ng.Network(
        [ng.Input(shape), ng.Dense(4), ng.BatchNormalization(), ng.Activation("tanh")], seed=3
    )
    for name, parameter in net.parameters.items():
        parameter.value = 0.5 + RNG.random(parameter.shape)
        assert parameter.trainable == ("moving" not in name)
    x = RNG.normal(size=(4, 3, 3) if timed else (4, 3))
    report = ng.gradient_check(
        net, x, np.zeros((*x.shape[:-1], 4)), against="explicit", training=training
    )
    assert report.ok
    assert report.worst.relative < 1e-9
    assert len(report.rows) == 3 * 4 + 4 + 4 + 4


def test_noise_is_given_or_1():
    net = ng.Network([ng.Input(2), ng.Dropout(0.5)])
    name = next(layer.name for layer in net.all_layers if layer.role == "noise")
    assert forward(net, [3.0, 4.0])[0].tolist() == [3.0, 4.0]
    noise = np.array([[2.0, 0.0], [0.0, 2.0]])
    x = [[3.0, 4.0], [5.0, 6.0]]
    outputs = forward(net, x, training=True, noise={name: noise})
    assert outputs[0].tolist() == [[6.0, 0.0], [0.0, 12.0]]
    backward(net, [np.ones((2, 2))])
    assert net.layers[0].delta.tolist() == (-noise).tolist()
    with pytest.raises(ng.DataError, match=rf"takes the noise of '{name}' as given"):
        forward(net, x, training=True)
    with pytest.raises(ng.ShapeError, match=r"its noise has shape \(3,\), expected \(2, 2\)"):
        forward(net, x, training=True, noise={name: np.ones(3)})


# what is refused ---------------------------------------------------------------------------------


def two_inputs() -> ng.Network:
    x, c = sequence(2, "x", role="input"), Layer((1,), role="input", name="c")
    state, kernel = recurrent(x), ng.Parameter(np.ones((1, 3)))
    state.parameters["c"] = kernel
    DenseConnections(c, state, kernel)
    return ng.Network(inputs=[x, c], outputs=state, name="net")


@pytest.mark.parametrize(
    ("error", "message", "inputs"),
    [
        (ng.ShapeError, "give a list of 2 arrays, for 'x', 'c'; got 1", [np.ones(2)]),
        (ng.ShapeError, "got one array", np.ones((4, 2))),
        (ng.UnknownNameError, "did you mean 'x'", {"xx": 1, "c": 2}),
        (ng.ShapeError, "nothing is given for 'c'", {"x": np.ones((4, 2))}),
        (ng.ShapeError, r"'x' has the batch axes \(3,\), input 'c' has \(2,\)",
         [np.ones((3, 4, 2)), np.ones((2, 1))]),
        (ng.ShapeError, r"'x' got values of shape \(2,\), expected \(time, 2\) or \(batch, time, 2",
         [np.ones(2), np.ones(1)]),
        (ng.ShapeError, r"'c' got values of shape \(2,\), expected \(1,\) for one sample",
         [np.ones((4, 2)), np.ones(2)]),
        (ng.DataError, r"input 'x' holds nan at \(1, 0\), exp", [[[1, 1], [np.nan, 1]], [1.0]]),
        (ng.DataError, r"sample 1 of input 'c' holds nan at \(1, 0\)",
         [np.ones((2, 4, 2)), [[1.0], [np.nan]]]),
        (ng.ShapeError, r"'x': row 1 has shape \(1,\), row 0 has \(2,\)", [[[1, 1], [1]], [1.0]]),
        (ng.ShapeError, r"'x': sample 1 has shape \(1, 2\), sample 0 has \(2, 2\)",
         [[[[1, 1], [1, 1]], [[1, 1]]], [[1.0], [1.0]]]),
        (ng.DataError, "not all numbers", [[["a", "b"]], [1.0]]),
    ],
)  # fmt: skip
def test_inputs_that_do_not_fit(error, message, inputs):
    with pytest.raises(error, match=message):
        forward(two_inputs(), inputs)


def test_backward_that_does_not_fit():
    net = two_inputs()
    forward(net, [np.ones((4, 2)), np.ones(1)])
    with pytest.raises(ng.ShapeError, match="gradients for 2 outputs, it has 1"):
        backward(net, [0.0, 0.0])
    with pytest.raises(ng.ShapeError, match=r"'state' has shape \(3,\), its values have \(4, 3\)"):
        backward(net, [np.ones(3)])


def test_sequences_of_different_length_that_meet():
    x, z = sequence(2, "x", role="input"), sequence(2, "z", role="input")
    state = recurrent(x)
    state.parameters["z"] = ng.Parameter(np.ones((2, 3)))
    DenseConnections(z, state, state.parameters["z"])
    net = ng.Network(inputs=[x, z], outputs=state)
    with pytest.raises(ng.ShapeError, match="'x' has 4 steps of time and 'z' has 5"):
        forward(net, [np.ones((4, 2)), np.ones((5, 2))])


def test_a_sequence_that_nothing_gives_a_length():
    context, state = Layer((2,), role="input", name="context"), sequence(3, "state")
    state.parameters = {"kernel": ng.Parameter(np.ones((2, 3)))}
    DenseConnections(context, state, state.parameters["kernel"])
    net = ng.Network(inputs=context, outputs=state)
    with pytest.raises(ng.GraphError, match="nothing says how many steps 'state' goes through"):
        forward(net, [1.0, 2.0])
    state.steps = 2
    assert forward(net, [1.0, 2.0])[0].tolist() == [[3.0] * 3] * 2


def test_a_layer_outside_of_time_cannot_read_a_whole_sequence():
    x, y = sequence(2, "x", role="input"), Layer((3,), name="y")
    y.parameters = {"kernel": ng.Parameter(np.ones((2, 3)))}
    DenseConnections(x, y, y.parameters["kernel"])
    net = ng.Network(inputs=x, outputs=y)
    with pytest.raises(
        ng.GraphError, match="'y' has no time axis and cannot read the sequence 'x'"
    ):
        forward(net, [[1.0, 2.0]])


def test_an_input_layer_that_is_not_fed():
    x, forgotten = Layer((2,), role="input", name="x"), Layer((2,), role="input", name="forgotten")
    y = Layer((2,), name="y")
    y.parameters = {"a": ng.Parameter(np.ones((2, 2))), "b": ng.Parameter(np.ones((2, 2)))}
    DenseConnections(x, y, y.parameters["a"])
    DenseConnections(forgotten, y, y.parameters["b"])
    net = ng.Network(inputs=x, outputs=y)
    with pytest.raises(ng.GraphError, match=r"'forgotten.* is not among the inputs"):
        forward(net, [1.0, 2.0])
