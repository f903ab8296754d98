"""Traces, saliency and strongest paths: their numbers against those of other ways."""

import itertools

import numpy as np
import pytest
from cases import CASES

import neurograph as ng


def skipping():
    """A network made by hand with a skip, a loop through time and a product."""
    a, b, h = ng.InputNode("a"), ng.InputNode("b"), ng.Node("tanh", name="h_1")
    p, y = ng.Node("relu", aggregation="product", name="p"), ng.Node("sigmoid", name="y")
    ng.Connection(a, h, weight=0.3)
    ng.Connection(ng.ConstNode("one"), h, weight=-0.2)
    ng.Connection(h, h, weight=0.5, delay=1)
    for node, weight in ((h, 1.5), (b, -2.0)):
        ng.Connection(node, p, weight=weight)
    for node, weight in ((p, 0.7), (a, -0.4), (h, 0.6)):
        ng.Connection(node, y, weight=weight)
    return ng.Network(inputs=[a, b], outputs=[y])


def lines_of(text):
    return [line.strip() for line in text.splitlines() if "=" in line]


FUNCTIONS = {
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "sigmoid_slope": lambda z: np.exp(-z) / (1 + np.exp(-z)) ** 2,
    "softplus": lambda z: np.log1p(np.exp(z)),
    "softplus_slope": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
    "tanh_slope": lambda z: 1 - np.tanh(z) ** 2,
    "relu": lambda z: max(z, 0.0),
    "relu_slope": lambda z: float(z > 0.0),
}


def assert_true(lines, atol=1e-6):
    """Calculate all that is said to be equal, line by line, from numbers of six digits."""
    for line in lines:
        values = []
        for each in line.split(" = ")[1:]:
            code = each.partition(", of")[0].replace("'", "_slope").replace("^", "**")
            values.append(eval(code, {"max": max}, FUNCTIONS))
        np.testing.assert_allclose(values, values[-1], rtol=2e-5, atol=atol, err_msg=line)


def test_every_line_of_a_trace_is_true():
    net = ng.Network([2, 3, 1], seed=0)
    text = net.trace([0.5, -1.0], [1.0])
    assert_true(lines_of(text))
    # 2 inputs and 4 nodes, E and 4 deltas, 13 gradients
    assert len(lines_of(text)) == 6 + 5 + 13
    last = net.outputs[0].layer[0].output
    assert lines_of(text)[5].endswith(f"= {last:.6g}")


def test_sums_that_begin_with_a_negative_weight_are_in_brackets():
    """The slope multiplies all of what comes back, though it begins and ends with a bracket."""
    a, h = ng.InputNode("a"), ng.Node("relu", name="h")
    outputs = [ng.Node("sigmoid", name=name) for name in "yz"]
    ng.Connection(a, h, weight=0.5)
    for node, weight in zip(outputs, (-2.0, 1.5), strict=True):
        ng.Connection(h, node, weight=weight)
    lines = lines_of(ng.Network(inputs=[a], outputs=outputs).trace([1.0], [1.0, 0.0]))
    assert any(line.startswith("delta(h) = relu'(0.5) * ((-2) *") for line in lines)
    assert_true(lines)


@pytest.mark.parametrize("aggregation", ["sum", "mean", "max", "product"])
def test_the_part_and_the_whole_of_a_shared_weight_are_told_apart(aggregation):
    w = ng.Parameter(-0.5, name="w")
    a, b = ng.InputNode("a"), ng.InputNode("b")
    y = ng.Node("sigmoid", aggregation=aggregation, name="y")
    for source in (a, b):
        ng.Connection(source, y, parameter=w)
    net = ng.Network(inputs=[a, b], outputs=[y])
    lines = lines_of(net.trace([1.0, -2.0], [1.0]))
    assert_true(lines)
    shared = [line.split(" = ")[-1] for line in lines if line.startswith("dE/d")]
    parts = [float(text.partition(", of ")[0]) for text in shared]
    whole = f", of {net.find('a->y').gradient:.6g} for the shared weight"
    assert all(text.endswith(whole) for text in shared)
    assert sum(parts) == pytest.approx(w.gradient.item(), rel=1e-5)
    assert whole[2:].split()[1] in net.trace([1.0, -2.0], [1.0], format="latex")


@pytest.mark.parametrize(
    "name",
    ["lstm_turned", "lstm_frozen_states", "lstm_states_backwards", "simple_rnn_called_twice"],
)
def test_traces_of_recurrent_layers_are_true(name):
    """Turned sequences, initial states that are learned, and an output that is asked for twice."""
    net, generator = CASES[name].build(), np.random.default_rng(0)
    x = [generator.normal(size=(3,) * p.layer.sequence + tuple(p.shape)) for p in net.inputs]
    outputs = net.predict(x if len(x) > 1 else x[0], explicit=True)
    several = isinstance(outputs, list)
    y = [generator.normal(size=np.shape(each)) for each in (outputs if several else [outputs])]
    text = net.trace(x if len(x) > 1 else x[0], y if several else y[0])
    assert len(lines_of(text)) > 60
    assert_true(lines_of(text), atol=5e-5)


def test_a_trace_through_time_shows_every_step_and_sums_gradients():
    net = skipping()
    x, y = [[1.0, -0.5], [0.5, -1.0]], [[1.0], [0.0]]
    lines = lines_of(net.trace(x, y))
    names = [line.split(" = ")[0] for line in lines]
    assert {"h_1[0]", "h_1[1]", "delta(h_1)[0]", "dE/d(h_1->h_1 [delay 1])"} <= set(names)
    net.get_gradient(y, x)
    for name, connection in (("dE/d(a->y)", "a->y"), ("dE/d(b->p)", "b->p")):
        value = float(lines[names.index(name)].split(" = ")[-1])
        assert value == pytest.approx(net.find(connection).gradient, rel=1e-5)
    delta = float(lines[names.index("delta(h_1)[0]")].split(" = ")[-1])
    assert delta == pytest.approx(net.node("h_1").delta[0], rel=1e-5)


def test_a_trace_in_latex_escapes_names_and_has_two_environments():
    text = skipping().trace([[1.0, 2.0]], [[1.0]], format="latex")
    assert text.count(r"\begin{align*}") == text.count(r"\end{align*}") == 3
    assert r"\text{h\_1}" in text
    assert r"\frac{\partial E}{\partial w_{\text{a} \to \text{h\_1}}}" in text
    assert text.count("{") == text.count("}")


def test_softmax_is_said_to_look_at_the_whole_layer():
    net = ng.Network([ng.Input((2,)), ng.Dense(2, activation="softmax")], seed=1)
    assert "softmax over the layer of" in net.trace([1.0, 2.0])
    assert "backward" not in net.trace([1.0, 2.0])


def test_what_cannot_be_traced_is_refused_in_one_sentence():
    net = ng.Network([2, 3, 1])
    with pytest.raises(ng.GraphError, match=r"101 connections|has 1,111 connections"):
        ng.Network([10, 101]).trace(np.zeros(10))
    with pytest.raises(ng.DataError, match="a batch of 4"):
        net.trace(np.zeros((4, 2)))
    with pytest.raises(ng.UnknownNameError, match="did you mean 'latex'"):
        net.trace([1.0, 2.0], format="latx")


def test_inputs_and_labels_go_by_name_as_in_a_prediction():
    left, right = ng.Input((2,), name="left"), ng.Input((1,), name="right")
    h = ng.Dense(2, "tanh", name="h")(ng.Concatenate()([left, right]))
    ends = [ng.Dense(1, name=name)(h) for name in ("one", "two")]
    net = ng.Network(inputs=[left, right], outputs=ends, seed=0)
    x, y = [[0.5, -1.0], [2.0]], [[1.0], [0.0]]
    named_x = {"right": x[1], "left": x[0]}
    assert net.trace(named_x, {"two": y[1], "one": y[0]}) == net.trace(x, y)
    for found, wanted in zip(net.saliency(named_x, 0), net.saliency(x, 0), strict=True):
        np.testing.assert_array_equal(found, wanted)
    single = ng.Network([2, 1], seed=0)
    assert single.trace(x[0], {"layer_1": y[0]}) == single.trace(x[0], y[0])
    with pytest.raises(ng.ShapeError, match="give a list of 2 arrays, for 'left', 'right'"):
        net.saliency(x[0][0])


def numeric(net, x, pick, h=1e-6):
    """Return the slopes of the picked outputs by central differences."""
    model, found = net.compile(dtype="float64"), np.zeros_like(x)
    for index in itertools.product(*map(range, x.shape)):
        values = []
        for sign in (h, -h):
            moved = x.copy()
            moved[index] += sign
            values.append(pick(model.predict(moved))[index[0]])
        found[index] = (values[0] - values[1]) / (2 * h)
    return found


@pytest.mark.parametrize("kind", ["picture", "recurrent", "handmade"])
def test_saliency_is_the_slope_of_the_output(kind):
    rng = np.random.default_rng(3)
    if kind == "picture":
        net = ng.Network(
            [
                ng.Input((5, 4, 2)),
                ng.Conv2D(3, 2, activation="tanh"),
                ng.BatchNormalization(),
                ng.Dropout(0.5),
                ng.Flatten(),
                ng.Dense(4, activation="softmax"),
            ],
            seed=1,
        )
        x = rng.normal(size=(3, 5, 4, 2))
    elif kind == "recurrent":
        net = ng.Network([ng.Input((None, 3)), ng.GRU(4, return_sequences=True)], seed=1)
        x = rng.normal(size=(2, 4, 3))
    else:
        net = skipping()
        x = rng.normal(size=(2, 3, 2))
    last = kind != "picture"
    found = net.saliency(x, 0)
    wanted = numeric(net, x, lambda out: out[:, -1, 0] if last else out[:, 0])
    assert found.shape == x.shape
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-8)
    best = net.saliency(x)
    chosen = net.compile(dtype="float64").predict(x)
    chosen = (chosen[:, -1] if last else chosen).argmax(axis=1)
    for sample, output in enumerate(chosen):
        np.testing.assert_allclose(best[sample], net.saliency(x[sample], int(output)), rtol=1e-9)


def test_saliency_takes_nodes_and_leaves_the_dtype_of_a_model():
    net = ng.Network([3, 2], seed=0)
    model = net.compile(dtype="float32")
    found = net.saliency([1.0, 0.5, 0.2], net.outputs[0].layer[1])
    assert found.dtype == np.float32
    assert model.predict([[1.0, 0.5, 0.2]]).dtype == np.float32
    assert next(iter(net.parameters.values())).value.dtype == np.float32
    for wrong in (2, -3, True, "1", net.layers[0][0]):
        with pytest.raises(ng.OptionError, match="saliency"):
            net.saliency([1.0, 0.5, 0.2], wrong)
    words = ng.Network([ng.Input((4,)), ng.Embedding(5, 2), ng.Flatten(), ng.Dense(1)])
    with pytest.raises(ng.GraphError, match="takes indices"):
        words.saliency([[0, 1, 2, 3]])


def test_strongest_paths_are_those_of_an_exhaustive_search():
    net = ng.Network([3, 4, 4, 2], seed=5)
    for parameter in net.parameters.values():
        parameter.value *= 20  # so that some weights are above 1, some lengths negative
    weights = [b.matrix() for b in net.bundles if b.source.role != "const"]
    wanted = sorted(
        (
            abs(weights[0][1, i] * weights[1][i, j] * weights[2][j, 0])
            for i, j in itertools.product(range(4), range(4))
        ),
        reverse=True,
    )
    found = net.strongest_paths(net.layers[0][1], "(3-0)", k=6)
    np.testing.assert_allclose([path.strength for path in found], wanted[:6], rtol=1e-12)
    assert all(len(path.nodes) == 4 and len(path.weights) == 3 for path in found)
    assert abs(found[0].product) == pytest.approx(found[0].strength)


def test_paths_of_random_graphs_are_all_there_are():
    random = np.random.default_rng(0)
    for _ in range(8):
        nodes = [ng.InputNode("n0"), *(ng.Node("tanh", name=f"n{k}") for k in range(1, 8))]
        ways: list[list[tuple[int, float]]] = [[] for _ in nodes]
        for up, down in itertools.combinations(range(8), 2):
            for _ in range(random.integers(0, 3)):  # side by side, too
                weight = float(random.choice([0.0, 0.5, -1.0, random.normal()]))
                delay = int(random.random() < 0.2)
                ng.Connection(nodes[up], nodes[down], weight=weight, delay=delay)
                ways[up] += [(down, weight)] if weight and not delay else []

        def strengths(place, ways=ways):
            if place == 7:
                return [1.0]
            return [abs(w) * rest for down, w in ways[place] for rest in strengths(down, ways)]

        net = ng.Network(inputs=nodes[:1], outputs=nodes[-1:])
        wanted = sorted(strengths(0), reverse=True)
        for k in (1, 4, 10_000):
            found = [path.strength for path in net.strongest_paths("n0", "n7", k=k)]
            np.testing.assert_allclose(found, wanted[:k], rtol=1e-12)


def test_paths_through_a_loop_go_along_it_never():
    paths = skipping().strongest_paths("a", "y")
    assert [path.nodes for path in paths] == [
        ("a", "y"),
        ("a", "h_1", "p", "y"),
        ("a", "h_1", "y"),
    ]
    assert str(paths[0]) == "-0.4: a -(-0.4)-> y"


def test_wrong_questions_about_paths_are_refused():
    net = skipping()
    assert net.strongest_paths("y", "a") == []
    with pytest.raises(ng.OptionError, match="k is 0"):
        net.strongest_paths("a", "y", k=0)
    with pytest.raises(ng.UnknownNameError):
        net.strongest_paths("a", "z")
    with pytest.raises(ng.GraphError, match="may have 3"):
        net.strongest_paths("a", "y", limit=3)
    with pytest.raises(ng.GraphError, match="not a node of network"):
        net.strongest_paths("a", skipping().node("y"))
